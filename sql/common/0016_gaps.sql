-- The gap ledger: what a session should have held, what is stored, and one cause for each difference.
--
-- A session is cut into slots: minutes for ticks and minute bars, bars for longer ones, one slot for daily bars. The
-- unit of all counts, called minutes here, is one slot of one instrument. They balance:
-- expected_minutes = present_minutes + the minutes of all gaps of the partition.

CREATE TABLE gap_assessments (
    dataset text NOT NULL,
    source text COLLATE "C" NOT NULL,
    trade_date date NOT NULL,
    bar_seconds integer NOT NULL,
    instruments integer NOT NULL CHECK (instruments >= 0),
    expected_minutes bigint NOT NULL CHECK (expected_minutes >= 0),
    present_minutes bigint NOT NULL CHECK (present_minutes BETWEEN 0 AND expected_minutes),
    session_open timestamptz,
    session_until timestamptz,
    assessed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (dataset, source, trade_date, bar_seconds),
    CHECK (session_open < session_until OR (session_open IS NULL AND session_until IS NULL))
);
CREATE INDEX gap_assessments_date ON gap_assessments (trade_date);
COMMENT ON TABLE gap_assessments IS 'Newest assessment of each partition: what it should hold, and what it holds.';
COMMENT ON COLUMN gap_assessments.expected_minutes IS 'Slots of the session, summed over the instruments.';
COMMENT ON COLUMN gap_assessments.session_until IS
    'End of continuous trading: what follows (a closing auction) is not expected. Null: the market was closed.';

CREATE TABLE session_gaps (
    dataset text NOT NULL,
    source text COLLATE "C" NOT NULL,
    trade_date date NOT NULL,
    bar_seconds integer NOT NULL,
    instrument_id integer,
    gap_start timestamptz NOT NULL,
    gap_end timestamptz NOT NULL,
    minutes integer NOT NULL CHECK (minutes >= 0),
    cause text NOT NULL CHECK (cause IN ('closed', 'no_trade', 'source_missing', 'not_yet_due', 'quarantined')),
    fillable boolean NOT NULL CHECK (NOT fillable OR cause = 'source_missing'),
    detail text NOT NULL,
    kind text,
    instruments integer NOT NULL CHECK (instruments >= 0),
    load_id bigint,
    FOREIGN KEY (dataset, source, trade_date, bar_seconds) REFERENCES gap_assessments ON DELETE CASCADE,
    UNIQUE NULLS NOT DISTINCT (dataset, source, trade_date, bar_seconds, instrument_id, kind, gap_start, cause),
    CHECK (gap_start < gap_end)
);
CREATE INDEX session_gaps_date ON session_gaps (trade_date, cause);
COMMENT ON TABLE session_gaps IS 'Slots without a row, adjacent ones as one range, each with its one cause.';
COMMENT ON COLUMN session_gaps.instrument_id IS
    'Null when the row speaks of several: of the whole delivery, or (kind is set) of one class as a summary.';
COMMENT ON COLUMN session_gaps.gap_start IS 'Begin of the first missing slot; a bar is stamped at its end.';
COMMENT ON COLUMN session_gaps.minutes IS 'Slots, summed over the instruments.';
COMMENT ON COLUMN session_gaps.load_id IS 'Of refused rows: the load whose quarantine lists them.';

CREATE TABLE gap_coverage (
    dataset text NOT NULL,
    source text COLLATE "C" NOT NULL,
    trade_date date NOT NULL,
    bar_seconds integer NOT NULL,
    kind text NOT NULL,
    is_dense boolean NOT NULL,
    instruments integer NOT NULL,
    expected_minutes bigint NOT NULL,
    present_minutes bigint NOT NULL,
    PRIMARY KEY (dataset, source, trade_date, bar_seconds, kind, is_dense),
    FOREIGN KEY (dataset, source, trade_date, bar_seconds) REFERENCES gap_assessments ON DELETE CASCADE
);
COMMENT ON TABLE gap_coverage IS 'Each assessment by class of instrument; dense ones trade in every minute.';

