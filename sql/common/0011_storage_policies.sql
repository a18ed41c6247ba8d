-- How long rows are kept, and when they are compressed. Nothing is deleted unless somebody said so.
--
-- The pipeline calls maintain_storage() itself. The server's own background policies fail in silence on current minor
-- versions of PostgreSQL, and a plain server has none.

CREATE TABLE storage_policies (
    table_name text PRIMARY KEY,
    compress_after interval CHECK (compress_after >= interval '1 day'),
    keep_for interval CHECK (keep_for >= interval '1 day')
);
COMMENT ON TABLE storage_policies IS
    'For each observation table: age at which it is compressed (null never), and at which it is deleted (null never).';
INSERT INTO storage_policies (table_name, compress_after) VALUES
    ('options_ticks', '30 days'), ('futures_ticks', '30 days'), ('spot_prices', '60 days'), ('equity_daily', '2 years');

CREATE TABLE dropped_observations (
    table_name text PRIMARY KEY,
    dropped_before timestamptz NOT NULL
);
COMMENT ON TABLE dropped_observations IS
    'Before this instant retention has deleted observations: their bars are kept, and never computed again.';

CREATE FUNCTION bars_horizon() RETURNS timestamptz
LANGUAGE sql STABLE AS $function$
    SELECT coalesce((SELECT dropped_before FROM dropped_observations WHERE table_name = 'options_ticks'), '-infinity')
$function$;
COMMENT ON FUNCTION bars_horizon IS 'Sessions that open before it have bars but no observations any more.';

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

-- Bars computed another way, by sorting: the first and last of each bucket are picked from ordered arrays.
CREATE FUNCTION check_bars(window_start timestamptz, window_end timestamptz)
RETURNS TABLE (bars text, bucket timestamptz, instrument_id integer, bar_seconds integer, source text,
               stored text, computed text)
LANGUAGE sql STABLE AS $function$
    WITH touched AS (
        SELECT open AS session_open, close AS session_close FROM sessions
        WHERE market = 'NSE' AND segment = 'FO' AND open < window_end AND close >= window_start
          AND open >= bars_horizon()
    ), hours AS MATERIALIZED (  -- what may be a view of many parts is read once
        SELECT * FROM options_hourly AS h
        WHERE h.bucket >= window_start - interval '1 day' AND h.bucket < window_end + interval '1 day'
    ), days AS MATERIALIZED (
        SELECT * FROM options_daily AS d WHERE d.bucket >= window_start - interval '1 day' AND d.bucket < window_end
    ), placed AS (
        SELECT s.session_open,
               s.session_open + interval '1 hour' * least(
                   floor(extract(epoch FROM o."timestamp" - make_interval(secs => o.bar_seconds) - s.session_open) / 3600),
                   ceil(extract(epoch FROM s.session_close - s.session_open) / 3600) - 1) AS hour,
               o.*
        FROM touched AS s
        JOIN options_ticks AS o ON o."timestamp" >= s.session_open AND o."timestamp" <= s.session_close
    ), computed AS (
        SELECT 'options_hourly' AS bars, p.hour AS bucket, p.instrument_id, p.bar_seconds, p.source,
               row(trim_scale((array_agg(p.open ORDER BY p."timestamp", p.sequence))[1]),
                   trim_scale(max(p.high)), trim_scale(min(p.low)),
                   trim_scale((array_agg(p.close ORDER BY p."timestamp" DESC, p.sequence DESC))[1]),
                   sum(p.volume)::numeric,
                   (array_agg(p.open_interest ORDER BY p."timestamp" DESC, p.sequence DESC))[1], count(*))::text AS value
        FROM placed AS p WHERE p.bar_seconds <= 3600
        GROUP BY 2, 3, 4, 5
        UNION ALL
        SELECT 'options_daily', p.session_open, p.instrument_id, p.bar_seconds, p.source,
               row(trim_scale((array_agg(p.open ORDER BY p."timestamp", p.sequence))[1]),
                   trim_scale(max(p.high)), trim_scale(min(p.low)),
                   trim_scale((array_agg(p.close ORDER BY p."timestamp" DESC, p.sequence DESC))[1]),
                   sum(p.volume)::numeric,
                   (array_agg(p.open_interest ORDER BY p."timestamp" DESC, p.sequence DESC))[1], count(*))::text
        FROM placed AS p
        GROUP BY 2, 3, 4, 5
    ), stored AS (
        SELECT 'options_hourly' AS bars, b.bucket, b.instrument_id, b.bar_seconds, b.source,
               row(trim_scale(b.open), trim_scale(b.high), trim_scale(b.low), trim_scale(b.close), b.volume,
                   b.open_interest, b.observations)::text AS value
        FROM touched AS s JOIN hours AS b ON b.bucket >= s.session_open AND b.bucket < s.session_close
        UNION ALL
        SELECT 'options_daily', b.bucket, b.instrument_id, b.bar_seconds, b.source,
               row(trim_scale(b.open), trim_scale(b.high), trim_scale(b.low), trim_scale(b.close), b.volume,
                   b.open_interest, b.observations)::text
        FROM touched AS s JOIN days AS b ON b.bucket >= s.session_open AND b.bucket < s.session_close
    )
    SELECT bars, bucket, instrument_id, bar_seconds, source, s.value, c.value
    FROM stored AS s FULL JOIN computed AS c USING (bars, bucket, instrument_id, bar_seconds, source)
    WHERE s.value IS DISTINCT FROM c.value
    ORDER BY 1, 2, 3, 4, 5
