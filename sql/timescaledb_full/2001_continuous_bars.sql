-- Hourly and daily bars as continuous aggregates, where their fixed buckets are the session's own.
--
-- The buckets of a continuous aggregate lie on one grid for all time; ours starts at 03:45 UTC, when NSE has opened since
-- 2010. Sessions that open at another time (earlier years, muhurat), and those of whole hours, whose closing ticks would
-- fall into a bucket of their own, stay with the tables of the plain edition. The views put both together under the
-- names, columns and values that every edition has.
--
-- A bar belongs to the bucket in which it started and carries the time of its close: (open, close]. Ticks belong to
-- [open, close). So there are two aggregates, the one of minute bars on a grid that is one microsecond later. Bars of
-- another length may reach over the edge of a bucket and stay with the tables, too.

ALTER TABLE options_hourly RENAME TO irregular_hourly_bars;
ALTER TABLE options_daily RENAME TO irregular_daily_bars;
COMMENT ON TABLE irregular_hourly_bars IS
    'Hours of sessions that do not lie on the grid of the continuous aggregates, and of bars of other lengths.';
COMMENT ON TABLE irregular_daily_bars IS
    'Sessions that do not lie on the grid of the continuous aggregates, and what is made of bars of other lengths.';
-- Bars whose observations retention has deleted cannot be made again: they stay where they are.
DELETE FROM irregular_hourly_bars WHERE bucket >= bars_horizon();
DELETE FROM irregular_daily_bars WHERE bucket >= bars_horizon();

