"""A migrated database of each test's own, in a home of its own, and an object store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pipeline_tests.storage.s3_server import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline_defs.warehouse.connection import Warehouse


@pytest.fixture(scope="session")
def template_url(migrated_url: str) -> str:
    """Every test works on a copy of a migrated database."""
    return migrated_url


@pytest.fixture
def home(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, and the database of this test as the warehouse."""
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIPELINE_DATABASE_URL", database_url)
    for name in ("PIPELINE_OBJECT_STORE", "PIPELINE_RAW_ARCHIVE", "PIPELINE_LOGS_BUCKET", "PIPELINE_UNIVERSE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


@pytest.fixture(scope="session")
def store_address() -> Iterator[dict[str, str]]:
    """The variables by which AWS tools find the session's store."""
    with serving() as address:
        yield {**address, "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
               "AWS_MAX_ATTEMPTS": "1"}  # fmt: skip


@pytest.fixture
def object_store(store_address: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment leads to the session's store."""
    for name, value in store_address.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def filled(warehouse: Warehouse, home: Path) -> Warehouse:
    """Loads, checks and catalogs of two sources, as rows: what they mean is not asked here."""
    assert home
    with warehouse.connect() as connection:
        for source, day, status, stored, refused in (
            ("nse_csv", "2025-08-13", "complete", 100, 3),
            ("nse_csv", "2025-08-14", "complete", 50, 0),
            ("nse_csv", "2025-08-15", "empty", 0, 0),
            ("zerodha", "2025-08-13", "rejected", 0, 7),
        ):
            connection.execute(
                "INSERT INTO loads (source, dataset, trade_date, bar_seconds, status, source_type, source_url,"
                " api_version, fetched_at, rows_read, rows_stored, rows_unchanged, rows_corrected, rows_retired,"
                " rows_quarantined, checksum, code_version) VALUES (%s, 'options_ticks', %s, 60, %s, 'csv', '', '',"
                " now(), %s, %s, 0, 0, 0, %s, '', '')",
                [source, day, status, stored + refused, stored, refused],
            )
        for name, severity, failing in (("outliers", "warn", 2), ("bounds", "error", 1), ("rows", "error", 0)):
            connection.execute(
                "INSERT INTO quality_checks (dataset, source, trade_date, check_name, severity, passed, examined,"
                " failing, expected, found, load_ids, code_version) VALUES ('options_ticks', 'nse_csv', '2025-08-13',"
                " %s, %s, %s, 9, %s, '', '', '{1}', '')",
                [name, severity, failing == 0, failing],
            )
        connection.execute("INSERT INTO source_precedences (digest, content) VALUES ('old', '{}'), ('new', '{}')")
        for path, month, known, precedence in (
            ("a", "2025-07", "2100-01-01", "new"),
            ("b", "2025-07", "2000-01-01", "new"),  # replaced by the next
            ("b", "2025-07", "2100-01-01", "new"),
            ("c", "2025-08", "2000-01-01", "new"),
            ("d", "2025-07", "2100-01-01", "old"),
            ("e", "2025-07", None, "new"),
        ):
            connection.execute(
                "INSERT INTO catalogs (format, underlying, start_date, end_date, path, catalog_hash, engine, rows,"
                " load_ids, verification, known_at, precedence) VALUES ('nautilus', 'NIFTY', %s, %s, %s, '', '', 1,"
                " '{1}', '{}', %s, %s)",
                [f"{month}-01", f"{month}-28", path, known, precedence],
            )
        connection.execute("SELECT record_cache_use(3, 1)")
    return warehouse
