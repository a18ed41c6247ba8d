-- What an answer was about, beside what it depended on: one more instrument does not make the others' answers stale.

ALTER TABLE loads
    ADD COLUMN answer_basis text,
    ADD COLUMN answered text[],
    ADD CHECK ((answer_basis IS NULL) = (answered IS NULL));
COMMENT ON COLUMN loads.answer_basis IS
    'Digest of what the answers depend on but for the choice of instruments; of a session that was running, of that too.';
COMMENT ON COLUMN loads.answered IS
    'Instruments of which the source''s answer was taken in, by digest: also those that gave no row.';

-- Rows lie in the order in which they came, day by day, all instruments of a minute beside each other. One instrument's
-- year is therefore spread over the whole table; whoever reads it often is given its months in one piece each.
CREATE TABLE bar_segments (
    dataset text NOT NULL,
    source text COLLATE "C" NOT NULL,
    bar_seconds integer NOT NULL CHECK (bar_seconds > 0),
    instrument_id integer NOT NULL,
    month date NOT NULL CHECK (extract(day FROM month) = 1),
    zone text NOT NULL,
    known_at timestamptz NOT NULL,
    rows bigint NOT NULL CHECK (rows >= 0),
    content bytea NOT NULL,
    PRIMARY KEY (dataset, source, bar_seconds, instrument_id, month)
);
-- It is compressed already.
ALTER TABLE bar_segments ALTER COLUMN content SET STORAGE EXTERNAL;
COMMENT ON TABLE bar_segments IS
    'Bars of one instrument and month in one piece, as an Arrow file. Derived: read only while bar_segment_is_current.';
COMMENT ON COLUMN bar_segments.zone IS 'Whose days the month is made of.';
COMMENT ON COLUMN bar_segments.known_at IS 'Knowledge time of the snapshot that it was read in.';

CREATE FUNCTION bar_segment_is_current(segment bar_segments) RETURNS boolean
LANGUAGE sql STABLE AS $function$
    SELECT NOT EXISTS (
               SELECT FROM loads AS l
               WHERE l.dataset = ($1).dataset AND l.source = ($1).source AND l.bar_seconds = ($1).bar_seconds
                 AND l.trade_date >= ($1).month AND l.trade_date < ($1).month + interval '1 month'
                 AND l.committed_at > ($1).known_at AND l.rows_stored + l.rows_corrected + l.rows_retired > 0)
       AND NOT EXISTS (
           SELECT FROM dropped_observations AS d
           WHERE d.table_name = ($1).dataset AND d.dropped_before > ($1).month::timestamp AT TIME ZONE ($1).zone)
$function$;
COMMENT ON FUNCTION bar_segment_is_current IS
    'Whether nothing that the segment may hold has changed or was deleted since it was read; when in doubt, no.';
