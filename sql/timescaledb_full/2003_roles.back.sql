-- Whoever maintains the storage owns its tables again.
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
DROP FUNCTION compress_observation_chunk;
