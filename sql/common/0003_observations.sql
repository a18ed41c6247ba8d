-- What sources observed. The four tables have one shape, made by one function so that they cannot drift apart.
--
-- The key starts with the time: rows arrive a day at a time, sorted by it. There is no foreign key to instruments or
-- loads: a row trigger per observation would double the cost of a load, and on TimescaleDB it can deadlock with the
-- creation of chunks. `pipeline doctor` looks for orphans instead.

CREATE FUNCTION create_observation_table(table_name text, meaning text) RETURNS void
LANGUAGE plpgsql AS $function$
BEGIN
    EXECUTE format($ddl$
        CREATE TABLE %1$I (
            "timestamp" timestamptz NOT NULL,
            instrument_id integer NOT NULL,
            bar_seconds integer NOT NULL,
            sequence integer NOT NULL,
            source text COLLATE "C" NOT NULL,
            open numeric,
            high numeric,
            low numeric,
            close numeric NOT NULL,
            volume bigint,
            open_interest bigint,
            bid_price numeric,
            bid_size bigint,
            ask_price numeric,
            ask_size bigint,
            settlement_price numeric,
            load_id bigint NOT NULL,
            CONSTRAINT %2$I PRIMARY KEY ("timestamp", instrument_id, bar_seconds, sequence, source),
            -- NaN sorts above every number, so the upper bound keeps it out as well.
            CONSTRAINT %3$I CHECK (close > 0 AND close < 1e12),
            CONSTRAINT %4$I CHECK (low > 0 AND low <= least(open, close) AND high >= greatest(open, close) AND high < 1e12),
            CONSTRAINT %5$I CHECK (bar_seconds >= 0 AND sequence >= 0),
            CONSTRAINT %6$I CHECK (volume >= 0 AND open_interest >= 0)
        )$ddl$,
        table_name, table_name || '_pkey', table_name || '_close', table_name || '_prices',
        table_name || '_resolution', table_name || '_quantities');
    EXECUTE format('COMMENT ON TABLE %I IS %L', table_name, meaning);
    EXECUTE format($ddl$
        CREATE TABLE %1$I (
            LIKE %2$I,
            superseded_by bigint NOT NULL,
            superseded_at timestamptz NOT NULL DEFAULT now(),
            change text NOT NULL CHECK (change IN ('corrected', 'retired')),
            PRIMARY KEY ("timestamp", instrument_id, bar_seconds, sequence, source, superseded_by)
        )$ddl$, table_name || '_history', table_name);
    EXECUTE format('COMMENT ON TABLE %I IS %L', table_name || '_history',
        'Earlier versions of ' || table_name || ': what was known until superseded_at, and the load that replaced it.');
    EXECUTE format($ddl$
        CREATE VIEW %1$I AS
        SELECT o."timestamp", t.symbol, t.kind, t.underlying, coalesce(t.expiry, f.expiry) AS expiry, t.strike,
               t.option_type, t.rank, t.series, o.bar_seconds, o.sequence, o.source, o.open, o.high, o.low, o.close,
               o.volume, o.open_interest, o.bid_price, o.bid_size, o.ask_price, o.ask_size, o.settlement_price,
               o.instrument_id, o.load_id
        FROM %2$I AS o
        JOIN loads AS l USING (load_id)
        JOIN instrument_terms AS t
          ON t.instrument_id = o.instrument_id AND l.trade_date >= t.valid_from AND l.trade_date < t.valid_to
        LEFT JOIN continuous_contracts AS c ON c.instrument_id = o.instrument_id AND c.trade_date = l.trade_date
        LEFT JOIN instrument_terms AS f
          ON f.instrument_id = c.contract_id AND l.trade_date >= f.valid_from AND l.trade_date < f.valid_to
        $ddl$, 'v_' || table_name, table_name);
    EXECUTE format('COMMENT ON VIEW %I IS %L', 'v_' || table_name,
        table_name || ' with the terms of the contract on the trade date, for people.');
END
$function$;

SELECT create_observation_table('options_ticks', 'An observation of one option contract.');
SELECT create_observation_table('futures_ticks', 'An observation of one future or of a continuous (rolling) future.');
SELECT create_observation_table('spot_prices', 'An observation of an index or of a share within the day.');
SELECT create_observation_table('equity_daily', 'One session of one share or security, by series.');
