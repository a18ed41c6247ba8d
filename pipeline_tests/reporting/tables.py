"""What the report reads of quality, gaps and reconciliation, for a database whose migrations do not have it."""

CONTRACTS = (
    """CREATE TABLE IF NOT EXISTS quality_checks (
        check_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, dataset text NOT NULL, source text NOT NULL,
        trade_date date NOT NULL, check_name text NOT NULL, severity text NOT NULL, passed boolean NOT NULL,
        examined bigint NOT NULL, failing bigint NOT NULL, expected text NOT NULL, found text NOT NULL,
        detail text NOT NULL, load_ids bigint[] NOT NULL, checked_at timestamptz NOT NULL DEFAULT now(),
        code_version text NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS quality_failures (
        check_id bigint NOT NULL, position integer NOT NULL, instrument_id integer, "timestamp" timestamptz,
        bar_seconds integer, detail text NOT NULL)""",
    """CREATE OR REPLACE VIEW quality_latest AS
        SELECT DISTINCT ON (dataset, source, trade_date, check_name) * FROM quality_checks
        ORDER BY dataset, source, trade_date, check_name, check_id DESC""",
    """CREATE TABLE IF NOT EXISTS gap_assessments (
        dataset text, source text, trade_date date, bar_seconds integer, instruments integer, expected_minutes bigint,
        present_minutes bigint, assessed_at timestamptz, PRIMARY KEY (dataset, source, trade_date, bar_seconds))""",
    """CREATE TABLE IF NOT EXISTS session_gaps (
        dataset text, source text, trade_date date, bar_seconds integer, instrument_id integer, gap_start timestamptz,
        gap_end timestamptz, minutes integer, cause text, fillable boolean, detail text,
        instruments integer NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS reconciliations (
        reconciliation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, dataset text, trade_date date,
        bar_seconds integer, left_source text, right_source text, compared bigint, agreeing bigint, disagreeing bigint,
        only_left bigint, only_right bigint, differences bigint NOT NULL, made_at timestamptz)""",
)
