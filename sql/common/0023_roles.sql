-- Who may do what: three group roles without a login of their own, to be granted to the logins of people and services.
--
-- pipeline_reader    looks at everything, changes nothing
-- pipeline_loader    imports, exports, reconciles: adds and corrects, but never rewrites what is only ever added to
-- pipeline_migrator  owns the schema and upgrades it; decides what is kept for how long
--
-- Roles belong to the server, not to the database: another database may have made them, and another administrator may
-- be the only one who can. So nothing here fails for want of a right: what could not be done is told, and done by the
-- next call of apply_privileges. Only the product's own objects are touched: those that schema_snapshot names.

CREATE FUNCTION create_roles() RETURNS text[]
LANGUAGE plpgsql AS $function$
DECLARE
    role_name text;
    problems text[] := '{}';
BEGIN
    FOREACH role_name IN ARRAY ARRAY['pipeline_reader', 'pipeline_loader', 'pipeline_migrator'] LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = role_name);
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL;  -- another database of this server was upgraded at the same moment
            WHEN insufficient_privilege THEN
                problems := problems || format('role %s is missing, and %s may not create roles', role_name, current_user);
        END;
    END LOOP;
    RETURN problems;
END
$function$;
COMMENT ON FUNCTION create_roles IS 'Make the group roles where they are missing; gives what could not be done.';

-- What a loader may do to a table. What a later migration adds is read and written like any other table until it says
-- otherwise here.
CREATE FUNCTION loader_privileges(table_name text) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $function$
    SELECT CASE
        -- The schema's own books, and how long anything is kept.
        WHEN table_name IN ('schema_migrations', 'schema_snapshot', 'storage_policies', 'dropped_observations')
            THEN ARRAY['SELECT']
        WHEN table_name = 'knowledge_clock' THEN ARRAY['SELECT', 'UPDATE']
        -- Only ever added to: earlier versions, where rows came from, what was refused, found, stated and proven.
        WHEN table_name LIKE '%\_history' OR table_name IN (
            'catalog_readbacks', 'certificates', 'instrument_merges', 'instruments', 'load_files', 'load_instruments',
            'quality_results', 'quality_verdicts', 'quarantine', 'source_precedences', 'storage_log', 'terms_loads',
            'terms_refusals')
            THEN ARRAY['INSERT', 'SELECT']
        -- Brought to their end, never taken away.
        WHEN table_name IN ('cache_statistics', 'catalogs', 'loads', 'market_rules_ledger', 'migrated_bundles',
                            'migrated_stores')
            THEN ARRAY['INSERT', 'SELECT', 'UPDATE']
        ELSE ARRAY['DELETE', 'INSERT', 'SELECT', 'UPDATE']
    END
$function$;
COMMENT ON FUNCTION loader_privileges IS 'What pipeline_loader may do to a table.';

-- Volatile functions that change the schema, or delete without asking a policy.
CREATE FUNCTION owner_functions() RETURNS text[]
LANGUAGE sql IMMUTABLE AS $function$
    SELECT ARRAY['apply_privileges', 'create_observation_knowledge', 'create_observation_table', 'create_roles',
                 'drop_observations', 'forget_observations', 'keep_known_versions', 'set_type_of_sizes']
$function$;
COMMENT ON FUNCTION owner_functions IS 'Functions that are for the owner of the schema alone.';

CREATE FUNCTION privileges() RETURNS TABLE (
    kind text, object text, owner text, wanted_owner text, role text, found text[], wanted text[])
LANGUAGE plpgsql STABLE AS $function$
DECLARE
    aggregates text[] := '{}';
