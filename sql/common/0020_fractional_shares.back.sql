-- loses: bars of shares whose volume has a fraction, and their earlier versions
CREATE TEMP TABLE shares ON COMMIT DROP AS SELECT instrument_id FROM instruments WHERE kind = 'EQ';
DELETE FROM spot_prices WHERE instrument_id IN (SELECT instrument_id FROM shares)
    AND (volume % 1 <> 0 OR open_interest % 1 <> 0 OR bid_size % 1 <> 0 OR ask_size % 1 <> 0);
DELETE FROM spot_prices_history WHERE instrument_id IN (SELECT instrument_id FROM shares)
    AND (volume % 1 <> 0 OR open_interest % 1 <> 0 OR bid_size % 1 <> 0 OR ask_size % 1 <> 0);
DELETE FROM equity_daily WHERE volume % 1 <> 0 OR open_interest % 1 <> 0 OR bid_size % 1 <> 0 OR ask_size % 1 <> 0;
DELETE FROM equity_daily_history
    WHERE volume % 1 <> 0 OR open_interest % 1 <> 0 OR bid_size % 1 <> 0 OR ask_size % 1 <> 0;
DROP TABLE shares;
ALTER TABLE catalog_readbacks DROP COLUMN volume_rounded_off;
SELECT set_type_of_sizes('equity_daily', 'bigint');
DROP FUNCTION set_type_of_sizes;

CREATE FUNCTION set_type_of_spot_sizes(wanted text) RETURNS void
LANGUAGE plpgsql AS $function$
DECLARE
    views constant text[] := ARRAY['v_spot_prices', 'spot_prices_corrections', 'corrections'];
    definitions text[];
    comments text[];
    compressed boolean := false;
    relation text;
BEGIN
    SELECT array_agg(pg_get_viewdef(v::regclass) ORDER BY position),
           array_agg(obj_description(v::regclass, 'pg_class') ORDER BY position)
    INTO definitions, comments
    FROM unnest(views) WITH ORDINALITY AS u (v, position);
    DROP VIEW corrections, spot_prices_corrections, v_spot_prices;
    IF to_regclass('timescaledb_information.hypertables') IS NOT NULL THEN
        EXECUTE $sql$SELECT coalesce(bool_or(compression_enabled), false) FROM timescaledb_information.hypertables
                     WHERE hypertable_name = 'spot_prices'$sql$ INTO compressed;
    END IF;
    IF compressed THEN
        EXECUTE $sql$SELECT count(decompress_chunk(format('%I.%I', chunk_schema, chunk_name)::regclass))
                     FROM timescaledb_information.chunks WHERE hypertable_name = 'spot_prices' AND is_compressed$sql$;
        ALTER TABLE spot_prices SET (timescaledb.compress = false);
    END IF;
    -- Left in place, it would compare through a cast for ever after.
    ALTER TABLE spot_prices DROP CONSTRAINT spot_prices_quantities;
    FOREACH relation IN ARRAY ARRAY['spot_prices', 'spot_prices_history'] LOOP
        EXECUTE format('ALTER TABLE %1$I ALTER volume TYPE %2$s, ALTER open_interest TYPE %2$s, ALTER bid_size TYPE %2$s,'
                       ' ALTER ask_size TYPE %2$s', relation, wanted);
    END LOOP;
    ALTER TABLE spot_prices ADD CONSTRAINT spot_prices_quantities CHECK (volume >= 0 AND open_interest >= 0);
    IF compressed THEN
        ALTER TABLE spot_prices SET (timescaledb.compress, timescaledb.compress_segmentby = 'bar_seconds, source',
                                     timescaledb.compress_orderby = 'instrument_id, "timestamp", sequence');
    END IF;
    FOR position IN 1 .. cardinality(views) LOOP
        EXECUTE format('CREATE VIEW %I AS %s', views[position], definitions[position]);
        EXECUTE format('COMMENT ON VIEW %I IS %L', views[position], comments[position]);
    END LOOP;
    -- The words that fingerprints are made of are those of the type.
    DELETE FROM partition_fingerprints WHERE dataset = 'spot_prices';
END
$function$;
COMMENT ON FUNCTION set_type_of_spot_sizes IS 'For migrations: alter the type of volumes and sizes of spot prices.';
