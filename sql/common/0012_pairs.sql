-- Pairs (BTC/USDT): markets that never close and trade fractions of a unit.

ALTER TABLE instruments DROP CONSTRAINT instruments_kind_check,
    ADD CONSTRAINT instruments_kind_check CHECK (kind IN ('OPT', 'FUT', 'CONT', 'SPOT', 'EQ', 'PAIR')),
    ADD COLUMN base_currency text,
    ADD CONSTRAINT instruments_pair CHECK ((kind = 'PAIR') = (base_currency IS NOT NULL));
COMMENT ON COLUMN instruments.base_currency IS 'What a pair buys and sells, for the currency of its terms; null for all else.';

-- Volumes of spot prices may have decimals; those of derivatives and shares count whole units. What the server would
-- refuse to alter (the views over the columns, compression) is taken away for that moment and given back as it was.
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

SELECT set_type_of_spot_sizes('numeric');

COMMENT ON TABLE spot_prices IS 'An observation of an index, of a share within the day, or of a pair.';

CREATE OR REPLACE VIEW bundle_symbols AS
SELECT u.instrument_id AS id, bundle_name(u.source, u.dataset, u.bar_seconds) AS bundle_name, t.symbol,
       CASE t.kind WHEN 'OPT' THEN 'option' WHEN 'FUT' THEN 'future' WHEN 'CONT' THEN 'continuous_future'
                   WHEN 'SPOT' THEN 'index' WHEN 'EQ' THEN 'equity' WHEN 'PAIR' THEN 'crypto' END AS asset_type,
       t.venue AS exchange
FROM (
    SELECT DISTINCT l.source, l.dataset, l.bar_seconds, coalesce(m.instrument_id, li.instrument_id) AS instrument_id
    FROM loads AS l
    JOIN load_instruments AS li USING (load_id)
    LEFT JOIN instrument_merges_as_of('infinity') AS m ON m.duplicate_id = li.instrument_id
    WHERE l.status = 'complete'
) AS u
CROSS JOIN LATERAL (
    SELECT t.symbol, t.kind, t.venue FROM instrument_terms AS t
    WHERE t.instrument_id = u.instrument_id AND t.valid_from <= current_date ORDER BY t.valid_from DESC LIMIT 1
) AS t;
