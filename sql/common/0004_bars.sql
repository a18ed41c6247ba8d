-- Hourly and daily bars of options, kept by refresh_bars(from, to).
--
-- Buckets follow the exchange's session: the first hour starts at the session's open (09:15 at NSE), the daily bar is
-- the session. A bar belongs to the bucket in which it started, a tick to the bucket that holds it, and what is stamped
-- at the session's very close to the last bucket. Observations of different resolution are never mixed: bar_seconds
-- says what a bar was made of.

CREATE TABLE options_hourly (
    bucket timestamptz NOT NULL,
    instrument_id integer NOT NULL,
    bar_seconds integer NOT NULL,
    source text COLLATE "C" NOT NULL,
    open numeric,
    high numeric,
    low numeric,
    close numeric NOT NULL,
    volume numeric,
    open_interest bigint,
    observations bigint NOT NULL,
    PRIMARY KEY (bucket, instrument_id, bar_seconds, source)
);
COMMENT ON TABLE options_hourly IS 'Session hours of an option; bucket is the start of the hour.';

CREATE TABLE options_daily (LIKE options_hourly INCLUDING ALL);
COMMENT ON TABLE options_daily IS 'Sessions of an option; bucket is the open of the session.';

-- The first and last price of a group are looked up by key once the group's first and last instants are known: that is
-- measurably cheaper than carrying (instant, sequence, price) arrays through the aggregate.
CREATE FUNCTION session_hourly_bars(session_open timestamptz, session_close timestamptz)
RETURNS SETOF options_hourly
LANGUAGE sql STABLE AS $function$
    WITH grouped AS (
        SELECT least(
                   date_bin('1 hour', "timestamp" - make_interval(secs => bar_seconds), session_open),
                   date_bin('1 hour', session_close - interval '1 microsecond', session_open)) AS bucket,
               instrument_id, bar_seconds, source,
               min("timestamp") AS first_timestamp, max("timestamp") AS last_timestamp,
               max(high) AS high, min(low) AS low, sum(volume) AS volume, count(*) AS observations
        FROM options_ticks
        WHERE "timestamp" >= session_open AND "timestamp" <= session_close AND bar_seconds <= 3600
        GROUP BY 1, instrument_id, bar_seconds, source
    )
    SELECT g.bucket, g.instrument_id, g.bar_seconds, g.source,
           first.open, g.high, g.low, last.close, g.volume, last.open_interest, g.observations
    FROM grouped AS g
    CROSS JOIN LATERAL (
        SELECT o.open FROM options_ticks AS o
        WHERE o."timestamp" = g.first_timestamp AND o.instrument_id = g.instrument_id
          AND o.bar_seconds = g.bar_seconds AND o.source = g.source
        ORDER BY o.sequence LIMIT 1) AS first
    CROSS JOIN LATERAL (
        SELECT o.close, o.open_interest FROM options_ticks AS o
        WHERE o."timestamp" = g.last_timestamp AND o.instrument_id = g.instrument_id
          AND o.bar_seconds = g.bar_seconds AND o.source = g.source
        ORDER BY o.sequence DESC LIMIT 1) AS last
$function$;

CREATE FUNCTION session_daily_bars(session_open timestamptz, session_close timestamptz)
RETURNS SETOF options_hourly
LANGUAGE sql STABLE AS $function$
    SELECT session_open, instrument_id, bar_seconds, source,
           (array_agg(open ORDER BY bucket))[1], max(high), min(low), (array_agg(close ORDER BY bucket DESC))[1],
           sum(volume), (array_agg(open_interest ORDER BY bucket DESC))[1], sum(observations)::bigint
    FROM options_hourly
    WHERE bucket >= session_open AND bucket < session_close
    GROUP BY instrument_id, bar_seconds, source
    UNION ALL
    SELECT session_open, instrument_id, bar_seconds, source, open, high, low, close, volume, open_interest, 1
    FROM options_ticks
    WHERE "timestamp" > session_open AND "timestamp" <= session_close AND bar_seconds > 3600
$function$;

CREATE FUNCTION refresh_session_bars(session_open timestamptz, session_close timestamptz) RETURNS void
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

CREATE PROCEDURE refresh_bars(window_start timestamptz, window_end timestamptz)
LANGUAGE plpgsql AS $procedure$
DECLARE
    touched record;
BEGIN
    -- Refuses to run inside a transaction, as the refresh of a continuous aggregate does: the misuse shows everywhere.
    COMMIT;
    FOR touched IN
        SELECT open, close FROM sessions
        WHERE market = 'NSE' AND segment = 'FO' AND open < window_end AND close >= window_start
        ORDER BY open
    LOOP
        PERFORM refresh_session_bars(touched.open, touched.close);
        COMMIT;
    END LOOP;
END
$procedure$;
COMMENT ON PROCEDURE refresh_bars IS
    'Bring options_hourly and options_daily up to date with options_ticks for every session that touches the window.';