CREATE FUNCTION is_regular_session(session_open timestamptz, session_close timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $function$
    SELECT extract(epoch FROM session_open - timestamptz '2000-01-01 03:45:00+00')::bigint % 86400 = 0
       AND extract(epoch FROM session_close - session_open)::bigint % 3600 <> 0
       AND session_close - session_open < interval '1 day'
$function$;

-- The first and last values are exact and steady on ties: the smallest and largest of (instant, sequence, value).
CREATE MATERIALIZED VIEW hourly_tick_bars WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT time_bucket(interval '1 hour', "timestamp", origin => timestamptz '2000-01-01 03:45:00+00') AS bucket,
       instrument_id, bar_seconds, source,
       (min(ARRAY[extract(epoch FROM "timestamp"), sequence, open]))[3] AS open, max(high) AS high, min(low) AS low,
       (max(ARRAY[extract(epoch FROM "timestamp"), sequence, close]))[3] AS close, sum(volume) AS volume,
       (max(ARRAY[extract(epoch FROM "timestamp"), sequence, open_interest]))[3] AS open_interest,
       count(*) AS observations
FROM options_ticks WHERE bar_seconds = 0
GROUP BY 1, instrument_id, bar_seconds, source WITH NO DATA;

CREATE MATERIALIZED VIEW hourly_minute_bars WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT time_bucket(interval '1 hour', "timestamp", origin => timestamptz '2000-01-01 03:45:00.000001+00') AS bucket,
       instrument_id, bar_seconds, source,
       (min(ARRAY[extract(epoch FROM "timestamp"), sequence, open]))[3] AS open, max(high) AS high, min(low) AS low,
       (max(ARRAY[extract(epoch FROM "timestamp"), sequence, close]))[3] AS close, sum(volume) AS volume,
       (max(ARRAY[extract(epoch FROM "timestamp"), sequence, open_interest]))[3] AS open_interest,
       count(*) AS observations
FROM options_ticks WHERE bar_seconds = 60
GROUP BY 1, instrument_id, bar_seconds, source WITH NO DATA;

CREATE MATERIALIZED VIEW daily_tick_bars WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT time_bucket(interval '1 day', bucket, origin => timestamptz '2000-01-01 03:45:00+00') AS bucket,
       instrument_id, bar_seconds, source,
       (min(ARRAY[extract(epoch FROM bucket), open]))[2] AS open, max(high) AS high, min(low) AS low,
       (max(ARRAY[extract(epoch FROM bucket), close]))[2] AS close, sum(volume) AS volume,
       (max(ARRAY[extract(epoch FROM bucket), open_interest]))[2] AS open_interest,
       sum(observations) AS observations
FROM hourly_tick_bars
GROUP BY 1, instrument_id, bar_seconds, source WITH NO DATA;

CREATE MATERIALIZED VIEW daily_minute_bars WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT time_bucket(interval '1 day', bucket, origin => timestamptz '2000-01-01 03:45:00.000001+00') AS bucket,
       instrument_id, bar_seconds, source,
       (min(ARRAY[extract(epoch FROM bucket), open]))[2] AS open, max(high) AS high, min(low) AS low,
       (max(ARRAY[extract(epoch FROM bucket), close]))[2] AS close, sum(volume) AS volume,
       (max(ARRAY[extract(epoch FROM bucket), open_interest]))[2] AS open_interest,
       sum(observations) AS observations
FROM hourly_minute_bars
GROUP BY 1, instrument_id, bar_seconds, source WITH NO DATA;

CREATE VIEW options_hourly AS
WITH regular AS (
    SELECT open AS session_open, close AS session_close FROM sessions
    WHERE market = 'NSE' AND segment = 'FO' AND is_regular_session(open, close)
)
SELECT b.bucket, b.instrument_id, b.bar_seconds, b.source, b.open, b.high, b.low, b.close, b.volume,
       b.open_interest::bigint AS open_interest, b.observations
FROM (SELECT * FROM hourly_tick_bars
      UNION ALL
      SELECT bucket - interval '1 microsecond', instrument_id, bar_seconds, source, open, high, low, close, volume,
             open_interest, observations
      FROM hourly_minute_bars) AS b
JOIN regular AS r ON r.session_open = date_bin('1 day', b.bucket, timestamptz '2000-01-01 03:45:00+00')
                 AND b.bucket < r.session_close
UNION ALL
SELECT * FROM irregular_hourly_bars;
COMMENT ON VIEW options_hourly IS 'Session hours of an option; bucket is the start of the hour.';

CREATE VIEW options_daily AS
WITH regular AS (
    SELECT open AS session_open FROM sessions
    WHERE market = 'NSE' AND segment = 'FO' AND is_regular_session(open, close)
)
SELECT b.bucket, b.instrument_id, b.bar_seconds, b.source, b.open, b.high, b.low, b.close, b.volume,
       b.open_interest::bigint AS open_interest, b.observations::bigint AS observations
FROM (SELECT * FROM daily_tick_bars
      UNION ALL
      SELECT bucket - interval '1 microsecond', instrument_id, bar_seconds, source, open, high, low, close, volume,
             open_interest, observations
      FROM daily_minute_bars) AS b
JOIN regular AS r ON r.session_open = b.bucket
UNION ALL
SELECT * FROM irregular_daily_bars;
COMMENT ON VIEW options_daily IS 'Sessions of an option; bucket is the open of the session.';

-- What of a regular session stays with the tables: resolutions whose bars may reach over the edge of a bucket.
CREATE FUNCTION session_other_hours(session_open timestamptz, session_close timestamptz)
RETURNS SETOF irregular_hourly_bars
LANGUAGE sql STABLE AS $function$
    SELECT * FROM session_hourly_bars(session_open, session_close) WHERE bar_seconds NOT IN (0, 60)
$function$;

CREATE FUNCTION session_other_days(session_open timestamptz, session_close timestamptz)
RETURNS SETOF irregular_hourly_bars
LANGUAGE sql STABLE AS $function$
    SELECT * FROM session_daily_bars(session_open, session_close) WHERE bar_seconds NOT IN (0, 60)
$function$;

CREATE OR REPLACE FUNCTION refresh_session_bars(session_open timestamptz, session_close timestamptz) RETURNS void
LANGUAGE plpgsql AS $function$
DECLARE
    regular boolean := is_regular_session(session_open, session_close);
    step record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('refresh_bars|' || session_open::text, 0));
    FOR step IN SELECT * FROM (VALUES
        ('irregular_hourly_bars', CASE WHEN regular THEN 'session_other_hours' ELSE 'session_hourly_bars' END),
        ('irregular_daily_bars', CASE WHEN regular THEN 'session_other_days' ELSE 'session_daily_bars' END))
        AS steps (bars, computed)
    LOOP
        EXECUTE format('CREATE TEMP TABLE fresh_bars ON COMMIT DROP AS SELECT * FROM %I($1, $2)', step.computed)
            USING session_open, session_close;
        EXECUTE format($sql$
            DELETE FROM %1$I AS b WHERE b.bucket >= $1 AND b.bucket <= $2 AND NOT EXISTS (
                SELECT FROM fresh_bars AS f WHERE (f.bucket, f.instrument_id, f.bar_seconds, f.source)
                                                = (b.bucket, b.instrument_id, b.bar_seconds, b.source))
            $sql$, step.bars) USING session_open, session_close;
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
    grid constant timestamptz := '2000-01-01 03:45:00+00';
    -- A bucket that is only partly inside the window would be left out, and the server rounds the window as if the grid
    -- began at midnight: a day more on both sides makes up for that. Only what changed is computed. Days before the
    -- horizon, which is a midnight, have no observations any more: their bars would be deleted.
    first constant timestamptz := greatest(date_bin('1 day', window_start, grid) - interval '1 day', bars_horizon());
    last constant timestamptz := greatest(date_bin('1 day', window_end, grid), first) + interval '2 days';
    touched record;
BEGIN
    COMMIT;
    IF window_end > bars_horizon() THEN
        CALL refresh_continuous_aggregate('hourly_tick_bars', first, last);
        CALL refresh_continuous_aggregate('hourly_minute_bars', first, last);
        CALL refresh_continuous_aggregate('daily_tick_bars', first, last);
        CALL refresh_continuous_aggregate('daily_minute_bars', first, last);
    END IF;
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

-- A database that had the tables until now has them made again by the next import.
INSERT INTO pending_bars (window_start, window_end, load_id)
SELECT trade_date::timestamp AT TIME ZONE 'Asia/Kolkata', (trade_date + 1)::timestamp AT TIME ZONE 'Asia/Kolkata', load_id
FROM loads WHERE dataset = 'options_ticks' AND status = 'complete'
ON CONFLICT DO NOTHING;
