-- The roles stay: they belong to the server, and another database may use them. What this database gave them goes, and
-- who goes back owns everything again.
DO $body$
DECLARE
    thing record;
BEGIN
    FOR thing IN SELECT DISTINCT p.kind, p.object, p.owner, p.wanted_owner FROM privileges() AS p LOOP
        IF thing.wanted_owner IS NOT NULL AND thing.owner IN ('pipeline_migrator', 'pipeline_loader')
           AND thing.owner <> current_user THEN
            EXECUTE format('ALTER %s %s OWNER TO %I', thing.kind, thing.object, current_user);
        END IF;
    END LOOP;
    FOR thing IN SELECT p.kind, p.object, p.role FROM privileges() AS p
                 WHERE p.role <> 'public' AND p.role <> p.owner AND p.found <> '{}' LOOP
        EXECUTE format('REVOKE ALL ON %s %s FROM %I', replace(replace(thing.kind, 'materialized ', ''), 'view', 'table'),
                       thing.object, thing.role);
    END LOOP;
    FOR thing IN SELECT p.kind, p.object FROM privileges() AS p
                 WHERE p.role = 'public' AND p.kind IN ('function', 'procedure', 'aggregate') LOOP
        EXECUTE format('GRANT EXECUTE ON %s %s TO PUBLIC', thing.kind, thing.object);
    END LOOP;
    -- Its owner may be another one; what was given on the schema is then that one's to take.
    BEGIN
        FOR thing IN SELECT rolname FROM pg_roles
                     WHERE rolname IN ('pipeline_reader', 'pipeline_loader', 'pipeline_migrator') LOOP
            EXECUTE format('REVOKE ALL ON SCHEMA %I FROM %I', current_schema(), thing.rolname);
        END LOOP;
    EXCEPTION WHEN insufficient_privilege THEN
        NULL;
    END;
END
$body$;

CREATE OR REPLACE PROCEDURE maintain_storage(job_id integer DEFAULT NULL, config jsonb DEFAULT NULL)
LANGUAGE plpgsql AS $procedure$
DECLARE
    policy record;
BEGIN
    COMMIT;
    FOR policy IN SELECT * FROM storage_policies ORDER BY table_name LOOP
        IF policy.keep_for IS NOT NULL THEN
            PERFORM forget_observations(policy.table_name, now() - policy.keep_for);
            COMMIT;
        END IF;
        IF policy.compress_after IS NOT NULL THEN
            CALL compress_observations(policy.table_name, now() - policy.compress_after);
        END IF;
    END LOOP;
END
$procedure$;
DROP FUNCTION forget_expired_observations;
DROP FUNCTION apply_privileges;
DROP FUNCTION privileges;
DROP FUNCTION owner_functions;
DROP FUNCTION loader_privileges;
DROP FUNCTION create_roles;
