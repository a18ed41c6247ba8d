-- What was moved in from other systems' stores: what each bundle was said to be, what was found, what came of it.
--
-- The rows themselves went through the import path like any other: their loads, files and refused lines are where those
-- of every source are. Kept here is what only the old store knew, and how far a migration has come.

CREATE TABLE migrated_stores (
    store_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    system text NOT NULL CHECK (system IN ('rustybt', 'csvdir')),
    root text NOT NULL CHECK (root <> ''),
    plan jsonb NOT NULL,
    planned_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (system, root)
);
COMMENT ON TABLE migrated_stores IS 'Stores of other systems that were planned to be moved in, with the newest plan.';

CREATE TABLE migrated_bundles (
    bundle_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    store_id integer NOT NULL REFERENCES migrated_stores,
    name text NOT NULL CHECK (name <> ''),
    source text COLLATE "C",
    bundle_name text,
    kind text NOT NULL,
    era integer,
    market text,
    stamps text CHECK (stamps IN ('start', 'end')),
    state text NOT NULL CHECK (state IN ('planned', 'running', 'done', 'failed', 'rolled_back', 'quarantined')),
    reason text,
    detail text NOT NULL DEFAULT '',
    next_step text NOT NULL DEFAULT '',
    digest text NOT NULL,
    stated jsonb NOT NULL,
    rows_found bigint NOT NULL CHECK (rows_found >= 0),
    close_found numeric NOT NULL,
    volume_found numeric NOT NULL,
    lines_refused bigint NOT NULL CHECK (lines_refused >= 0),
    rows_stored bigint,
    rows_quarantined bigint,
    instruments_before integer,
    planned_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    code_version text NOT NULL,
    UNIQUE (store_id, name),
    CHECK ((state IN ('failed', 'quarantined')) = (reason IS NOT NULL)),
    CHECK (state IN ('planned', 'quarantined') OR (source IS NOT NULL AND market IS NOT NULL)),
    CHECK (state <> 'done' OR rows_stored + rows_quarantined = rows_found)
);
-- One source is one bundle: two would overwrite each other.
CREATE UNIQUE INDEX migrated_bundles_source ON migrated_bundles (source)
    WHERE state IN ('planned', 'running', 'done', 'failed');
COMMENT ON TABLE migrated_bundles IS 'Every bundle and cached answer of a store: whether it was moved in, and why not.';
COMMENT ON COLUMN migrated_bundles.source IS 'Under which its observations are stored; null while nothing of it can be.';
COMMENT ON COLUMN migrated_bundles.bundle_name IS 'The named bundle that its symbols are in.';
COMMENT ON COLUMN migrated_bundles.stamps IS 'Which end of a minute its stamps name; daily bars have none.';
COMMENT ON COLUMN migrated_bundles.digest IS 'Of what is read and how: the same as long as it would be imported the same.';
COMMENT ON COLUMN migrated_bundles.stated IS 'What the old store says of it.';
COMMENT ON COLUMN migrated_bundles.lines_refused IS 'Lines that are no bar at all; not among rows_found.';
COMMENT ON COLUMN migrated_bundles.instruments_before IS 'Instruments with a higher number may have been made by it.';

CREATE TABLE migrated_series (
    bundle_id integer NOT NULL REFERENCES migrated_bundles ON DELETE CASCADE,
    symbol text NOT NULL,
    dataset text NOT NULL,
    bar_seconds integer NOT NULL CHECK (bar_seconds > 0),
    instrument_id integer,
    rows_found bigint NOT NULL CHECK (rows_found >= 0),
    close_found numeric NOT NULL,
    volume_found numeric NOT NULL,
    rows_stored bigint NOT NULL DEFAULT 0,
    close_stored numeric NOT NULL DEFAULT 0,
    volume_stored numeric NOT NULL DEFAULT 0,
    rows_quarantined bigint NOT NULL DEFAULT 0,
    close_quarantined numeric NOT NULL DEFAULT 0,
    volume_quarantined numeric NOT NULL DEFAULT 0,
    is_reconciled boolean NOT NULL GENERATED ALWAYS AS (
        rows_found = rows_stored + rows_quarantined AND close_found = close_stored + close_quarantined
        AND volume_found = volume_stored + volume_quarantined) STORED,
    PRIMARY KEY (bundle_id, symbol, bar_seconds)
);
COMMENT ON TABLE migrated_series IS
    'Each symbol of a bundle: rows and sums in the old files, and what the database holds of them, stored or refused.';

CREATE TABLE migrated_quality (
    bundle_id integer NOT NULL REFERENCES migrated_bundles ON DELETE CASCADE,
    position integer NOT NULL CHECK (position > 0),
    era integer NOT NULL,
    validated_at timestamptz,
    passed boolean,
    row_count bigint,
    start_date date,
    end_date date,
    missing_days jsonb NOT NULL,
    missing_days_count bigint NOT NULL,
    outlier_count bigint NOT NULL,
    ohlcv_violations bigint NOT NULL,
    PRIMARY KEY (bundle_id, position)
);
COMMENT ON TABLE migrated_quality IS
    'Every validation that the old store recorded, oldest first. Its words: missing days count weekends.';

CREATE VIEW legacy_quality AS
SELECT s.system, s.root, b.name AS bundle, b.source, b.state, q.position, q.era, q.validated_at, q.passed, q.row_count,
       q.start_date, q.end_date, q.missing_days, q.missing_days_count, q.outlier_count, q.ohlcv_violations
FROM migrated_quality AS q
JOIN migrated_bundles AS b USING (bundle_id)
JOIN migrated_stores AS s USING (store_id);
COMMENT ON VIEW legacy_quality IS 'What old stores said about the quality of their bundles, and when.';

-- A refused bar carries its values in its text, so that sums can be held against the old files' to the last digit.
CREATE VIEW migrated_refusals AS
SELECT b.bundle_id, b.name AS bundle, l.source, l.dataset, l.bar_seconds, l.trade_date, q.load_id, q.file_index, q.line,
       q.reason, q.text, f.path,
       substring(q.text FROM '^at=\S+ open=\S+ high=\S+ low=\S+ close=\S+ volume=\S+ symbol=(.*)$') AS symbol,
       substring(q.text FROM '^at=\S+ open=\S+ high=\S+ low=\S+ close=(\S+) volume=\S+ symbol=')::numeric AS close,
       nullif(substring(q.text FROM '^at=\S+ open=\S+ high=\S+ low=\S+ close=\S+ volume=(\S+) symbol='), 'none')::numeric
           AS volume
FROM migrated_bundles AS b
JOIN loads AS l ON l.source = b.source
JOIN quarantine AS q USING (load_id)
LEFT JOIN load_files AS f USING (load_id, file_index)
WHERE b.state NOT IN ('quarantined', 'rolled_back');
COMMENT ON VIEW migrated_refusals IS
    'Lines of moved-in bundles that were not stored, with their reason; symbol and values where the line is a bar.';
