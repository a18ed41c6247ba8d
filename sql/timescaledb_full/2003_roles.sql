-- Only the owner of a table may compress its chunks: a loader does so in the owner's name, one of the product's chunks
-- at a time. It loses nothing by that.
CREATE FUNCTION compress_observation_chunk(name text, chunk regclass) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $function$
DECLARE
    size_before bigint;
BEGIN
    IF NOT EXISTS (
        SELECT FROM timescaledb_information.chunks AS i JOIN storage_policies AS p ON p.table_name = i.hypertable_name
        WHERE i.hypertable_name = name AND format('%I.%I', i.chunk_schema, i.chunk_name)::regclass = chunk) THEN
        RAISE EXCEPTION '% is no chunk of a table of observations %', chunk, name;
    END IF;
    SELECT total_bytes INTO size_before FROM chunks_detailed_size(name::regclass) AS s
    WHERE format('%I.%I', s.chunk_schema, s.chunk_name)::regclass = chunk;
    PERFORM compress_chunk(chunk, true);
    INSERT INTO storage_log (table_name, action, object, bytes_before, bytes_after)
    SELECT name, 'compressed', chunk::text, size_before, total_bytes FROM chunks_detailed_size(name::regclass) AS s
    WHERE format('%I.%I', s.chunk_schema, s.chunk_name)::regclass = chunk;
END
$function$;
COMMENT ON FUNCTION compress_observation_chunk IS 'Compress a chunk of a table of observations, and note it.';

DO $body$
BEGIN
    EXECUTE format('ALTER FUNCTION compress_observation_chunk SET search_path = %I, pg_temp', current_schema());
END
$body$;

CREATE OR REPLACE PROCEDURE compress_observations(name text, before timestamptz)
LANGUAGE plpgsql AS $procedure$
DECLARE
    partly constant integer := 8;
    old record;
BEGIN
    FOR old IN
        SELECT format('%I.%I', i.chunk_schema, i.chunk_name)::regclass AS chunk
        FROM timescaledb_information.chunks AS i
        JOIN _timescaledb_catalog.chunk AS c ON c.schema_name = i.chunk_schema AND c.table_name = i.chunk_name
        WHERE i.hypertable_name = name AND i.range_end <= before AND (NOT i.is_compressed OR c.status & partly <> 0)
        ORDER BY i.range_end
    LOOP
        PERFORM compress_observation_chunk(name, old.chunk);
        COMMIT;
    END LOOP;
END
$procedure$;
