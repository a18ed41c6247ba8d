-- What a person ingests together under a name of their own: which series of which source. The rows stay where they are;
-- a bundle only points to them, so that forgetting one takes no data away.

CREATE TABLE named_bundles (
    bundle_name text PRIMARY KEY CHECK (bundle_name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'),
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE named_bundles IS 'Names that people gave to what they ingested together.';

CREATE TABLE named_bundle_members (
    bundle_name text NOT NULL REFERENCES named_bundles ON DELETE CASCADE,
    symbol text NOT NULL CHECK (btrim(symbol) <> ''),
    source text COLLATE "C" NOT NULL,
    dataset text NOT NULL CHECK (dataset IN ('options_ticks', 'futures_ticks', 'spot_prices', 'equity_daily')),
    bar_seconds integer NOT NULL CHECK (bar_seconds >= 0),
    instrument_id integer NOT NULL REFERENCES instruments,
    PRIMARY KEY (bundle_name, symbol, dataset, bar_seconds, source)
);
CREATE INDEX named_bundle_members_instrument ON named_bundle_members (instrument_id);
COMMENT ON TABLE named_bundle_members IS 'The series of a bundle, each under the symbol that its owner calls it by.';
COMMENT ON COLUMN named_bundle_members.symbol IS
    'As the bundle''s owner writes it, e.g. BTC/USDT; the warehouse''s own symbol may differ.';
