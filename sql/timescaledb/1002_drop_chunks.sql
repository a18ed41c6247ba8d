-- Retention by chunks: nothing is rewritten, and nothing of a chunk that reaches past the instant is touched.
CREATE OR REPLACE FUNCTION drop_observations(name text, before timestamptz) RETURNS timestamptz
LANGUAGE plpgsql AS $function$
DECLARE
    horizon timestamptz := '-infinity';
    old record;
BEGIN
    FOR old IN
        SELECT format('%I.%I', chunk_schema, chunk_name)::regclass AS chunk, range_end
        FROM timescaledb_information.chunks
        WHERE hypertable_name = name AND range_end <= before ORDER BY range_end
    LOOP
        INSERT INTO storage_log (table_name, action, object, bytes_before)
        VALUES (name, 'dropped', old.chunk::text, pg_total_relation_size(old.chunk));
        horizon := old.range_end;
    END LOOP;
    IF horizon > '-infinity' THEN
        PERFORM drop_chunks(name::regclass, older_than => horizon);
    END IF;
    RETURN horizon;
END
$function$;
