-- Both times: every fact knows when it was true, and from when to when the warehouse believed it.
--
-- One clock orders what became known. Its row is locked from the stamp to the commit, so the order of stamps is the
-- order of commits: a snapshot that sees the clock at T sees everything stamped up to T and nothing later. Without
-- that, a load stamped before an export but committed after it would change what "as of the export" means.

CREATE TABLE knowledge_clock (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    instant timestamptz NOT NULL
);
INSERT INTO knowledge_clock (instant) VALUES (clock_timestamp());
COMMENT ON TABLE knowledge_clock IS 'The knowledge time of the newest committed change.';

CREATE FUNCTION stamp_knowledge() RETURNS timestamptz
LANGUAGE plpgsql AS $function$
DECLARE
    stamp timestamptz := nullif(current_setting('pipeline.known_at', true), '');
BEGIN
    IF stamp IS NULL THEN
        UPDATE knowledge_clock SET instant = greatest(clock_timestamp(), instant + interval '1 microsecond')
        RETURNING instant INTO STRICT stamp;
        PERFORM set_config('pipeline.known_at', stamp::text, true);
    END IF;
    RETURN stamp;
END
$function$;
COMMENT ON FUNCTION stamp_knowledge IS
    'The knowledge time of the running transaction; later stamps of others wait for its end, so call it late.';

-- A load is known from the stamp of its last statement; until then, never.
ALTER TABLE loads ALTER COLUMN committed_at SET DEFAULT 'infinity';
UPDATE knowledge_clock SET instant = greatest(instant, (SELECT max(committed_at) FROM loads));
CREATE INDEX loads_committed_at ON loads (committed_at);

-- Dimensions: the small tables whose rows are changed in place keep their earlier versions beside them.

CREATE FUNCTION stamp_version() RETURNS trigger
LANGUAGE plpgsql AS $function$
BEGIN
    NEW.known_from := stamp_knowledge();
    RETURN NEW;
END
$function$;

CREATE FUNCTION keep_version() RETURNS trigger
LANGUAGE plpgsql AS $function$
BEGIN
    -- What was written and changed within one transaction was never known to anybody.
    IF OLD.known_from < stamp_knowledge() THEN
        EXECUTE format('INSERT INTO %I SELECT ($1).*, $2', TG_TABLE_NAME || '_history') USING OLD, stamp_knowledge();
    END IF;
    RETURN NULL;
END
$function$;

CREATE FUNCTION keep_known_versions(table_name text) RETURNS void
LANGUAGE plpgsql AS $function$
DECLARE
    columns text;
BEGIN
    EXECUTE format('ALTER TABLE %I ADD COLUMN known_from timestamptz NOT NULL DEFAULT ''-infinity''', table_name);
    EXECUTE format('CREATE TABLE %I (LIKE %I, known_to timestamptz NOT NULL, CHECK (known_from < known_to))',
                   table_name || '_history', table_name);
    EXECUTE format('COMMENT ON TABLE %I IS %L', table_name || '_history',
                   'Earlier versions of ' || table_name || ', known from known_from (inclusive) to known_to (exclusive).');
    EXECUTE format('CREATE TRIGGER stamp_version BEFORE INSERT OR UPDATE ON %I'
                   ' FOR EACH ROW EXECUTE FUNCTION stamp_version()', table_name);
    EXECUTE format('CREATE TRIGGER keep_version AFTER UPDATE OR DELETE ON %I'
                   ' FOR EACH ROW EXECUTE FUNCTION keep_version()', table_name);
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO columns
    FROM pg_attribute WHERE attrelid = table_name::regclass AND attnum > 0 AND NOT attisdropped;
    EXECUTE format($ddl$
        CREATE FUNCTION %1$I(known_at timestamptz) RETURNS SETOF %2$I LANGUAGE sql STABLE AS $body$
            SELECT %3$s FROM %2$I WHERE known_from <= $1
            UNION ALL
            SELECT %3$s FROM %4$I WHERE known_from <= $1 AND known_to > $1
        $body$
        $ddl$, table_name || '_as_of', table_name, columns, table_name || '_history');
END
$function$;
COMMENT ON FUNCTION keep_known_versions IS
    'Give a table the column known_from, a history table and a function <table>_as_of(known_at).';

SELECT keep_known_versions('instrument_terms');
SELECT keep_known_versions('continuous_contracts');
SELECT keep_known_versions('sessions');

-- Observations: versions carry the load that wrote them; the loads know when they became known.

CREATE FUNCTION create_observation_knowledge(table_name text) RETURNS void
LANGUAGE plpgsql AS $function$
DECLARE
    columns text;
    measures text;
