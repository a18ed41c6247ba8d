-- Compressed chunks are decompressed first: that takes time, and the room they had taken before.
DO $block$
DECLARE
    compressed record;
BEGIN
    FOR compressed IN
        SELECT format('%I.%I', chunk_schema, chunk_name)::regclass AS chunk
        FROM timescaledb_information.chunks WHERE is_compressed
        AND hypertable_name IN ('options_ticks', 'futures_ticks', 'spot_prices', 'equity_daily')
    LOOP
        PERFORM decompress_chunk(compressed.chunk);
    END LOOP;
END
$block$;
ALTER TABLE options_ticks SET (timescaledb.compress = false);
ALTER TABLE futures_ticks SET (timescaledb.compress = false);
ALTER TABLE spot_prices SET (timescaledb.compress = false);
ALTER TABLE equity_daily SET (timescaledb.compress = false);

CREATE OR REPLACE PROCEDURE compress_observations(name text, before timestamptz)
LANGUAGE plpgsql AS $procedure$
BEGIN
    NULL;
END
$procedure$;

CREATE OR REPLACE FUNCTION prepare_merge(few boolean) RETURNS void
LANGUAGE sql AS $function$
    -- Tables filled moments ago have no statistics. Many rows are hashed; few are looked up by their key.
    SELECT set_config('enable_nestloop', CASE WHEN few THEN 'on' ELSE 'off' END, true),
           set_config('enable_hashjoin', CASE WHEN few THEN 'off' ELSE 'on' END, true),
           set_config('enable_mergejoin', CASE WHEN few THEN 'off' ELSE 'on' END, true),
           set_config('enable_seqscan', CASE WHEN few THEN 'off' ELSE 'on' END, true);
$function$;
