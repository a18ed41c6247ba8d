-- What checks of stored partitions found, with its history: one row for each check and set of loads.

CREATE TABLE quality_checks (
    check_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dataset text NOT NULL,
    source text COLLATE "C" NOT NULL,
    trade_date date NOT NULL,
    check_name text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('error', 'warn', 'info')),
    passed boolean NOT NULL,
    examined bigint NOT NULL CHECK (examined >= 0),
    failing bigint NOT NULL CHECK (failing >= 0),
    expected text NOT NULL,
    found text NOT NULL,
    detail text NOT NULL DEFAULT '',
    load_ids bigint[] NOT NULL,
    checked_at timestamptz NOT NULL DEFAULT now(),
    code_version text NOT NULL,
    CHECK (passed = (failing = 0)),
    -- The same loads, checked again by the same code, have one result.
    UNIQUE (dataset, source, trade_date, check_name, load_ids, code_version)
);
COMMENT ON TABLE quality_checks IS
    'What each check found about a stored partition; a new load gives new rows, so that the history stays readable.';
COMMENT ON COLUMN quality_checks.severity IS
    'error: wrong data, stops what comes after; warn: to be looked at; info: worth knowing.';
COMMENT ON COLUMN quality_checks.examined IS 'Rows, lines or sessions that were looked at; 0 when there was nothing to judge by.';
COMMENT ON COLUMN quality_checks.load_ids IS
    'The newest loads of the partition when it was checked, by resolution and restriction: they stand for its state.';
CREATE INDEX quality_checks_newest ON quality_checks (dataset, source, trade_date, check_name, checked_at, check_id);

CREATE TABLE quality_failures (
    check_id bigint NOT NULL REFERENCES quality_checks ON DELETE CASCADE,
    position integer NOT NULL CHECK (position > 0),
    instrument_id integer,
    "timestamp" timestamptz,
    bar_seconds integer,
    detail text NOT NULL,
    PRIMARY KEY (check_id, position)
);
COMMENT ON TABLE quality_failures IS
    'The first failing rows of a check. Lines that were refused, and sessions, have no instrument or no instant.';

CREATE VIEW quality_latest AS
SELECT DISTINCT ON (dataset, source, trade_date, check_name) *
FROM quality_checks
ORDER BY dataset, source, trade_date, check_name, checked_at DESC, check_id DESC;
COMMENT ON VIEW quality_latest IS 'The newest result of each check of each partition.';
