-- Provenance, quarantine and quality: who said what, what was refused and why.

CREATE TABLE loads (
    load_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    dataset text NOT NULL,
    trade_date date NOT NULL,
    bar_seconds integer NOT NULL CHECK (bar_seconds >= 0),
    underlying text,
    status text NOT NULL CHECK (status IN ('complete', 'empty', 'rejected')),
    source_type text NOT NULL,
    source_url text NOT NULL,
    api_version text NOT NULL,
    fetched_at timestamptz NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT now(),
    rows_read bigint NOT NULL CHECK (rows_read >= 0),
    rows_stored bigint NOT NULL CHECK (rows_stored >= 0),
    rows_unchanged bigint NOT NULL CHECK (rows_unchanged >= 0),
    rows_corrected bigint NOT NULL CHECK (rows_corrected >= 0),
    rows_retired bigint NOT NULL CHECK (rows_retired >= 0),
    rows_quarantined bigint NOT NULL CHECK (rows_quarantined >= 0),
    checksum text NOT NULL,
    code_version text NOT NULL,
    dagster_run_id text,
    message text NOT NULL DEFAULT '',
    -- Every line that was read is stored, known already, or refused: nothing goes missing.
    CHECK (status = 'rejected' OR rows_read = rows_stored + rows_unchanged + rows_corrected + rows_quarantined)
);
COMMENT ON TABLE loads IS 'One run of one source over one partition (dataset, trade date, resolution).';
CREATE INDEX loads_partition ON loads (dataset, trade_date, source, bar_seconds, load_id);

CREATE TABLE load_files (
    load_id bigint NOT NULL REFERENCES loads ON DELETE CASCADE,
    file_index integer NOT NULL,
    path text NOT NULL,
    member text,
    logical_name text NOT NULL,
    sha256 text NOT NULL,
    size_bytes bigint NOT NULL,
    layout text NOT NULL,
    PRIMARY KEY (load_id, file_index)
);
COMMENT ON TABLE load_files IS 'Files and archive members a load read; logical_name is the same for a re-delivery.';

CREATE TABLE load_instruments (
    load_id bigint NOT NULL REFERENCES loads ON DELETE CASCADE,
    instrument_id integer NOT NULL,
    file_index integer NOT NULL,
    PRIMARY KEY (load_id, instrument_id, file_index)
);
COMMENT ON TABLE load_instruments IS
    'Which files spoke of which instrument: a later load may retire a row only if it read every file the row came from.';

CREATE TABLE quarantine (
    load_id bigint NOT NULL REFERENCES loads ON DELETE CASCADE,
    file_index integer NOT NULL,
    line integer NOT NULL CHECK (line >= 0),
    reason text NOT NULL CHECK (reason <> ''),
    text text NOT NULL,
    PRIMARY KEY (load_id, file_index, line, reason)
);
COMMENT ON TABLE quarantine IS 'Lines (line 0: whole files) that were not stored, each with its one reason.';

CREATE TABLE quality_results (
    load_id bigint NOT NULL REFERENCES loads ON DELETE CASCADE,
    check_name text NOT NULL,
    passed boolean NOT NULL,
    expected text NOT NULL,
    found text NOT NULL,
    detail text NOT NULL DEFAULT ''
);
CREATE INDEX quality_results_load ON quality_results (load_id);
COMMENT ON TABLE quality_results IS 'What was found about a partition as a whole.';

CREATE TABLE pending_bars (
    window_start timestamptz NOT NULL,
    window_end timestamptz NOT NULL,
    load_id bigint PRIMARY KEY REFERENCES loads ON DELETE CASCADE,
    CHECK (window_start < window_end)
);
COMMENT ON TABLE pending_bars IS
    'Windows whose hourly and daily bars are behind their observations; written with the load, cleared by the refresh.';

CREATE TABLE catalogs (
    catalog_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    format text NOT NULL,
    underlying text NOT NULL,
    start_date date NOT NULL,
    end_date date NOT NULL,
    path text NOT NULL,
    catalog_hash text NOT NULL,
    engine text NOT NULL,
    rows bigint NOT NULL,
    load_ids bigint[] NOT NULL,
    verification jsonb NOT NULL,
    published_at timestamptz NOT NULL DEFAULT now(),
    CHECK (start_date <= end_date)
);
COMMENT ON TABLE catalogs IS 'Exports that an engine confirmed and that were published.';
