-- The contract master: what an instrument was on each trade date, worked out from dated evidence.
--
-- Nobody edits `instrument_terms` by hand. Whoever learns something (a day file, a dump, a list of one's own) adds
-- evidence, and the terms are derived from all of it: so the order in which files arrive does not matter.

-- Evidence of one chain lies together, whatever the chain is called later.
ALTER TABLE instruments ADD COLUMN book text NOT NULL DEFAULT '';
COMMENT ON COLUMN instruments.book IS 'Underlying under which the instrument was first seen; never changes.';
UPDATE instruments AS i SET book = t.underlying
FROM (SELECT DISTINCT ON (instrument_id) instrument_id, underlying FROM instrument_terms
      ORDER BY instrument_id, valid_from) AS t
WHERE t.instrument_id = i.instrument_id;

CREATE TABLE term_evidence (
    book text NOT NULL,
    field text NOT NULL CHECK (field IN ('symbol', 'underlying', 'expiry', 'strike', 'isin', 'lot_size', 'tick_size',
                                         'multiplier')),
    trade_date date NOT NULL,
    source text NOT NULL,
    value text NOT NULL,
    precedence smallint NOT NULL,
    instrument_ids integer[] NOT NULL,
    PRIMARY KEY (book, field, trade_date, source, value)
);
COMMENT ON TABLE term_evidence IS
    'Which value of a term a source gave on a trade date, and for which instruments; for one date the lowest precedence counts.';

INSERT INTO term_evidence (book, field, trade_date, source, value, precedence, instrument_ids)
SELECT i.book, f.field, s.trade_date, 'before the contract master', f.value, 90, array_agg(t.instrument_id)
FROM instrument_terms AS t
JOIN instruments AS i USING (instrument_id)
JOIN (SELECT li.instrument_id, min(l.trade_date) AS trade_date
      FROM load_instruments AS li JOIN loads AS l USING (load_id) GROUP BY 1) AS s USING (instrument_id)
CROSS JOIN LATERAL (VALUES ('lot_size', t.lot_size::text), ('tick_size', trim_scale(t.tick_size)::text),
                           ('isin', t.isin)) AS f (field, value)
WHERE f.value IS NOT NULL
GROUP BY 1, 2, 3, 5;

CREATE TABLE instrument_tokens (
    token text NOT NULL CHECK (token <> ''),
    instrument_id integer NOT NULL REFERENCES instruments,
    first_seen date NOT NULL,
    last_seen date NOT NULL,
    PRIMARY KEY (token, instrument_id),
    CHECK (first_seen <= last_seen)
);
CREATE INDEX instrument_tokens_instrument ON instrument_tokens (instrument_id);
COMMENT ON TABLE instrument_tokens IS
    'The exchange''s own number of an instrument (market:number), which survives a new name; it is given to another contract after expiry.';

CREATE TABLE instrument_merges (
    duplicate_id integer NOT NULL REFERENCES instruments,
    instrument_id integer NOT NULL REFERENCES instruments,
    reason text NOT NULL CHECK (reason <> ''),
    known_from timestamptz NOT NULL DEFAULT stamp_knowledge(),
    PRIMARY KEY (duplicate_id, known_from),
    CHECK (duplicate_id <> instrument_id)
);
COMMENT ON TABLE instrument_merges IS
    'Instruments found to be another under a later name. Their observations stay where they are; readers add them to the other''s.';

CREATE FUNCTION instrument_merges_as_of(known_at timestamptz)
RETURNS TABLE (duplicate_id integer, instrument_id integer) LANGUAGE sql STABLE AS $function$
    SELECT DISTINCT ON (m.duplicate_id) m.duplicate_id, m.instrument_id
    FROM instrument_merges AS m WHERE m.known_from <= $1 ORDER BY m.duplicate_id, m.known_from DESC
$function$;
COMMENT ON FUNCTION instrument_merges_as_of IS 'Duplicates and the instruments they are, as known at an instant.';

CREATE TABLE terms_loads (
    terms_load_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    path text NOT NULL,
    sha256 text NOT NULL,
    first_date date,
    last_date date,
    rows_read bigint NOT NULL CHECK (rows_read >= 0),
    rows_new bigint NOT NULL CHECK (rows_new >= 0),
    rows_changed bigint NOT NULL CHECK (rows_changed >= 0),
    rows_unchanged bigint NOT NULL CHECK (rows_unchanged >= 0),
    rows_refused bigint NOT NULL CHECK (rows_refused >= 0),
    terms_closed bigint NOT NULL CHECK (terms_closed >= 0),
    instruments_merged bigint NOT NULL CHECK (instruments_merged >= 0),
    code_version text NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT stamp_knowledge(),
    CHECK (rows_read = rows_new + rows_changed + rows_unchanged + rows_refused)
);
COMMENT ON TABLE terms_loads IS 'One import of contract terms: which file, when, and what came of its lines.';

CREATE TABLE terms_refusals (
    terms_load_id bigint NOT NULL REFERENCES terms_loads ON DELETE CASCADE,
    line integer NOT NULL,
    reason text NOT NULL CHECK (reason <> ''),
    PRIMARY KEY (terms_load_id, line, reason)
);
COMMENT ON TABLE terms_refusals IS 'Lines of terms imports that were not taken, each with its reason.';

-- Identity is unique at every instant, not just among terms that begin on the same day; the trigger below sees to it.
-- (An exclusion constraint would need the extension btree_gist, which not every server has.)
DROP INDEX instrument_terms_identity;
CREATE INDEX instrument_terms_identity ON instrument_terms
    (underlying, (coalesce(expiry, 'infinity'::date)), (coalesce(strike, -1::numeric)));

CREATE FUNCTION queue_terms_writers() RETURNS trigger
LANGUAGE plpgsql AS $function$
BEGIN
    -- One writer at a time: what two would write at once, neither could check.
    PERFORM pg_advisory_xact_lock(hashtextextended('instruments', 0));
    RETURN NULL;
END
$function$;
CREATE TRIGGER queue_writers BEFORE INSERT OR UPDATE ON instrument_terms
    FOR EACH STATEMENT EXECUTE FUNCTION queue_terms_writers();

CREATE FUNCTION refuse_overlapping_terms() RETURNS trigger
LANGUAGE plpgsql AS $function$
DECLARE
    clash record;
BEGIN
    SELECT n.instrument_id, n.valid_from, t.valid_from AS other_from INTO clash
    FROM written AS n
    JOIN instrument_terms AS t ON t.instrument_id = n.instrument_id AND t.valid_from <> n.valid_from
        AND t.valid_from < n.valid_to AND n.valid_from < t.valid_to
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'terms of instrument % from % overlap those from %',
            clash.instrument_id, clash.valid_from, clash.other_from USING ERRCODE = 'exclusion_violation';
    END IF;
    SELECT n.instrument_id, t.instrument_id AS other_id, n.symbol, greatest(n.valid_from, t.valid_from) AS since
    INTO clash
    FROM written AS n
    JOIN instrument_terms AS t
        ON t.underlying = n.underlying AND coalesce(t.expiry, 'infinity'::date) = coalesce(n.expiry, 'infinity'::date)
        AND coalesce(t.strike, -1::numeric) = coalesce(n.strike, -1::numeric)
        AND coalesce(t.option_type, '') = coalesce(n.option_type, '') AND t.kind = n.kind AND t.venue = n.venue
        AND coalesce(t.rank, -1) = coalesce(n.rank, -1) AND coalesce(t.series, '') = coalesce(n.series, '')
        AND t.instrument_id <> n.instrument_id AND t.valid_from < n.valid_to AND n.valid_from < t.valid_to
    WHERE NOT EXISTS (SELECT FROM instrument_merges AS m WHERE m.duplicate_id IN (t.instrument_id, n.instrument_id))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'instruments % and % would be the same contract (%) from %',
            clash.instrument_id, clash.other_id, clash.symbol, clash.since USING ERRCODE = 'exclusion_violation';
    END IF;
    RETURN NULL;
END
$function$;
CREATE TRIGGER refuse_overlaps_of_new AFTER INSERT ON instrument_terms REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_overlapping_terms();
CREATE TRIGGER refuse_overlaps_of_changed AFTER UPDATE ON instrument_terms REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_overlapping_terms();

CREATE FUNCTION derive_instrument_terms(wanted integer[])
RETURNS TABLE (changed_id integer, change text)
LANGUAGE plpgsql AS $function$
#variable_conflict use_column
BEGIN
    CREATE TEMP TABLE derived_terms ON COMMIT DROP AS
    WITH life AS (
        SELECT instrument_id, min(valid_from) AS born, max(valid_to) AS dead FROM instrument_terms
        WHERE instrument_id = ANY (wanted) GROUP BY instrument_id
    ), base AS (
        SELECT DISTINCT ON (instrument_id) * FROM instrument_terms
        WHERE instrument_id = ANY (wanted) ORDER BY instrument_id, valid_from
    ), evidence AS (
        SELECT DISTINCT ON (l.instrument_id, e.field, e.trade_date)
               l.instrument_id, e.field, e.trade_date, e.value, e.precedence
        FROM term_evidence AS e
        CROSS JOIN LATERAL unnest(e.instrument_ids) AS u (instrument_id)
        JOIN life AS l ON l.instrument_id = u.instrument_id
        WHERE e.book IN (SELECT book FROM instruments WHERE instrument_id = ANY (wanted))
        ORDER BY l.instrument_id, e.field, e.trade_date, e.precedence, e.source, e.value
    ), steps AS (
        -- A value counts from the first date on which it was seen, and what was seen first also counts before; but of
        -- what one's own list says from a date on, nothing is known before. Names are known always.
        SELECT instrument_id, field, value,
               CASE WHEN before IS NULL
                         AND (precedence > 0 OR field IN ('symbol', 'underlying', 'expiry', 'strike'))
                    THEN '-infinity' ELSE trade_date END AS since
        FROM (SELECT *, lag(value) OVER (PARTITION BY instrument_id, field ORDER BY trade_date) AS before
              FROM evidence) AS e
        WHERE before IS DISTINCT FROM value
    ), spans AS (
        SELECT *, lead(since, 1, 'infinity') OVER (PARTITION BY instrument_id, field ORDER BY since) AS until FROM steps
    ), starts AS (
        SELECT instrument_id, born AS valid_from FROM life
        UNION SELECT instrument_id, since FROM steps JOIN life USING (instrument_id) WHERE since > born AND since < dead
    ), pivoted AS (
        SELECT s.instrument_id, s.valid_from,
               max(p.value) FILTER (WHERE p.field = 'symbol') AS symbol,
               max(p.value) FILTER (WHERE p.field = 'underlying') AS underlying,
               max(p.value) FILTER (WHERE p.field = 'expiry') AS expiry,
               max(p.value) FILTER (WHERE p.field = 'strike') AS strike,
               max(p.value) FILTER (WHERE p.field = 'isin') AS isin,
               max(p.value) FILTER (WHERE p.field = 'lot_size') AS lot_size,
               max(p.value) FILTER (WHERE p.field = 'tick_size') AS tick_size,
               max(p.value) FILTER (WHERE p.field = 'multiplier') AS multiplier
        FROM starts AS s
        LEFT JOIN spans AS p
            ON p.instrument_id = s.instrument_id AND p.since <= s.valid_from AND p.until > s.valid_from
        GROUP BY s.instrument_id, s.valid_from
    )
    SELECT b.instrument_id, p.valid_from,
           lead(p.valid_from, 1, l.dead) OVER (PARTITION BY p.instrument_id ORDER BY p.valid_from) AS valid_to,
           b.kind, b.venue, coalesce(p.symbol, b.symbol) AS symbol, coalesce(p.underlying, b.underlying) AS underlying,
           coalesce(p.expiry::date, b.expiry) AS expiry, coalesce(p.strike::numeric, b.strike) AS strike, b.option_type,
           b.rank, b.series, p.isin, p.lot_size::bigint AS lot_size, p.tick_size::numeric AS tick_size,
           coalesce(p.multiplier::numeric, 1) AS multiplier, b.currency
    FROM pivoted AS p JOIN base AS b USING (instrument_id) JOIN life AS l USING (instrument_id);

    -- Room is made before it is taken: gone and changed rows first, then new ones.
    RETURN QUERY
        DELETE FROM instrument_terms AS t
        WHERE t.instrument_id = ANY (wanted)
          AND NOT EXISTS (SELECT FROM derived_terms AS d
                          WHERE (d.instrument_id, d.valid_from) = (t.instrument_id, t.valid_from))
        RETURNING t.instrument_id, 'removed';
    RETURN QUERY
        UPDATE instrument_terms AS t
        SET (valid_to, symbol, underlying, expiry, strike, isin, lot_size, tick_size, multiplier)
          = (d.valid_to, d.symbol, d.underlying, d.expiry, d.strike, d.isin, d.lot_size, d.tick_size, d.multiplier)
        FROM derived_terms AS d,
             (SELECT instrument_id, valid_from, valid_to FROM instrument_terms WHERE instrument_id = ANY (wanted)) AS o
        WHERE (d.instrument_id, d.valid_from) = (t.instrument_id, t.valid_from)
          AND (o.instrument_id, o.valid_from) = (t.instrument_id, t.valid_from)
          AND (t.valid_to, t.symbol, t.underlying, t.expiry, t.strike, t.isin, t.lot_size, t.tick_size, t.multiplier)
              IS DISTINCT FROM
              (d.valid_to, d.symbol, d.underlying, d.expiry, d.strike, d.isin, d.lot_size, d.tick_size, d.multiplier)
        RETURNING t.instrument_id, CASE WHEN t.valid_to < o.valid_to THEN 'closed' ELSE 'changed' END;
    RETURN QUERY
        INSERT INTO instrument_terms AS t (instrument_id, valid_from, valid_to, kind, venue, symbol, underlying, expiry,
                                           strike, option_type, rank, series, isin, lot_size, tick_size, multiplier,
                                           currency)
        SELECT d.* FROM derived_terms AS d
        WHERE NOT EXISTS (SELECT FROM instrument_terms AS o
                          WHERE (o.instrument_id, o.valid_from) = (d.instrument_id, d.valid_from))
        RETURNING t.instrument_id, 'opened';
    DROP TABLE derived_terms;
END
$function$;
COMMENT ON FUNCTION derive_instrument_terms IS
    'Bring the terms of some instruments in line with the evidence; the only writer of terms that exist.';

CREATE FUNCTION terms_at(wanted integer, instant timestamptz) RETURNS SETOF instrument_terms
LANGUAGE sql STABLE AS $function$
    SELECT t.* FROM instrument_terms AS t
    WHERE t.instrument_id = coalesce((SELECT m.instrument_id FROM instrument_merges AS m WHERE m.duplicate_id = $1
                                      ORDER BY m.known_from DESC LIMIT 1), $1)
      AND t.valid_from <= ($2 AT TIME ZONE 'Asia/Kolkata')::date AND t.valid_to > ($2 AT TIME ZONE 'Asia/Kolkata')::date
$function$;
COMMENT ON FUNCTION terms_at IS 'What an instrument was at an instant, by the trade date of the exchange.';

CREATE FUNCTION underlying_terms_at(wanted text, instant timestamptz) RETURNS SETOF instrument_terms
LANGUAGE sql STABLE AS $function$
    SELECT t.* FROM instrument_terms AS t
    WHERE t.underlying = $1
      AND t.valid_from <= ($2 AT TIME ZONE 'Asia/Kolkata')::date AND t.valid_to > ($2 AT TIME ZONE 'Asia/Kolkata')::date
      AND NOT EXISTS (SELECT FROM instrument_merges AS m WHERE m.duplicate_id = t.instrument_id)
$function$;
COMMENT ON FUNCTION underlying_terms_at IS
    'The terms at an instant of every instrument of an underlying, expired ones included.';
