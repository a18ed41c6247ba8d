-- Shares of which parts of a unit are traded: US volumes carry decimals since February 2026, in daily bars as well.

-- What the server would refuse to alter (the views over the columns, compression) is taken away for that moment and
-- given back as it was. Views are found, not named: a later migration may have made others.
CREATE FUNCTION set_type_of_sizes(observations text, wanted text) RETURNS void
LANGUAGE plpgsql AS $function$
DECLARE
    tables constant regclass[] := ARRAY[observations, observations || '_history']::regclass[];
    views text[];
    definitions text[];
    comments text[];
    compressed boolean := false;
    relation regclass;
BEGIN
    WITH RECURSIVE above (view, height) AS (
        SELECT r.ev_class, 1 FROM pg_depend AS d JOIN pg_rewrite AS r ON r.oid = d.objid
        WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
          AND d.refobjid = ANY (tables) AND r.ev_class <> d.refobjid
        UNION
        SELECT r.ev_class, a.height + 1
        FROM above AS a JOIN pg_depend AS d ON d.refobjid = a.view JOIN pg_rewrite AS r ON r.oid = d.objid
        WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND r.ev_class <> d.refobjid
    ), found (view, height) AS (
        SELECT view, max(height) FROM above GROUP BY view
    )
    SELECT coalesce(array_agg(view::regclass::text ORDER BY height, view::regclass::text), '{}'),
           coalesce(array_agg(pg_get_viewdef(view) ORDER BY height, view::regclass::text), '{}'),
           coalesce(array_agg(obj_description(view, 'pg_class') ORDER BY height, view::regclass::text), '{}')
    INTO views, definitions, comments
    FROM found;
    FOR position IN REVERSE cardinality(views) .. 1 LOOP
        EXECUTE format('DROP VIEW %s', views[position]);
    END LOOP;
    IF to_regclass('timescaledb_information.hypertables') IS NOT NULL THEN
        EXECUTE $sql$SELECT coalesce(bool_or(compression_enabled), false) FROM timescaledb_information.hypertables
                     WHERE hypertable_name = $1$sql$ INTO compressed USING observations;
    END IF;
    IF compressed THEN
        EXECUTE $sql$SELECT count(decompress_chunk(format('%I.%I', chunk_schema, chunk_name)::regclass))
                     FROM timescaledb_information.chunks WHERE hypertable_name = $1 AND is_compressed$sql$
        USING observations;
        EXECUTE format('ALTER TABLE %I SET (timescaledb.compress = false)', observations);
    END IF;
    -- Left in place, it would compare through a cast for ever after.
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I', observations, observations || '_quantities');
    FOREACH relation IN ARRAY tables LOOP
        EXECUTE format('ALTER TABLE %1$s ALTER volume TYPE %2$s, ALTER open_interest TYPE %2$s, ALTER bid_size TYPE %2$s,'
                       ' ALTER ask_size TYPE %2$s', relation, wanted);
    END LOOP;
    EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I CHECK (volume >= 0 AND open_interest >= 0)',
                   observations, observations || '_quantities');
    IF compressed THEN
        EXECUTE format('ALTER TABLE %I SET (timescaledb.compress, timescaledb.compress_segmentby = ''bar_seconds, source'','
                       ' timescaledb.compress_orderby = ''instrument_id, "timestamp", sequence'')', observations);
    END IF;
    FOR position IN 1 .. cardinality(views) LOOP
        EXECUTE format('CREATE VIEW %s AS %s', views[position], definitions[position]);
        EXECUTE format('COMMENT ON VIEW %s IS %L', views[position], comments[position]);
    END LOOP;
    -- The words that fingerprints are made of are those of the type.
    DELETE FROM partition_fingerprints WHERE dataset = observations;
END
$function$;
COMMENT ON FUNCTION set_type_of_sizes IS 'For migrations: alter the type of volumes and sizes of a table of observations.';

SELECT set_type_of_sizes('equity_daily', 'numeric');
DROP FUNCTION set_type_of_spot_sizes;

-- An engine that counts whole shares is given less than was traded, and says by how much.
ALTER TABLE catalog_readbacks ADD COLUMN volume_rounded_off numeric NOT NULL DEFAULT 0 CHECK (volume_rounded_off >= 0);
COMMENT ON COLUMN catalog_readbacks.volume_rounded_off IS
    'What was taken from the volumes, bar by bar, to write whole units: with it, volume_sum is what was traded.';

-- Volumes of pairs were remembered as sums of rounded ones, which no table agrees with.
DELETE FROM partition_fingerprints WHERE dataset = 'spot_prices' AND source IN (
    SELECT l.source FROM loads AS l JOIN load_instruments USING (load_id) JOIN instruments USING (instrument_id)
    WHERE kind = 'PAIR');