CREATE TABLE gap_requests (
    dataset text NOT NULL,
    source text COLLATE "C" NOT NULL,
    trade_date date NOT NULL,
    bar_seconds integer NOT NULL,
    instrument_id integer,
    gap_start timestamptz NOT NULL,
    gap_end timestamptz NOT NULL,
    supply text NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX gap_requests_partition ON gap_requests (dataset, source, trade_date, bar_seconds);
COMMENT ON TABLE gap_requests IS 'Gaps about which the source was asked again, and answered; null: all instruments.';
COMMENT ON COLUMN gap_requests.supply IS 'Fingerprint of the files that answered: other files are worth another try.';

CREATE FUNCTION assess_session(
    for_dataset text, for_source text, for_date date, for_seconds integer,
    day_start timestamptz, day_end timestamptz,  -- rows of the trade date, the end exclusive
    opens timestamptz, until timestamptz,        -- what is expected; null: the market was closed
    due timestamptz, known_at timestamptz,       -- from when on a gap is one; the present
    edge_note text, middle_note text,            -- why nobody has the session's edges, or a middle part of it, if so
    not_fillable text, supplied text             -- why the source cannot fill a gap, null if it can; what it has
) RETURNS void
LANGUAGE plpgsql AS $function$
#variable_conflict use_column
DECLARE
    is_daily constant boolean := for_seconds >= 86400;
    step constant interval := CASE WHEN for_seconds >= 86400 THEN until - opens
                                   WHEN for_seconds = 0 THEN interval '1 minute'
                                   ELSE make_interval(secs => for_seconds) END;
    -- Instruments whose rows add up to this many in a hole as long as it are missed, not idle.
    rows_missed constant integer := 20;
    recent constant integer := 10;
    stamped constant text := 'YYYY-MM-DD HH24:MI"Z"';
    due_note constant text := format('due from %s on', to_char(due AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI"Z"'));
    slots integer;
    members integer;
    stored bigint;
    missing bigint;
    dense_stored boolean;
    newest record;
BEGIN
    -- Imports of the partition and other assessments queue: what is counted is one state.
    PERFORM pg_advisory_xact_lock(hashtextextended(
        concat_ws('|', for_dataset, for_source, for_date, for_seconds), 0));
    -- The caller puts refused rows here: instrument, an instant inside its slot (null: all slots), load, reason.
    CREATE TEMP TABLE IF NOT EXISTS refused_minutes
        (instrument_id integer, inside timestamptz, load_id bigint, reason text) ON COMMIT DROP;
    DELETE FROM gap_assessments
    WHERE (dataset, source, trade_date, bar_seconds) = (for_dataset, for_source, for_date, for_seconds);
    IF opens IS NULL THEN
        INSERT INTO gap_assessments VALUES (for_dataset, for_source, for_date, for_seconds, 0, 0, 0);
        INSERT INTO session_gaps VALUES (for_dataset, for_source, for_date, for_seconds, NULL,
                                         date_trunc('second', day_start), date_trunc('second', day_end), 0, 'closed',
                                         false, coalesce(edge_note, 'closed'), NULL, 0, NULL);
        RETURN;
    END IF;

    CREATE TEMP TABLE gap_slots ON COMMIT DROP AS
    SELECT slot, least(slot + step, until) AS slot_end, row_number() OVER (ORDER BY slot)::integer AS number
    FROM generate_series(opens, until - interval '1 microsecond', step) AS s (slot);
    SELECT count(*) INTO slots FROM gap_slots;

    -- A bar is in the slot in which it ends, a tick in the one that holds it; one at the very end in the last.
    EXECUTE format($sql$
        CREATE TEMP TABLE gap_present ON COMMIT DROP AS
        SELECT instrument_id, slot FROM (
            SELECT coalesce(m.instrument_id, o.instrument_id) AS instrument_id,
                   CASE WHEN $5 THEN $6 WHEN $4 > 0 OR o."timestamp" = $7
                        THEN date_bin($8, o."timestamp" - interval '1 microsecond', $6)
                        ELSE date_bin($8, o."timestamp", $6) END AS slot
            FROM %I AS o
            LEFT JOIN instrument_merges_as_of('infinity') AS m ON m.duplicate_id = o.instrument_id
            WHERE o."timestamp" >= $1 AND o."timestamp" < $2 AND o.source = $3 AND o.bar_seconds = $4
        ) AS o WHERE slot >= $6 AND slot < $7 GROUP BY 1, 2
        $sql$, for_dataset)
        USING day_start, day_end, for_source, for_seconds, is_daily, opens, until, step;
    ANALYZE gap_present;
    CREATE TEMP TABLE gap_refused ON COMMIT DROP AS
    SELECT coalesce(m.instrument_id, r.instrument_id) AS instrument_id, s.slot, max(r.load_id) AS load_id,
           string_agg(DISTINCT r.reason, ', ' ORDER BY r.reason) AS reasons
    FROM refused_minutes AS r
    LEFT JOIN instrument_merges_as_of('infinity') AS m ON m.duplicate_id = r.instrument_id
    JOIN gap_slots AS s
      ON r.inside IS NULL OR s.slot = CASE WHEN is_daily THEN opens ELSE date_bin(step, r.inside, opens) END
    WHERE NOT EXISTS (SELECT FROM gap_present AS p
                      WHERE p.instrument_id = coalesce(m.instrument_id, r.instrument_id) AND p.slot = s.slot)
    GROUP BY 1, 2;

    SELECT max(l.load_id) FILTER (WHERE l.status = 'complete') AS complete,
           (array_agg(l.status ORDER BY l.load_id DESC))[1] AS status, max(l.load_id) AS load_id,
           (array_agg(l.message ORDER BY l.load_id DESC))[1] AS message,
           coalesce(bool_or(l.status = 'complete' AND l.source_type = 'api' AND l.window_start IS NULL),
                    false) AS by_name
    INTO newest
    FROM loads AS l
    WHERE l.dataset = for_dataset AND l.source = for_source AND l.trade_date = for_date AND l.bar_seconds = for_seconds;

    CREATE TEMP TABLE gap_instruments ON COMMIT DROP AS
    WITH delivered AS (
        SELECT instrument_id, count(*) AS found FROM gap_present GROUP BY 1
    ), asked AS (
        -- An API's load names every instrument it asked for, also those of which nothing came.
        SELECT DISTINCT a.instrument_id
        FROM (SELECT DISTINCT substr(f.path, length(for_source) + 2) AS what
              FROM loads AS l JOIN load_files AS f USING (load_id)
              WHERE l.dataset = for_dataset AND l.source = for_source AND l.trade_date = for_date
                AND l.bar_seconds = for_seconds AND l.status = 'complete' AND l.source_type = 'api') AS f
        JOIN instrument_aliases AS a
            ON a.source = for_source
            AND a.symbol = left(f.what, greatest(strpos(f.what, ' ' || for_dataset || ' ') - 1, 0))
    ), before AS (
        -- Files name nobody: what came last time and has not expired should have come.
        SELECT DISTINCT li.instrument_id
        FROM loads AS l JOIN load_instruments AS li USING (load_id)
        WHERE NOT newest.by_name AND newest.status IS DISTINCT FROM 'empty'
          AND l.dataset = for_dataset AND l.source = for_source AND l.bar_seconds = for_seconds
          AND l.status = 'complete' AND l.trade_date = (SELECT max(b.trade_date) FROM loads AS b
                              WHERE b.dataset = for_dataset AND b.source = for_source AND b.bar_seconds = for_seconds
                                AND b.status = 'complete' AND b.trade_date < for_date
                                AND b.trade_date >= for_date - recent)
    ), named AS (
        SELECT coalesce(m.instrument_id, n.instrument_id) AS instrument_id, bool_or(is_asked) AS is_asked,
               bool_or(is_refused) AS is_refused
        FROM (SELECT instrument_id, false AS is_asked, false AS is_refused FROM delivered
              UNION ALL SELECT instrument_id, false, true FROM gap_refused
              UNION ALL SELECT instrument_id, true, false FROM asked
              UNION ALL SELECT instrument_id, false, false FROM before) AS n
        LEFT JOIN instrument_merges_as_of('infinity') AS m ON m.duplicate_id = n.instrument_id
        GROUP BY 1
    ), classed AS (
        SELECT n.*, coalesce(d.found, 0)::integer AS found, t.kind, t.symbol,
               t.kind IN ('SPOT', 'PAIR') OR (t.kind = 'CONT' AND t.rank = 1)
               OR (t.kind = 'FUT' AND t.expiry = min(t.expiry) FILTER (WHERE t.kind = 'FUT')
                                                              OVER (PARTITION BY t.underlying)) AS is_dense
        FROM named AS n
        LEFT JOIN delivered AS d USING (instrument_id)
        JOIN instrument_terms AS t
          ON t.instrument_id = n.instrument_id AND t.valid_from <= for_date AND t.valid_to > for_date
        WHERE t.expiry IS NULL OR t.expiry >= for_date OR d.found > 0
    )
    SELECT instrument_id, kind, symbol, coalesce(is_dense, false) AS is_dense, found,
           -- Examined slot by slot; of all others the idle minutes are only counted.
           coalesce(is_dense, false) OR (is_asked AND found = 0 AND kind <> 'OPT') AS is_examined
    FROM classed WHERE found > 0 OR is_asked OR is_refused OR is_dense;
    SELECT count(*), coalesce(sum(found), 0), coalesce(bool_or(is_dense AND found > 0), false)
    INTO members, stored, dense_stored FROM gap_instruments;

    -- Nobody delivered, or nothing of it could be stored: one row for the session.
    IF newest.complete IS NULL AND stored = 0 THEN
        members := CASE WHEN newest.status = 'empty' THEN 0 ELSE greatest(members, 1) END;
        INSERT INTO gap_assessments VALUES (for_dataset, for_source, for_date, for_seconds, members, members * slots, 0,
                                            opens, until);
        IF members > 0 THEN
            INSERT INTO session_gaps
            SELECT for_dataset, for_source, for_date, for_seconds, NULL, opens, until, members * slots, c.cause,
                   c.cause = 'source_missing' AND not_fillable IS NULL AND r.asked_at IS NULL,
                   CASE c.cause WHEN 'quarantined' THEN format(
                            'load %s stored nothing: %s; see pipeline quarantine --load %s',
                            newest.load_id, newest.message, newest.load_id)
                        WHEN 'not_yet_due' THEN due_note
                        ELSE concat_ws('; ', 'no load of this session', not_fillable,
                                       'asked again on ' || to_char(r.asked_at AT TIME ZONE 'UTC', stamped)
                                       || ', same answer') END,
                   NULL, members, CASE c.cause WHEN 'quarantined' THEN newest.load_id END
            FROM (SELECT CASE WHEN newest.status = 'rejected' THEN 'quarantined' WHEN known_at < due THEN 'not_yet_due'
                              ELSE 'source_missing' END AS cause) AS c
            LEFT JOIN LATERAL (
                SELECT max(r.asked_at) AS asked_at FROM gap_requests AS r
                WHERE (r.dataset, r.source, r.trade_date, r.bar_seconds, r.supply)
                    = (for_dataset, for_source, for_date, for_seconds, supplied)
                  AND r.instrument_id IS NULL AND r.gap_start <= opens AND r.gap_end >= until) AS r ON true;
        END IF;
        INSERT INTO gap_coverage
        SELECT for_dataset, for_source, for_date, for_seconds, kind, is_dense, count(*), count(*) * slots, 0
        FROM gap_instruments WHERE members > 0 GROUP BY kind, is_dense;
        DROP TABLE gap_slots, gap_present, gap_refused, gap_instruments;
        RETURN;
    END IF;

    -- Slots that nobody has, as ranges; each an outage, a time without trading, or only quiet.
    CREATE TEMP TABLE gap_holes ON COMMIT DROP AS
    WITH nobody AS (
        SELECT s.*, s.number - row_number() OVER (ORDER BY s.number) AS island
        FROM gap_slots AS s LEFT JOIN (SELECT DISTINCT slot FROM gap_present) AS p USING (slot)
        WHERE p.slot IS NULL
    ), holes AS (
        SELECT min(slot) AS hole_start, max(slot_end) AS hole_end, count(*) AS length,
               min(number) = 1 OR max(number) = slots AS is_edge
        FROM nobody GROUP BY island
    )
    SELECT h.*, g.silence, CASE WHEN h.is_edge THEN edge_note ELSE middle_note END AS note
    FROM holes AS h
    LEFT JOIN LATERAL (
        SELECT string_agg(DISTINCT q.detail, ', ') AS silence
        FROM loads AS l JOIN quality_results AS q USING (load_id)
        WHERE l.dataset = for_dataset AND l.source = for_source AND l.trade_date = for_date
          AND l.bar_seconds = for_seconds AND q.check_name = 'live_gap'
          AND substring(q.found FROM ', (\S+) to \S+$')::timestamptz < h.hole_end
          AND substring(q.found FROM ', \S+ to (\S+)$')::timestamptz > h.hole_start) AS g ON true
    WHERE dense_stored OR g.silence IS NOT NULL OR stored = 0 OR stored * h.length >= rows_missed::bigint * slots
       OR CASE WHEN h.is_edge THEN edge_note ELSE middle_note END IS NOT NULL;

    CREATE TEMP TABLE gaps_found ON COMMIT DROP AS SELECT * FROM session_gaps LIMIT 0;
    -- Refused rows, by instrument and reason.
    INSERT INTO gaps_found
    SELECT for_dataset, for_source, for_date, for_seconds, instrument_id, min(slot), max(slot_end), count(*),
           'quarantined', false, format('refused: %s; see pipeline quarantine --load %s', reasons, load_id),
           kind, 1, load_id
    FROM (SELECT r.*, s.slot_end, i.kind,
                 s.number - row_number() OVER (PARTITION BY r.instrument_id, r.load_id, r.reasons
                                               ORDER BY s.number) AS island
          FROM gap_refused AS r JOIN gap_slots AS s USING (slot) JOIN gap_instruments AS i USING (instrument_id)) AS r
    GROUP BY instrument_id, kind, load_id, reasons, island;

    IF known_at < due THEN
        SELECT members::bigint * slots - stored - coalesce(sum(minutes), 0) INTO missing FROM gaps_found;
        INSERT INTO gaps_found
        SELECT for_dataset, for_source, for_date, for_seconds, NULL, opens, until, missing, 'not_yet_due', false,
               due_note, NULL, members, NULL
        WHERE missing > 0;
    ELSE
        INSERT INTO gaps_found
        SELECT for_dataset, for_source, for_date, for_seconds,
               (SELECT max(i.instrument_id) FROM gap_instruments AS i WHERE members = 1), h.hole_start, h.hole_end,
               members::bigint * h.length - r.refused, CASE WHEN h.note IS NULL THEN 'source_missing' ELSE 'closed' END,
               false,
               coalesce(h.note, 'the stream was silent: ' || h.silence,
                        CASE members WHEN 1 THEN 'no row' ELSE format('none of %s instruments has a row', members) END),
               (SELECT max(i.kind) FROM gap_instruments AS i WHERE members = 1), members, NULL
        FROM gap_holes AS h
        CROSS JOIN LATERAL (SELECT count(*) AS refused FROM gap_refused AS r JOIN gap_instruments USING (instrument_id)
                            WHERE r.slot >= h.hole_start AND r.slot < h.hole_end) AS r
        WHERE members::bigint * h.length > r.refused;
        -- Dense instruments, and those of which a source that was asked by name gave nothing, slot by slot.
        INSERT INTO gaps_found
        SELECT for_dataset, for_source, for_date, for_seconds, instrument_id, min(slot), max(slot_end), count(*),
               'source_missing', false,
               CASE WHEN found = 0 THEN symbol || ' is not in the delivery'
                    ELSE symbol || ' has no row, others have' END, kind, 1, NULL
        FROM (SELECT i.*, s.slot, s.slot_end,
                     s.number - row_number() OVER (PARTITION BY i.instrument_id ORDER BY s.number) AS island
              FROM gap_instruments AS i
              CROSS JOIN gap_slots AS s
              LEFT JOIN gap_present AS p ON p.instrument_id = i.instrument_id AND p.slot = s.slot
              LEFT JOIN gap_refused AS r ON r.instrument_id = i.instrument_id AND r.slot = s.slot
              WHERE i.is_examined AND p.slot IS NULL AND r.slot IS NULL
                AND NOT EXISTS (SELECT FROM gap_holes AS h WHERE s.slot >= h.hole_start AND s.slot < h.hole_end)) AS m
        GROUP BY instrument_id, symbol, kind, found, island;
        -- All others trade when they trade: one row a class.
        INSERT INTO gaps_found
        SELECT for_dataset, for_source, for_date, for_seconds, NULL, opens, until, idle, 'no_trade', false,
               format('%s of %s minutes of %s instruments without a trade, while others have rows',
                      idle, wanted, listed),
               kind, listed, NULL
        FROM (SELECT i.kind, count(*) AS listed, count(*) * (slots - h.lost) AS wanted,
                     count(*) * (slots - h.lost) - sum(i.found) - coalesce(sum(r.refused), 0) AS idle
              FROM gap_instruments AS i
              CROSS JOIN (SELECT coalesce(sum(length), 0) AS lost FROM gap_holes) AS h
              LEFT JOIN (SELECT r.instrument_id, count(*) AS refused FROM gap_refused AS r
                         WHERE NOT EXISTS (SELECT FROM gap_holes AS h
                                           WHERE r.slot >= h.hole_start AND r.slot < h.hole_end)
                         GROUP BY 1) AS r USING (instrument_id)
              WHERE NOT i.is_examined GROUP BY i.kind, h.lost) AS q
        WHERE idle > 0;
        -- What can be had is fillable, until the source was asked about it and said nothing else.
        UPDATE gaps_found AS g
        SET fillable = not_fillable IS NULL AND a.asked_at IS NULL,
            cause = CASE WHEN a.asked_at IS NOT NULL AND g.kind IN ('EQ', 'PAIR')
                              AND EXISTS (SELECT FROM gap_present AS p WHERE p.instrument_id = g.instrument_id)
                         THEN 'no_trade' ELSE g.cause END,
            detail = concat_ws('; ', g.detail, not_fillable,
                               'asked again on ' || to_char(a.asked_at AT TIME ZONE 'UTC', stamped)
                               || ', same answer')
        FROM (SELECT g.instrument_id, g.gap_start, (
                  SELECT max(r.asked_at) FROM gap_requests AS r
                  WHERE (r.dataset, r.source, r.trade_date, r.bar_seconds, r.supply)
                      = (for_dataset, for_source, for_date, for_seconds, supplied)
                    AND (r.instrument_id IS NULL OR r.instrument_id = g.instrument_id)
                    AND r.gap_start <= g.gap_start AND r.gap_end >= g.gap_end) AS asked_at
              FROM gaps_found AS g WHERE g.cause = 'source_missing') AS a
        WHERE g.cause = 'source_missing' AND g.gap_start = a.gap_start
          AND g.instrument_id IS NOT DISTINCT FROM a.instrument_id;
    END IF;

    INSERT INTO gap_assessments VALUES (for_dataset, for_source, for_date, for_seconds, members,
                                        members::bigint * slots, stored, opens, until);
    INSERT INTO session_gaps SELECT * FROM gaps_found;
    INSERT INTO gap_coverage
    SELECT for_dataset, for_source, for_date, for_seconds, kind, is_dense, count(*), count(*) * slots, sum(found)
    FROM gap_instruments GROUP BY kind, is_dense;
    DROP TABLE gap_slots, gap_present, gap_refused, gap_instruments, gap_holes, gaps_found;
END
$function$;
COMMENT ON FUNCTION assess_session IS
    'Assess a partition: replace its rows of the gap ledger. The temporary table refused_minutes has its refused rows.';
