-- Hypertables, on every edition of TimescaleDB. Chunks fit the traffic: a day of options is millions of rows, a year of
-- daily shares is half a million.
SELECT create_hypertable('options_ticks', by_range('timestamp', interval '1 day'),
                         create_default_indexes => false, migrate_data => true);
SELECT create_hypertable('futures_ticks', by_range('timestamp', interval '7 days'),
                         create_default_indexes => false, migrate_data => true);
SELECT create_hypertable('spot_prices', by_range('timestamp', interval '30 days'),
                         create_default_indexes => false, migrate_data => true);
SELECT create_hypertable('equity_daily', by_range('timestamp', interval '365 days'),
                         create_default_indexes => false, migrate_data => true);

-- A row that is inserted and deleted at once leaves its chunk behind; every edition can do that.
CREATE OR REPLACE PROCEDURE prepare_storage(table_name text, instant timestamptz)
LANGUAGE plpgsql AS $procedure$
BEGIN
    IF EXISTS (SELECT FROM timescaledb_information.chunks
               WHERE hypertable_name = table_name AND range_start <= instant AND range_end > instant) THEN
        RETURN;
    END IF;
    EXECUTE format('INSERT INTO %I ("timestamp", instrument_id, bar_seconds, sequence, source, close, load_id)'
                   ' VALUES ($1, 0, 0, 0, ''prepare_storage'', 1, 0) ON CONFLICT DO NOTHING', table_name) USING instant;
    EXECUTE format('DELETE FROM %I WHERE "timestamp" = $1 AND source = ''prepare_storage''', table_name) USING instant;
END
$procedure$;