BEGIN
    IF to_regclass('timescaledb_information.continuous_aggregates') IS NOT NULL THEN
        EXECUTE 'SELECT coalesce(array_agg(view_name::text), ''{}'') FROM timescaledb_information.continuous_aggregates'
                ' WHERE view_schema = current_schema()' INTO aggregates;
    END IF;
    RETURN QUERY
    WITH own AS (
        SELECT e ->> 0 AS kind, e ->> 2 AS name FROM schema_snapshot, jsonb_array_elements(objects) AS e WHERE e ->> 1 = ''
        UNION ALL VALUES ('table', 'schema_migrations'), ('table', 'schema_snapshot')
    ), things AS (
        SELECT CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind,
               CASE WHEN c.relname::text = ANY (aggregates) THEN 'materialized view'
                    WHEN c.relkind = 'v' THEN 'view' WHEN c.relkind = 'm' THEN 'materialized view'
                    WHEN c.relkind = 'S' THEN 'sequence' ELSE 'table' END AS altered_as,
               c.relname::text AS name, format('%I', c.relname) AS object, c.relowner AS owner_id,
               coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r'::"char" END, c.relowner))
                   AS acl, c.relkind::text AS shape, NULL::text AS volatility,
               EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                       AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND c.relkind = 'S') AS follows
        FROM pg_class AS c
        WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
          AND (CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence'
                              ELSE 'table' END, c.relname::text) IN (SELECT o.kind, o.name FROM own AS o)
        UNION ALL
        SELECT CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END,
               CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END,
               p.proname::text, format('%I(%s)', p.proname, oidvectortypes(p.proargtypes)), p.proowner,
               coalesce(p.proacl, acldefault('f', p.proowner)), CASE WHEN p.prorettype = 'trigger'::regtype THEN 't' ELSE 'f' END,
               p.provolatile::text, false
        FROM pg_proc AS p
        WHERE p.pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
          AND (CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END,
               format('%s(%s)', p.proname, oidvectortypes(p.proargtypes))) IN (SELECT o.kind, o.name FROM own AS o)
    )
    SELECT t.altered_as, t.object, pg_get_userbyid(t.owner_id)::text,
           -- The server lets only its owner refresh a continuous aggregate. A sequence goes with its table.
           CASE WHEN t.follows THEN NULL WHEN t.name = ANY (aggregates) THEN 'pipeline_loader'
                ELSE 'pipeline_migrator' END,
           r.role,
           coalesce((SELECT array_agg(DISTINCT x.privilege_type ORDER BY x.privilege_type) FROM aclexplode(t.acl) AS x
                     WHERE x.grantee = r.role_id AND x.grantee <> t.owner_id), '{}'),
           CASE
               WHEN r.role = 'public' THEN '{}'
               WHEN r.role = 'pipeline_migrator' THEN
                   CASE WHEN t.name = ANY (aggregates) THEN ARRAY['SELECT'] ELSE '{}' END
               WHEN r.role = 'pipeline_reader' THEN
                   CASE WHEN t.kind = 'table' THEN ARRAY['SELECT']
                        WHEN t.kind = 'function' AND t.shape = 'f' AND t.volatility <> 'v' THEN ARRAY['EXECUTE']
                        ELSE '{}' END
               ELSE
                   CASE WHEN t.name = ANY (aggregates) THEN '{}'
                        WHEN t.shape IN ('v', 'm') THEN ARRAY['SELECT']
                        WHEN t.kind = 'table' THEN loader_privileges(t.name)
                        WHEN t.kind = 'sequence' THEN ARRAY['USAGE']
                        WHEN t.shape = 't' OR t.name = ANY (owner_functions()) THEN '{}'
                        ELSE ARRAY['EXECUTE'] END
           END::text[]
    FROM things AS t
    CROSS JOIN (SELECT rolname::text AS role, oid AS role_id FROM pg_roles
                WHERE rolname IN ('pipeline_reader', 'pipeline_loader', 'pipeline_migrator')
                UNION ALL SELECT 'public', 0) AS r
    ORDER BY 1, 2, 5;
END
$function$;
COMMENT ON FUNCTION privileges IS 'Owner and rights of every object of the product for every role: found, and wanted.';

CREATE FUNCTION apply_privileges() RETURNS text[]
LANGUAGE plpgsql AS $function$
DECLARE
    home constant text := current_schema();
    problems text[] := create_roles();
    refused integer := 0;
    reason text;
    membership text[];
    thing record;
