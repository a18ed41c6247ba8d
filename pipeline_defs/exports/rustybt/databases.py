"""SQLite files of fixed bytes: the tables that rustybt looks for, and rows in a given order.

rustybt makes missing tables while it reads (SQLAlchemy's ``create_all``), so every table of its schemas is there: a
folder that cannot be written stays readable, and reading changes no byte. Column names and types are those of the files
that rustybt 0.3.3 makes.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

ASSETS_VERSION: Final = 10
"""Of the schema of ``assets-10.db``; rustybt has it in the file's name and in ``version_info``."""

_STATED_LIBRARY: Final = 3_040_000
"""What the files say of the library that wrote them, so that their bytes do not depend on it; nothing reads it."""

_LIBRARY_OFFSET: Final = 96

ASSETS: Final = """
CREATE TABLE exchanges (exchange TEXT NOT NULL PRIMARY KEY, canonical_name TEXT NOT NULL, country_code TEXT NOT NULL);
CREATE TABLE asset_router (sid BIGINT NOT NULL PRIMARY KEY, asset_type TEXT);
CREATE TABLE version_info (id INTEGER NOT NULL PRIMARY KEY CHECK (id <= 1), version INTEGER NOT NULL UNIQUE);
CREATE TABLE equities (sid BIGINT NOT NULL PRIMARY KEY, asset_name TEXT, start_date BIGINT NOT NULL,
    end_date BIGINT NOT NULL, first_traded BIGINT, auto_close_date BIGINT,
    exchange TEXT REFERENCES exchanges (exchange));
CREATE TABLE equity_symbol_mappings (id BIGINT NOT NULL PRIMARY KEY, sid BIGINT NOT NULL REFERENCES equities (sid),
    symbol TEXT NOT NULL, company_symbol TEXT, share_class_symbol TEXT, start_date BIGINT NOT NULL,
    end_date BIGINT NOT NULL);
CREATE INDEX ix_equity_symbol_mappings_sid ON equity_symbol_mappings (sid);
CREATE INDEX ix_equity_symbol_mappings_company_symbol ON equity_symbol_mappings (company_symbol);
CREATE TABLE equity_supplementary_mappings (sid BIGINT NOT NULL REFERENCES equities (sid), field TEXT NOT NULL,
    start_date BIGINT NOT NULL, end_date BIGINT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (sid, field, start_date));
CREATE TABLE futures_root_symbols (root_symbol TEXT NOT NULL PRIMARY KEY, root_symbol_id BIGINT, sector TEXT,
    description TEXT, exchange TEXT REFERENCES exchanges (exchange));
CREATE TABLE futures_contracts (sid BIGINT NOT NULL PRIMARY KEY, symbol TEXT,
    root_symbol TEXT REFERENCES futures_root_symbols (root_symbol), asset_name TEXT, start_date BIGINT NOT NULL,
    end_date BIGINT NOT NULL, first_traded BIGINT, exchange TEXT REFERENCES exchanges (exchange),
    notice_date BIGINT NOT NULL, expiration_date BIGINT NOT NULL, auto_close_date BIGINT NOT NULL, multiplier FLOAT,
    tick_size FLOAT);
CREATE INDEX ix_futures_contracts_root_symbol ON futures_contracts (root_symbol);
CREATE UNIQUE INDEX ix_futures_contracts_symbol ON futures_contracts (symbol);
CREATE TABLE bundle_metadata (id INTEGER NOT NULL PRIMARY KEY, bundle_name TEXT NOT NULL UNIQUE,
    source_type TEXT NOT NULL, source_url TEXT, api_version TEXT, fetch_timestamp INTEGER NOT NULL, data_version TEXT,
    timezone TEXT DEFAULT 'UTC' NOT NULL, row_count INTEGER, start_date INTEGER, end_date INTEGER,
    missing_days_count INTEGER DEFAULT 0 NOT NULL, missing_days_list TEXT DEFAULT '[]' NOT NULL,
    outlier_count INTEGER DEFAULT 0 NOT NULL, ohlcv_violations INTEGER DEFAULT 0 NOT NULL,
    validation_passed BOOLEAN DEFAULT 1 NOT NULL, validation_timestamp INTEGER, file_checksum TEXT,
    file_size_bytes INTEGER, checksum TEXT, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL);
CREATE INDEX idx_bundle_metadata_name ON bundle_metadata (bundle_name);
CREATE INDEX idx_bundle_metadata_fetch ON bundle_metadata (fetch_timestamp);
CREATE INDEX idx_bundle_metadata_validation ON bundle_metadata (validation_timestamp);
CREATE TABLE bundle_symbols (id INTEGER NOT NULL PRIMARY KEY,
    bundle_name TEXT NOT NULL REFERENCES bundle_metadata (bundle_name), symbol TEXT NOT NULL, asset_type TEXT,
    exchange TEXT, CONSTRAINT unique_bundle_symbol UNIQUE (bundle_name, symbol));
CREATE INDEX idx_bundle_symbols_bundle ON bundle_symbols (bundle_name);
CREATE INDEX idx_bundle_symbols_symbol ON bundle_symbols (symbol);
CREATE TABLE bundle_cache (id INTEGER NOT NULL PRIMARY KEY, cache_key TEXT NOT NULL, bundle_name TEXT NOT NULL,
    bundle_path TEXT NOT NULL, symbols TEXT, start TEXT, "end" TEXT, frequency TEXT, fetch_timestamp INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL, row_count INTEGER, last_accessed INTEGER NOT NULL);
CREATE UNIQUE INDEX ix_bundle_cache_cache_key ON bundle_cache (cache_key);
CREATE INDEX ix_bundle_cache_last_accessed ON bundle_cache (last_accessed);
CREATE TABLE cache_statistics (stat_date INTEGER NOT NULL PRIMARY KEY, hit_count INTEGER, miss_count INTEGER,
    total_size_mb REAL, avg_fetch_latency_ms REAL);
CREATE TABLE backtest_data_links (id INTEGER NOT NULL PRIMARY KEY, backtest_id TEXT NOT NULL,
    bundle_name TEXT NOT NULL REFERENCES bundle_metadata (bundle_name), accessed_at INTEGER NOT NULL);
CREATE INDEX idx_backtest_data_links_backtest_id ON backtest_data_links (backtest_id);
CREATE INDEX idx_backtest_data_links_bundle_name ON backtest_data_links (bundle_name);
"""
"""Tables of ``assets-10.db`` beside the bundles, and of ``assets-10.sqlite`` in a run bundle."""

