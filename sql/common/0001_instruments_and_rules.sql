-- Instruments with effective-dated terms, and the market's own rules as data.

CREATE TABLE instruments (
    instrument_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('OPT', 'FUT', 'CONT', 'SPOT', 'EQ')),
    venue text NOT NULL CHECK (venue <> ''),
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE instruments IS 'A stable identity; everything that can change about it is in instrument_terms.';

CREATE TABLE instrument_terms (
    instrument_id integer NOT NULL REFERENCES instruments,
    valid_from date NOT NULL DEFAULT '-infinity',
    valid_to date NOT NULL DEFAULT 'infinity',
    kind text NOT NULL,
    venue text NOT NULL,
    symbol text NOT NULL,
    underlying text NOT NULL,
    expiry date,
    strike numeric CHECK (strike > 0 AND strike < 1e12),
    option_type text CHECK (option_type IN ('CE', 'PE')),
    rank smallint CHECK (rank BETWEEN 1 AND 12),
    series text,
    isin text,
    lot_size bigint CHECK (lot_size > 0),
    tick_size numeric CHECK (tick_size > 0),
    multiplier numeric NOT NULL DEFAULT 1 CHECK (multiplier > 0),
    currency text NOT NULL,
    PRIMARY KEY (instrument_id, valid_from),
    CHECK (valid_from < valid_to),
    CHECK (kind <> 'OPT' OR (expiry IS NOT NULL AND strike IS NOT NULL AND option_type IS NOT NULL)),
    CHECK (kind <> 'FUT' OR expiry IS NOT NULL),
    CHECK (kind <> 'CONT' OR rank IS NOT NULL)
);
COMMENT ON TABLE instrument_terms IS
    'What an instrument was from valid_from (inclusive) to valid_to (exclusive), by trade date.';
-- One contract, one instrument: two importers that meet the same new contract end up with one row.
CREATE UNIQUE INDEX instrument_terms_identity ON instrument_terms
    (underlying, expiry, strike, option_type, kind, venue, rank, series, valid_from) NULLS NOT DISTINCT;

CREATE TABLE instrument_aliases (
    source text NOT NULL,
    symbol text NOT NULL,
    instrument_id integer NOT NULL REFERENCES instruments,
    PRIMARY KEY (source, symbol, instrument_id)
);
COMMENT ON TABLE instrument_aliases IS 'The names under which sources deliver an instrument.';

CREATE TABLE continuous_contracts (
    instrument_id integer NOT NULL REFERENCES instruments,
    trade_date date NOT NULL,
    contract_id integer NOT NULL REFERENCES instruments,
    PRIMARY KEY (instrument_id, trade_date)
);
COMMENT ON TABLE continuous_contracts IS
    'Which future a rolling alias (NIFTY-I) meant on a trade date; a mapping, so that a wrong rule can be mended without touching prices.';

CREATE TABLE sessions (
    market text NOT NULL,
    segment text NOT NULL,
    session_date date NOT NULL,
    open timestamptz NOT NULL,
    close timestamptz NOT NULL,
    kind text NOT NULL,
    source text NOT NULL,
    PRIMARY KEY (market, segment, session_date),
    CHECK (open < close)
);
COMMENT ON TABLE sessions IS 'Trading sessions by market segment, UTC; a day without a row was closed.';

CREATE TABLE expiry_rules (
    rule_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    underlying text NOT NULL,
    cycle text NOT NULL CHECK (cycle IN ('monthly', 'weekly')),
    weekday smallint NOT NULL CHECK (weekday BETWEEN 1 AND 7),
    first_date date NOT NULL,
    last_date date,
    known_from date NOT NULL,
    source text NOT NULL
);
COMMENT ON TABLE expiry_rules IS
    'Expiry weekday (ISO, Monday 1) of an underlying (* is every other one) by expiry date, and from when the rule was known.';
