-- What the engines read back, and whether all of them read the same.

CREATE TABLE catalog_readbacks (
    catalog_id bigint NOT NULL REFERENCES catalogs ON DELETE CASCADE,
    instrument_id integer NOT NULL,
    bar_seconds integer NOT NULL,
    engine_id text NOT NULL,
    rows bigint NOT NULL CHECK (rows >= 0),
    first_timestamp timestamptz NOT NULL,
    last_timestamp timestamptz NOT NULL,
    close_sum numeric NOT NULL,
    volume_sum numeric NOT NULL,
    PRIMARY KEY (catalog_id, instrument_id, bar_seconds)
);
COMMENT ON TABLE catalog_readbacks IS
    'What reading a published catalog back gave, by instrument and bar length; stamps are those of the bars'' close.';
COMMENT ON COLUMN catalog_readbacks.engine_id IS 'What the instrument is called in the catalog.';

CREATE TABLE certificates (
    certificate_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    underlying text NOT NULL,
    start_date date NOT NULL,
    end_date date NOT NULL,
    catalog_ids bigint[] NOT NULL CHECK (cardinality(catalog_ids) > 0),
    passed boolean NOT NULL,
    content jsonb NOT NULL,
    issued_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (start_date <= end_date)
);
CREATE INDEX certificates_partition ON certificates (underlying, start_date, end_date, certificate_id);
COMMENT ON TABLE certificates IS
    'Parity of the catalogs of one partition: whether every format that was published gives the same when it is read.';
