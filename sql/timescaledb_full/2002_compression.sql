-- Compression of old chunks, by our own call.
--
-- Segments are few and long: a segment per contract would leave contracts that trade a few times a day with batches of a
-- few rows each. Within a segment the rows of a contract lie together, and each batch knows its lowest and highest
-- contract, which is what reads and corrections look for.
ALTER TABLE options_ticks SET (timescaledb.compress, timescaledb.compress_segmentby = 'bar_seconds, source',
                               timescaledb.compress_orderby = 'instrument_id, "timestamp", sequence');
ALTER TABLE futures_ticks SET (timescaledb.compress, timescaledb.compress_segmentby = 'bar_seconds, source',
                               timescaledb.compress_orderby = 'instrument_id, "timestamp", sequence');
ALTER TABLE spot_prices SET (timescaledb.compress, timescaledb.compress_segmentby = 'bar_seconds, source',
                             timescaledb.compress_orderby = 'instrument_id, "timestamp", sequence');
ALTER TABLE equity_daily SET (timescaledb.compress, timescaledb.compress_segmentby = 'bar_seconds, source',
                              timescaledb.compress_orderby = 'instrument_id, "timestamp", sequence');

-- Rows that were corrected or added since leave a chunk partly compressed; it is compressed again.
CREATE OR REPLACE PROCEDURE compress_observations(name text, before timestamptz)
LANGUAGE plpgsql AS $procedure$
DECLARE
    partly constant integer := 8;
    old record;
    size_before bigint;
BEGIN
    FOR old IN
        SELECT format('%I.%I', i.chunk_schema, i.chunk_name)::regclass AS chunk, i.chunk_name
        FROM timescaledb_information.chunks AS i
        JOIN _timescaledb_catalog.chunk AS c ON c.schema_name = i.chunk_schema AND c.table_name = i.chunk_name
        WHERE i.hypertable_name = name AND i.range_end <= before AND (NOT i.is_compressed OR c.status & partly <> 0)
        ORDER BY i.range_end
    LOOP
        SELECT total_bytes INTO size_before FROM chunks_detailed_size(name::regclass) WHERE chunk_name = old.chunk_name;
        PERFORM compress_chunk(old.chunk, true);
        INSERT INTO storage_log (table_name, action, object, bytes_before, bytes_after)
        SELECT name, 'compressed', old.chunk::text, size_before, total_bytes
        FROM chunks_detailed_size(name::regclass) WHERE chunk_name = old.chunk_name;
        COMMIT;
    END LOOP;
END
$procedure$;

-- A merge may touch more compressed rows than the server lets one transaction decompress; and a look-up by key would
-- decompress a batch for every row.
CREATE OR REPLACE FUNCTION prepare_merge(few boolean) RETURNS void
LANGUAGE sql AS $function$
    SELECT set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true),
           set_config('enable_nestloop', 'off', true);
$function$;