BEGIN
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum),
           string_agg(format('(%L, a.%I::text, b.%I::text)', attname, attname, attname), ', ' ORDER BY attnum)
               FILTER (WHERE attname <> ALL (ARRAY['timestamp', 'instrument_id', 'bar_seconds', 'sequence', 'source',
                                                   'load_id']))
    INTO columns, measures
    FROM pg_attribute WHERE attrelid = table_name::regclass AND attnum > 0 AND NOT attisdropped;

    -- The instant is the superseding load's own; a copy could only disagree.
    EXECUTE format('ALTER TABLE %I DROP COLUMN superseded_at', table_name || '_history');
    EXECUTE format('COMMENT ON TABLE %I IS %L', table_name || '_history',
        'Earlier versions of ' || table_name || ', and the load that replaced each; times are in loads.committed_at.');

    EXECUTE format($ddl$
        CREATE FUNCTION %1$I(known_at timestamptz) RETURNS SETOF %2$I LANGUAGE sql STABLE AS $body$
            SELECT %3$s FROM %2$I AS o
            WHERE EXISTS (SELECT FROM loads AS l WHERE l.load_id = o.load_id AND l.committed_at <= $1)
            UNION ALL
            SELECT %3$s FROM %4$I AS o
            WHERE EXISTS (SELECT FROM loads AS l WHERE l.load_id = o.load_id AND l.committed_at <= $1)
              AND EXISTS (SELECT FROM loads AS l WHERE l.load_id = o.superseded_by AND l.committed_at > $1)
        $body$
        $ddl$, table_name || '_as_of', table_name, columns, table_name || '_history');
    EXECUTE format('COMMENT ON FUNCTION %I IS %L', table_name || '_as_of',
        table_name || ' as the warehouse knew it at an instant.');

    -- A version is its key and its load, so versions are compared by load; values only where they differ.
    EXECUTE format($ddl$
        CREATE FUNCTION %1$I(known_from timestamptz, known_to timestamptz, window_start timestamptz,
                             window_end timestamptz)
        RETURNS TABLE ("timestamp" timestamptz, instrument_id integer, bar_seconds integer, sequence integer,
                       source text, change text, field text, old text, new text)
        LANGUAGE sql STABLE AS $body$
            SELECT coalesce(a."timestamp", b."timestamp"), coalesce(a.instrument_id, b.instrument_id),
                   coalesce(a.bar_seconds, b.bar_seconds), coalesce(a.sequence, b.sequence),
                   coalesce(a.source, b.source),
                   CASE WHEN a.load_id IS NULL THEN 'added' WHEN b.load_id IS NULL THEN 'removed' ELSE 'changed' END,
                   f.field, f.old, f.new
            FROM (SELECT * FROM %2$I($1) AS o WHERE o."timestamp" >= $3 AND o."timestamp" < $4) AS a
            FULL JOIN (SELECT * FROM %2$I($2) AS o WHERE o."timestamp" >= $3 AND o."timestamp" < $4) AS b
                ON (a."timestamp", a.instrument_id, a.bar_seconds, a.sequence, a.source)
                 = (b."timestamp", b.instrument_id, b.bar_seconds, b.sequence, b.source)
            CROSS JOIN LATERAL (VALUES %3$s) AS f (field, old, new)
            WHERE a.load_id IS DISTINCT FROM b.load_id AND f.old IS DISTINCT FROM f.new
        $body$
        $ddl$, table_name || '_changes', table_name || '_as_of', measures);
    EXECUTE format('COMMENT ON FUNCTION %I IS %L', table_name || '_changes',
        'How ' || table_name || ' of a window differs between two knowledge times, one row per changed value.');

    EXECUTE format($ddl$
        CREATE VIEW %1$I AS
        SELECT %2$L::text AS dataset, a."timestamp", a.instrument_id, a.bar_seconds, a.sequence, a.source, a.change,
               f.field, f.old, f.new, l.committed_at AS changed_at, l.trade_date, a.load_id, a.superseded_by
        FROM %3$I AS a
        JOIN loads AS l ON l.load_id = a.superseded_by
        -- What replaced the version: the row of today, or a version that was replaced in its turn.
        LEFT JOIN LATERAL (
            SELECT %4$s FROM %2$I AS o
            WHERE (o."timestamp", o.instrument_id, o.bar_seconds, o.sequence, o.source, o.load_id)
                = (a."timestamp", a.instrument_id, a.bar_seconds, a.sequence, a.source, a.superseded_by)
            UNION ALL
            SELECT %4$s FROM %3$I AS o
            WHERE (o."timestamp", o.instrument_id, o.bar_seconds, o.sequence, o.source, o.load_id)
                = (a."timestamp", a.instrument_id, a.bar_seconds, a.sequence, a.source, a.superseded_by)
        ) AS b ON true
        CROSS JOIN LATERAL (VALUES %5$s) AS f (field, old, new)
        WHERE f.old IS DISTINCT FROM f.new
        $ddl$, table_name || '_corrections', table_name, table_name || '_history', columns, measures);
    EXECUTE format('COMMENT ON VIEW %I IS %L', table_name || '_corrections',
        'Every value of ' || table_name || ' that was corrected or retired: old, new, when, by which load.');
END
$function$;

SELECT create_observation_knowledge('options_ticks');
SELECT create_observation_knowledge('futures_ticks');
SELECT create_observation_knowledge('spot_prices');
SELECT create_observation_knowledge('equity_daily');

CREATE VIEW corrections AS
SELECT * FROM options_ticks_corrections
UNION ALL SELECT * FROM futures_ticks_corrections
UNION ALL SELECT * FROM spot_prices_corrections
UNION ALL SELECT * FROM equity_daily_corrections;
COMMENT ON VIEW corrections IS 'What changed, when, by which load, from what to what: one row per changed value.';

-- Which knowledge an export was made from: as of this instant it can be made again.
ALTER TABLE catalogs ADD COLUMN known_at timestamptz;
COMMENT ON COLUMN catalogs.known_at IS 'Knowledge time the export was read at.';
