-- Bars become tables again, which the next import fills anew; those whose observations are gone are taken along.
DELETE FROM irregular_hourly_bars WHERE bucket >= bars_horizon();
DELETE FROM irregular_daily_bars WHERE bucket >= bars_horizon();
INSERT INTO irregular_hourly_bars SELECT * FROM options_hourly WHERE bucket < bars_horizon() ON CONFLICT DO NOTHING;
INSERT INTO irregular_daily_bars SELECT * FROM options_daily WHERE bucket < bars_horizon() ON CONFLICT DO NOTHING;
DROP VIEW options_daily;
DROP VIEW options_hourly;
DROP MATERIALIZED VIEW daily_minute_bars;
DROP MATERIALIZED VIEW daily_tick_bars;
DROP MATERIALIZED VIEW hourly_minute_bars;
DROP MATERIALIZED VIEW hourly_tick_bars;
DROP FUNCTION session_other_days;
DROP FUNCTION session_other_hours;
DROP FUNCTION is_regular_session;
ALTER TABLE irregular_hourly_bars RENAME TO options_hourly;
ALTER TABLE irregular_daily_bars RENAME TO options_daily;
COMMENT ON TABLE options_hourly IS 'Session hours of an option; bucket is the start of the hour.';
COMMENT ON TABLE options_daily IS 'Sessions of an option; bucket is the open of the session.';

CREATE OR REPLACE FUNCTION refresh_session_bars(session_open timestamptz, session_close timestamptz) RETURNS void
LANGUAGE plpgsql AS $function$
DECLARE
    step record;
BEGIN
    -- Two refreshes of one session queue; different sessions run side by side.
    PERFORM pg_advisory_xact_lock(hashtextextended('refresh_bars|' || session_open::text, 0));
    FOR step IN SELECT * FROM (VALUES ('options_hourly', 'session_hourly_bars'), ('options_daily', 'session_daily_bars'))
        AS steps (bars, computed)
    LOOP
        EXECUTE format('CREATE TEMP TABLE fresh_bars ON COMMIT DROP AS SELECT * FROM %I($1, $2)', step.computed)
            USING session_open, session_close;
        EXECUTE format($sql$
            DELETE FROM %1$I AS b WHERE b.bucket >= $1 AND b.bucket <= $2 AND NOT EXISTS (
                SELECT FROM fresh_bars AS f WHERE (f.bucket, f.instrument_id, f.bar_seconds, f.source)
                                                = (b.bucket, b.instrument_id, b.bar_seconds, b.source))
            $sql$, step.bars) USING session_open, session_close;
        -- Only bars that differ are written, so that a refresh of unchanged data leaves no trace.
        EXECUTE format($sql$
            INSERT INTO %1$I AS b SELECT f.* FROM fresh_bars AS f
            WHERE NOT EXISTS (SELECT FROM %1$I AS k WHERE k.* IS NOT DISTINCT FROM f.*
                AND (k.bucket, k.instrument_id, k.bar_seconds, k.source)
                  = (f.bucket, f.instrument_id, f.bar_seconds, f.source))
            ORDER BY f.bucket, f.instrument_id
            ON CONFLICT (bucket, instrument_id, bar_seconds, source) DO UPDATE
            SET open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
                volume = excluded.volume, open_interest = excluded.open_interest, observations = excluded.observations
            $sql$, step.bars);
        DROP TABLE fresh_bars;
    END LOOP;
END
$function$;

CREATE OR REPLACE PROCEDURE refresh_bars(window_start timestamptz, window_end timestamptz)
LANGUAGE plpgsql AS $procedure$
DECLARE
    touched record;
BEGIN
    -- Refuses to run inside a transaction, as the refresh of a continuous aggregate does: the misuse shows everywhere.
    COMMIT;
    FOR touched IN
        SELECT open, close FROM sessions
        WHERE market = 'NSE' AND segment = 'FO' AND open < window_end AND close >= window_start
          AND open >= bars_horizon()
        ORDER BY open
    LOOP
        PERFORM refresh_session_bars(touched.open, touched.close);
        COMMIT;
    END LOOP;
END
$procedure$;

INSERT INTO pending_bars (window_start, window_end, load_id)
SELECT trade_date::timestamp AT TIME ZONE 'Asia/Kolkata', (trade_date + 1)::timestamp AT TIME ZONE 'Asia/Kolkata', load_id
FROM loads WHERE dataset = 'options_ticks' AND status = 'complete'
ON CONFLICT DO NOTHING;