$function$;
COMMENT ON FUNCTION check_bars IS
    'Buckets of the sessions that touch the window whose bars are not what their observations say; none is right.';

-- What the layers of TimescaleDB do better or alone: they replace the bodies below.

CREATE FUNCTION prepare_merge(few boolean) RETURNS void
LANGUAGE sql AS $function$
    -- Tables filled moments ago have no statistics. Many rows are hashed; few are looked up by their key.
    SELECT set_config('enable_nestloop', CASE WHEN few THEN 'on' ELSE 'off' END, true),
           set_config('enable_hashjoin', CASE WHEN few THEN 'off' ELSE 'on' END, true),
           set_config('enable_mergejoin', CASE WHEN few THEN 'off' ELSE 'on' END, true),
           set_config('enable_seqscan', CASE WHEN few THEN 'off' ELSE 'on' END, true);
$function$;
COMMENT ON FUNCTION prepare_merge IS
    'Set the running transaction up to compare incoming rows, few or many, with the stored ones.';

CREATE TABLE storage_log (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    happened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    table_name text NOT NULL,
    action text NOT NULL CHECK (action IN ('compressed', 'dropped')),
    object text NOT NULL,
    bytes_before bigint,
    bytes_after bigint,
    rows bigint
);
COMMENT ON TABLE storage_log IS 'What maintain_storage compressed and dropped.';

CREATE PROCEDURE compress_observations(name text, before timestamptz)
LANGUAGE plpgsql AS $procedure$
BEGIN
    NULL;
END
$procedure$;
COMMENT ON PROCEDURE compress_observations IS 'Compress what is older; nothing where the server cannot.';

CREATE FUNCTION drop_observations(name text, before timestamptz) RETURNS timestamptz
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
COMMENT ON FUNCTION drop_observations IS 'Delete what is older; gives the instant before which nothing is left.';

CREATE FUNCTION forget_observations(name text, before timestamptz) RETURNS void
LANGUAGE plpgsql AS $function$
DECLARE
    horizon timestamptz;
BEGIN
    -- Bars are made of observations: what is still pending would never be made.
    IF name = 'options_ticks' AND EXISTS (SELECT FROM pending_bars WHERE window_start < before) THEN
        RAISE EXCEPTION 'bars of % are pending', name USING HINT = 'import anything, or call refresh_bars, first';
    END IF;
    horizon := drop_observations(name, before);
    EXECUTE format('DELETE FROM %I WHERE "timestamp" < $1', name || '_history') USING horizon;
    DELETE FROM partition_fingerprints WHERE dataset = name AND trade_date < horizon::date;
    INSERT INTO dropped_observations AS d (table_name, dropped_before) SELECT name, horizon WHERE isfinite(horizon)
    ON CONFLICT (table_name) DO UPDATE SET dropped_before = greatest(d.dropped_before, excluded.dropped_before);
END
$function$;
COMMENT ON FUNCTION forget_observations IS
    'Delete observations that are older, with their history; their bars stay, and their loads tell that they were.';

-- The parameters are those of a job of TimescaleDB.
CREATE PROCEDURE maintain_storage(job_id integer DEFAULT NULL, config jsonb DEFAULT NULL)
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
COMMENT ON PROCEDURE maintain_storage IS 'Do what storage_policies says: delete what is too old, compress what is old.';
