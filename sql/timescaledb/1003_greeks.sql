-- Greeks are read and rewritten a session at a time, like the options they belong to.
SELECT create_hypertable('option_greeks', by_range('timestamp', interval '1 day'),
                         create_default_indexes => false, migrate_data => true);