BEGIN
    IF cardinality(problems) > 0 THEN
        RETURN problems;
    END IF;
    -- The owner of the schema must be able to change, and hand over, what it does not own itself; and who upgrades now
    -- must be able to hand over what is its own.
    FOREACH membership SLICE 1 IN ARRAY ARRAY[['pipeline_loader', 'pipeline_migrator'],
                                              ['pipeline_migrator', current_user::text]] LOOP
        CONTINUE WHEN pg_has_role(membership[2], membership[1], 'MEMBER');
        BEGIN
            EXECUTE format('GRANT %I TO %I', membership[1], membership[2]);
        EXCEPTION WHEN OTHERS THEN
            -- Another database of this server may have said the same at the same moment.
            IF NOT pg_has_role(membership[2], membership[1], 'MEMBER') THEN
                problems := problems || format('%s is no member of %s: %s', membership[2], membership[1], SQLERRM);
            END IF;
        END;
    END LOOP;
    BEGIN
        IF has_schema_privilege('public', home, 'CREATE') THEN
            EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', home);
        END IF;
        IF NOT has_schema_privilege('pipeline_migrator', home, 'CREATE') THEN
            EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO pipeline_migrator', home);
        END IF;
        IF NOT has_schema_privilege('pipeline_loader', home, 'USAGE')
           OR NOT has_schema_privilege('pipeline_reader', home, 'USAGE') THEN
            EXECUTE format('GRANT USAGE ON SCHEMA %I TO pipeline_loader, pipeline_reader', home);
        END IF;
    EXCEPTION WHEN insufficient_privilege THEN
        problems := problems || format('rights on schema %s: %s', home, SQLERRM);
    END;

    FOR thing IN SELECT DISTINCT p.kind, p.object, p.wanted_owner FROM privileges() AS p
                 WHERE p.owner <> p.wanted_owner ORDER BY 1, 2 LOOP
        BEGIN
            -- Who takes over must be able to create there; a loader is only for this moment.
            IF thing.wanted_owner = 'pipeline_loader' THEN
                EXECUTE format('GRANT CREATE ON SCHEMA %I TO pipeline_loader', home);
            END IF;
            EXECUTE format('ALTER %s %s OWNER TO %I', thing.kind, thing.object, thing.wanted_owner);
            IF thing.wanted_owner = 'pipeline_loader' THEN
                EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM pipeline_loader', home);
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            refused := refused + 1;
            reason := SQLERRM;
        END;
    END LOOP;
    IF refused > 0 THEN
        problems := problems || format('%s objects keep another owner: %s', refused, reason);
    END IF;

    refused := 0;
    FOR thing IN SELECT p.kind, p.object, CASE p.role WHEN 'public' THEN 'PUBLIC' ELSE p.role END AS role, p.wanted
                 FROM privileges() AS p WHERE p.found <> p.wanted AND p.role IS DISTINCT FROM p.wanted_owner LOOP
        BEGIN
            EXECUTE format('REVOKE ALL ON %s %s FROM %s', replace(replace(thing.kind, 'materialized ', ''), 'view', 'table'),
                           thing.object, thing.role);
            IF cardinality(thing.wanted) > 0 THEN
                EXECUTE format('GRANT %s ON %s %s TO %s', array_to_string(thing.wanted, ', '),
                               replace(replace(thing.kind, 'materialized ', ''), 'view', 'table'), thing.object, thing.role);
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            refused := refused + 1;
            reason := SQLERRM;
        END;
    END LOOP;
    IF refused > 0 THEN
        problems := problems || format('rights on %s objects are not as declared: %s', refused, reason);
    END IF;
    RETURN problems;
END
$function$;
COMMENT ON FUNCTION apply_privileges IS
    'Give every object of the product its owner and its rights, where they differ; gives what could not be done.';

-- Retention deletes what a loader may not touch, so it does so in the owner's name; and only what a policy says, which
-- a loader cannot write.
CREATE FUNCTION forget_expired_observations(name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $function$
DECLARE
    age constant interval := (SELECT keep_for FROM storage_policies AS p WHERE p.table_name = name);
BEGIN
    IF age IS NOT NULL THEN
        PERFORM forget_observations(name, now() - age);
    END IF;
END
$function$;
COMMENT ON FUNCTION forget_expired_observations IS 'Delete observations that are older than their policy keeps them.';

-- A name that a caller made must not stand before ours where we act for the owner.
DO $body$
BEGIN
    EXECUTE format('ALTER FUNCTION forget_expired_observations SET search_path = %I, pg_temp', current_schema());
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
            PERFORM forget_expired_observations(policy.table_name);
            COMMIT;
        END IF;
        IF policy.compress_after IS NOT NULL THEN
            CALL compress_observations(policy.table_name, now() - policy.compress_after);
        END IF;
    END LOOP;
END
$procedure$;
