CREATE OR REPLACE FUNCTION drop_observations(name text, before timestamptz) RETURNS timestamptz
LANGUAGE plpgsql AS $function$
DECLARE
    horizon constant timestamptz := date_trunc('day', before, 'UTC');
    gone bigint;
BEGIN
    EXECUTE format('DELETE FROM %I WHERE "timestamp" < $1', name) USING horizon;
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF gone > 0 THEN
        INSERT INTO storage_log (table_name, action, object, rows) VALUES (name, 'dropped', 'rows before ' || horizon, gone);
    END IF;
    RETURN horizon;
END
$function$;
