-- Implied volatility and Greeks of option bars, and the dated rates and yields they are computed with.

CREATE TABLE interest_rates (
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    valid_from date NOT NULL,
    tenor_days integer NOT NULL CHECK (tenor_days >= 0),
    rate numeric NOT NULL CHECK (rate > -1 AND rate < 1),
    source text NOT NULL CHECK (source <> ''),
    PRIMARY KEY (currency, valid_from, tenor_days)
);
SELECT keep_known_versions('interest_rates');
COMMENT ON TABLE interest_rates IS
    'Zero rates a year, continuously compounded; a curve counts from its first trade date until the next one of its currency; with both times.';
COMMENT ON COLUMN interest_rates.tenor_days IS 'Calendar days; 0 in a curve of one rate says that it is flat.';

CREATE TABLE dividend_yields (
    underlying text NOT NULL CHECK (underlying <> ''),
    valid_from date NOT NULL,
    dividend_yield numeric NOT NULL CHECK (dividend_yield > -1 AND dividend_yield < 1),
    source text NOT NULL CHECK (source <> ''),
    PRIMARY KEY (underlying, valid_from)
);
SELECT keep_known_versions('dividend_yields');
COMMENT ON TABLE dividend_yields IS
    'Dividend yield a year, continuous, from a trade date until the next one of the underlying; with both times.';

-- One row for each bar, with numbers or with the reason for having none. Prices are exact; what a model made is not.
CREATE TABLE option_greeks (
    "timestamp" timestamptz NOT NULL,
    instrument_id integer NOT NULL,
    bar_seconds integer NOT NULL,
    source text COLLATE "C" NOT NULL,
    price numeric NOT NULL,
    underlying_price numeric,
    underlying_timestamp timestamptz,
    underlying_id integer,
    forward double precision,
    rate double precision,
    dividend_yield double precision,
    time_to_expiry_years double precision NOT NULL,
    implied_volatility double precision,
    delta double precision,
    gamma double precision,
    vega double precision,
    theta double precision,
    rho double precision,
    reason text,
    model text NOT NULL,
    forward_method text NOT NULL,
    load_id bigint NOT NULL,
    underlying_load_id bigint,
    computed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT option_greeks_pkey PRIMARY KEY ("timestamp", instrument_id, bar_seconds, source),
    CONSTRAINT option_greeks_resolution CHECK (bar_seconds > 0),
    -- NaN is greater than every number: the upper bounds keep it and infinity out.
    CONSTRAINT option_greeks_volatility CHECK (implied_volatility > 0 AND implied_volatility < 1e6),
    CONSTRAINT option_greeks_numbers CHECK (
        delta BETWEEN -1e9 AND 1e9 AND gamma BETWEEN 0 AND 1e12 AND vega BETWEEN 0 AND 1e15
        AND theta BETWEEN -1e15 AND 1e15 AND rho BETWEEN -1e15 AND 1e15),
    -- All or nothing: a row has every number, or it has none and says why.
    CONSTRAINT option_greeks_reason CHECK (
        num_nulls(implied_volatility, delta, gamma, vega, theta, rho) = CASE WHEN reason IS NULL THEN 0 ELSE 6 END),
    CONSTRAINT option_greeks_no_look_ahead CHECK (underlying_timestamp <= "timestamp")
);
COMMENT ON TABLE option_greeks IS
    'Implied volatility and Greeks of an option bar, or why there are none. Vega per 1.00 of volatility, theta per year of 365 days, rho per 1.00 of rate.';
COMMENT ON COLUMN option_greeks.underlying_price IS
    'Close of the underlying''s last bar (spot, or future: see forward_method) that was complete by then.';
COMMENT ON COLUMN option_greeks.load_id IS 'Load that wrote the option''s bar.';

-- A longer bar has the Greeks of the last bar in it that has any: a price is only worth what the underlying was then.
CREATE FUNCTION option_greeks_of(bars text, window_start timestamptz, window_end timestamptz)
RETURNS TABLE (bucket timestamptz, "timestamp" timestamptz, instrument_id integer, bar_seconds integer, source text,
               implied_volatility double precision, delta double precision, gamma double precision,
               vega double precision, theta double precision, rho double precision)
LANGUAGE plpgsql STABLE AS $function$
BEGIN
    IF bars NOT IN ('options_hourly', 'options_daily') THEN
        RAISE EXCEPTION 'no bars %, expected options_hourly or options_daily', bars
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY EXECUTE format($sql$
        SELECT b.bucket, g."timestamp", b.instrument_id, b.bar_seconds, b.source,
               g.implied_volatility, g.delta, g.gamma, g.vega, g.theta, g.rho
        FROM %I AS b
        JOIN sessions AS s ON s.market = 'NSE' AND s.segment = 'FO' AND s.open <= b.bucket AND s.close > b.bucket
        CROSS JOIN LATERAL (
            SELECT o.* FROM option_greeks AS o
            WHERE o.instrument_id = b.instrument_id AND o.bar_seconds = b.bar_seconds AND o.source = b.source
              AND o.implied_volatility IS NOT NULL AND o."timestamp" > b.bucket
              AND o."timestamp" <= CASE WHEN $3 = 'options_hourly' THEN least(b.bucket + interval '1 hour', s.close)
                                        ELSE s.close END
            ORDER BY o."timestamp" DESC LIMIT 1) AS g
        WHERE b.bucket >= $1 AND b.bucket < $2
        ORDER BY b.bucket, b.instrument_id, b.bar_seconds, b.source
        $sql$, bars) USING window_start, window_end, bars;
END
$function$;
COMMENT ON FUNCTION option_greeks_of IS
    'Greeks of options_hourly or options_daily from window_start (inclusive) to window_end: those of the last bar in each.';