CATALOG: Final = """
CREATE TABLE datasets (dataset_id INTEGER NOT NULL PRIMARY KEY, source TEXT NOT NULL, resolution TEXT NOT NULL,
    schema_version INTEGER NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL);
CREATE TABLE symbols (symbol_id INTEGER NOT NULL PRIMARY KEY,
    dataset_id INTEGER NOT NULL REFERENCES datasets (dataset_id), symbol TEXT NOT NULL, asset_type TEXT, exchange TEXT);
CREATE TABLE date_ranges (id INTEGER NOT NULL PRIMARY KEY,
    dataset_id INTEGER NOT NULL REFERENCES datasets (dataset_id), start_date INTEGER NOT NULL,
    end_date INTEGER NOT NULL);
CREATE TABLE checksums (id INTEGER NOT NULL PRIMARY KEY, dataset_id INTEGER NOT NULL REFERENCES datasets (dataset_id),
    parquet_path TEXT NOT NULL, checksum TEXT NOT NULL, last_updated INTEGER NOT NULL);
CREATE TABLE cache_entries (cache_key TEXT NOT NULL PRIMARY KEY,
    dataset_id INTEGER NOT NULL REFERENCES datasets (dataset_id), parquet_path TEXT NOT NULL, checksum TEXT NOT NULL,
    created_at INTEGER NOT NULL, last_accessed INTEGER NOT NULL, access_count INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL);
CREATE TABLE backtest_cache_links (id INTEGER NOT NULL PRIMARY KEY, backtest_id TEXT NOT NULL,
    cache_key TEXT NOT NULL REFERENCES cache_entries (cache_key), linked_at INTEGER NOT NULL);
CREATE TABLE cache_statistics (id INTEGER NOT NULL PRIMARY KEY, stat_date INTEGER NOT NULL UNIQUE,
    hit_count INTEGER NOT NULL, miss_count INTEGER NOT NULL, total_size_mb FLOAT NOT NULL);
CREATE TABLE splits (sid INTEGER NOT NULL, effective_date INTEGER NOT NULL, ratio REAL NOT NULL,
    PRIMARY KEY (sid, effective_date));
CREATE INDEX idx_splits_sid ON splits (sid);
CREATE INDEX idx_splits_effective_date ON splits (effective_date);
CREATE TABLE dividends (sid INTEGER NOT NULL, effective_date INTEGER NOT NULL, ratio REAL NOT NULL,
    PRIMARY KEY (sid, effective_date));
CREATE INDEX idx_dividends_sid ON dividends (sid);
CREATE INDEX idx_dividends_effective_date ON dividends (effective_date);
CREATE TABLE mergers (sid INTEGER NOT NULL, effective_date INTEGER NOT NULL, ratio REAL NOT NULL,
    PRIMARY KEY (sid, effective_date));
CREATE INDEX idx_mergers_sid ON mergers (sid);
CREATE INDEX idx_mergers_effective_date ON mergers (effective_date);
CREATE TABLE dividend_payouts (sid INTEGER NOT NULL, ex_date INTEGER NOT NULL, declared_date INTEGER,
    record_date INTEGER, pay_date INTEGER NOT NULL, amount REAL NOT NULL, PRIMARY KEY (sid, ex_date));
CREATE INDEX idx_dividend_payouts_sid ON dividend_payouts (sid);
CREATE INDEX idx_dividend_payouts_ex_date ON dividend_payouts (ex_date);
CREATE INDEX idx_dividend_payouts_pay_date ON dividend_payouts (pay_date);
CREATE TABLE stock_dividend_payouts (sid INTEGER NOT NULL, ex_date INTEGER NOT NULL, declared_date INTEGER,
    record_date INTEGER, pay_date INTEGER NOT NULL, payment_sid INTEGER NOT NULL, ratio REAL NOT NULL,
    PRIMARY KEY (sid, ex_date));
CREATE INDEX idx_stock_dividend_payouts_sid ON stock_dividend_payouts (sid);
CREATE INDEX idx_stock_dividend_payouts_ex_date ON stock_dividend_payouts (ex_date);
CREATE INDEX idx_stock_dividend_payouts_pay_date ON stock_dividend_payouts (pay_date);
"""
"""Tables of a decimal bundle's own ``metadata.db``: its catalog, which rustybt's ingestion leaves empty, and the
adjustments; with the names of indexes that its reader would make."""

