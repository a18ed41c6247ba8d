-- loses: when terms, rolled contracts and sessions became known, and their earlier versions; observations keep theirs
ALTER TABLE catalogs DROP COLUMN known_at;
DROP VIEW corrections;

CREATE FUNCTION drop_observation_knowledge(table_name text) RETURNS void
LANGUAGE plpgsql AS $function$
BEGIN
    EXECUTE format('DROP VIEW %I', table_name || '_corrections');
    EXECUTE format('DROP FUNCTION %I(timestamptz, timestamptz, timestamptz, timestamptz)', table_name || '_changes');
    EXECUTE format('DROP FUNCTION %I(timestamptz)', table_name || '_as_of');
    EXECUTE format('ALTER TABLE %I ADD COLUMN superseded_at timestamptz', table_name || '_history');
    EXECUTE format('UPDATE %I AS h SET superseded_at = l.committed_at FROM loads AS l WHERE l.load_id = h.superseded_by',
                   table_name || '_history');
    EXECUTE format('ALTER TABLE %I ALTER COLUMN superseded_at SET DEFAULT now(),'
                   ' ALTER COLUMN superseded_at SET NOT NULL', table_name || '_history');
    EXECUTE format('COMMENT ON TABLE %I IS %L', table_name || '_history', 'Earlier versions of ' || table_name
        || ': what was known until superseded_at, and the load that replaced it.');
END
$function$;
SELECT drop_observation_knowledge('options_ticks');
SELECT drop_observation_knowledge('futures_ticks');
SELECT drop_observation_knowledge('spot_prices');
SELECT drop_observation_knowledge('equity_daily');
DROP FUNCTION drop_observation_knowledge;
DROP FUNCTION create_observation_knowledge;

CREATE FUNCTION drop_known_versions(table_name text) RETURNS void
LANGUAGE plpgsql AS $function$
BEGIN
    EXECUTE format('DROP FUNCTION %I(timestamptz)', table_name || '_as_of');
    EXECUTE format('DROP TRIGGER keep_version ON %I', table_name);
    EXECUTE format('DROP TRIGGER stamp_version ON %I', table_name);
    EXECUTE format('DROP TABLE %I', table_name || '_history');
    EXECUTE format('ALTER TABLE %I DROP COLUMN known_from', table_name);
END
$function$;
SELECT drop_known_versions('instrument_terms');
SELECT drop_known_versions('continuous_contracts');
SELECT drop_known_versions('sessions');
DROP FUNCTION drop_known_versions;
DROP FUNCTION keep_known_versions;
DROP FUNCTION keep_version;
DROP FUNCTION stamp_version;

DROP INDEX loads_committed_at;
ALTER TABLE loads ALTER COLUMN committed_at SET DEFAULT now();
DROP FUNCTION stamp_knowledge;
DROP TABLE knowledge_clock;
