"""A warehouse in which every section of the report has something to show."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline_defs.warehouse.connection import Warehouse

HOSTILE = "<script>document.title = 'taken'</script>"

_STATEMENTS = (
    """INSERT INTO instruments (kind, venue, book) VALUES ('EQ', 'NSE', 'X')""",
    f"""INSERT INTO instrument_terms (instrument_id, kind, venue, symbol, underlying, series, currency)
        SELECT instrument_id, 'EQ', 'NSE', $hostile${HOSTILE}$hostile$, 'X', 'EQ', 'INR' FROM instruments""",
    """INSERT INTO loads (source, dataset, trade_date, bar_seconds, status, source_type, source_url, api_version,
                          fetched_at, committed_at, rows_read, rows_stored, rows_unchanged, rows_corrected,
                          rows_retired, rows_quarantined, checksum, code_version, message)
        SELECT s, d, day, 60, 'complete', 'file', 'folder', '1', day, day + interval '12 hours',
               900 * extract(day FROM day) + 9, 900 * extract(day FROM day), 0, 0, 0, 9, md5(d || day), '0.1.0',
               CASE WHEN extract(day FROM day) = 5 THEN 'a message that is long enough to be wrapped' ELSE '' END
        FROM (SELECT DISTINCT session_date AS day FROM sessions WHERE market = 'NSE'
              AND session_date BETWEEN '2025-06-02' AND '2025-08-19' AND extract(day FROM session_date) <> 7) AS x,
             unnest(ARRAY['nse_csv', 'zerodha']) AS s,
             unnest(ARRAY['options_ticks', 'spot_prices', 'equity_daily']) AS d
        ORDER BY day, s, d""",
    """INSERT INTO load_files SELECT load_id, 0, '/landing/' || dataset || trade_date || '.csv', NULL, 'x', md5('x'),
               1000 * load_id, 'ticks' FROM loads""",
    """INSERT INTO quarantine SELECT load_id, 0, 3, 'bad_quantity', 'x' FROM loads""",
    """INSERT INTO gap_assessments (dataset, source, trade_date, bar_seconds, instruments, expected_minutes,
                                    present_minutes, assessed_at)
        SELECT dataset, source, trade_date, 60, 9, 3375, 3300 - 10 * extract(day FROM trade_date), committed_at
        FROM loads""",
    """INSERT INTO session_gaps (dataset, source, trade_date, bar_seconds, instrument_id, gap_start, gap_end, minutes,
                                 cause, fillable, detail, instruments)
        SELECT dataset, source, trade_date, 60, i.instrument_id, trade_date + interval '5 hours',
               trade_date + interval '6 hours', 60, 'source_missing', true, '', 1 FROM loads, instruments AS i""",
    """INSERT INTO quality_checks (dataset, source, trade_date, check_name, severity, passed, examined, failing,
                                   expected, found, detail, load_ids, code_version, checked_at)
        SELECT dataset, source, trade_date, n, CASE n WHEN 'outliers' THEN 'warn' ELSE 'error' END,
               load_id % 17 <> 0, 900, CASE WHEN load_id % 17 = 0 THEN 2 ELSE 0 END, 'none', 'some', '',
               ARRAY[load_id], '0.1.0', committed_at
        FROM loads, unnest(ARRAY['outliers', 'crossed_quotes', 'duplicates']) AS n""",
    """INSERT INTO quality_failures (check_id, position, instrument_id, "timestamp", bar_seconds, detail)
        SELECT check_id, 1, i.instrument_id, checked_at, 60, 'close 900' FROM quality_checks, instruments AS i
        WHERE NOT passed""",
    """INSERT INTO reconciliations (dataset, trade_date, bar_seconds, left_source, right_source, compared, agreeing,
                                    disagreeing, only_left, only_right, differences, made_at)
        SELECT DISTINCT dataset, trade_date, 60, 'nse_csv', 'zerodha', 9, 8, 1, 0, 0, 1, committed_at FROM loads""",
    """INSERT INTO catalogs (format, underlying, start_date, end_date, path, catalog_hash, engine, rows, load_ids,
                             verification, published_at, known_at)
        SELECT f, 'NIFTY', '2025-07-01', '2025-07-31', '/catalogs/' || f || '/NIFTY/2025-07', md5(f), f, 5000,
               '{1}', '{}', '2025-08-01', '2025-08-01' FROM unnest(ARRAY['csv', 'lean', 'nautilus']) AS f""",
    """INSERT INTO certificates (underlying, start_date, end_date, catalog_ids, passed, content, issued_at)
        VALUES ('NIFTY', '2025-07-01', '2025-07-31', '{1,2,3}', true, '{}', '2025-08-01')""",
)


def fill(warehouse: Warehouse) -> None:
    """Write two and a half months of two sources, one day of which never came."""
    with warehouse.connect() as connection:
        for statement in _STATEMENTS:
            connection.execute(statement.encode())
