-- Which version of the packaged market rules `sessions` and `expiry_rules` hold: they follow the files, not the migrations.
CREATE TABLE market_rules_ledger (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    checksum text NOT NULL,
    seeded_at timestamptz NOT NULL DEFAULT now()
);