ADJUSTMENTS: Final = """
CREATE TABLE splits ("index" INTEGER, sid INTEGER, ratio REAL, effective_date INTEGER);
CREATE TABLE mergers ("index" INTEGER, sid INTEGER, ratio REAL, effective_date INTEGER);
CREATE TABLE dividends ("index" INTEGER, sid INTEGER, ratio REAL, effective_date INTEGER);
CREATE TABLE dividend_payouts ("index" INTEGER, sid INTEGER, amount REAL, ex_date INTEGER, record_date INTEGER,
    declared_date INTEGER, pay_date INTEGER);
CREATE TABLE stock_dividend_payouts ("index" INTEGER, sid INTEGER, ex_date INTEGER, declared_date INTEGER,
    record_date INTEGER, pay_date INTEGER, payment_sid INTEGER, ratio REAL);
CREATE INDEX splits_sids ON splits (sid);
CREATE INDEX splits_effective_date ON splits (effective_date);
CREATE INDEX mergers_sids ON mergers (sid);
CREATE INDEX mergers_effective_date ON mergers (effective_date);
CREATE INDEX dividends_sid ON dividends (sid);
CREATE INDEX dividends_effective_date ON dividends (effective_date);
CREATE INDEX dividend_payouts_sid ON dividend_payouts (sid);
CREATE INDEX dividends_payouts_ex_date ON dividend_payouts (ex_date);
CREATE INDEX stock_dividend_payouts_sid ON stock_dividend_payouts (sid);
CREATE INDEX stock_dividends_payouts_ex_date ON stock_dividend_payouts (ex_date);
"""
"""Tables of a run bundle's ``adjustments.sqlite``."""


def write_database(path: Path, schema: str, rows: Mapping[str, Iterable[Mapping[str, object]]]) -> None:
    """Write a SQLite file whose bytes depend on the schema and the rows alone.

    Parameters
    ----------
    path : Path
        File to make; its folder exists.
    schema : str
        Statements that make the tables.
    rows : mapping of str to iterable of mapping
        Table to its rows, in order; a row names its columns.

    """
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(f"PRAGMA page_size = 4096; {schema}")
        for table, entries in rows.items():
            for entry in entries:
                columns = ", ".join(f'"{name}"' for name in entry)
                values = ", ".join("?" * len(entry))
                connection.execute(f'INSERT INTO "{table}" ({columns}) VALUES ({values})', tuple(entry.values()))  # noqa: S608 -- names of ours
        connection.commit()
        content = bytearray(connection.serialize())
    finally:
        connection.close()
    content[_LIBRARY_OFFSET : _LIBRARY_OFFSET + 4] = _STATED_LIBRARY.to_bytes(4, "big")
    path.write_bytes(content)
