"""A migrated warehouse, and short ways to write what a report reads."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.reporting.building import DataReport, build_report
from pipeline_tests.reporting.tables import CONTRACTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.reporting.elements import Section, Table
    from pipeline_defs.warehouse.connection import Warehouse

NOW = dt.datetime(2025, 8, 20, 18, 0, tzinfo=dt.UTC)
"""23:30 in India: the session of 20 August 2025 is due."""


@pytest.fixture(scope="session")
def template_url(migrated_url: str) -> str:
    """Every test works on a copy of a migrated database."""
    return migrated_url


@pytest.fixture
def write(warehouse: Warehouse) -> Callable[..., None]:
    """Insert a row into a table."""

    def insert(table: str, **values: Any) -> None:
        columns, marks = ", ".join(f'"{name}"' for name in values), ", ".join(f"%({name})s" for name in values)
        with warehouse.connect() as connection:
            connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})".encode(), values)

    return insert


@pytest.fixture
def load(warehouse: Warehouse) -> Callable[..., int]:
    """Record a load."""

    def insert(day: str, source: str = "nse_csv", dataset: str = "options_ticks", **changes: Any) -> int:
        rows = changes.pop("rows", 10)
        values = {
            "source": source,
            "dataset": dataset,
            "trade_date": day,
            "bar_seconds": 60,
            "status": "complete" if rows else "empty",
            "source_type": "file",
            "source_url": "folder",
            "api_version": "1",
            "fetched_at": NOW,
            "committed_at": dt.datetime(2025, 8, 14, 10, 1, tzinfo=dt.UTC),
            "rows_read": rows,
            "rows_stored": rows,
            "rows_unchanged": 0,
            "rows_corrected": 0,
            "rows_retired": 0,
            "rows_quarantined": 0,
            "checksum": "0123456789abcdef",
            "code_version": "0.1.0",
            **changes,
        }
        columns, marks = ", ".join(values), ", ".join(f"%({name})s" for name in values)
        with warehouse.connect() as connection:
            row = connection.execute(
                f"INSERT INTO loads ({columns}) VALUES ({marks}) RETURNING load_id".encode(), values
            ).fetchone()
        assert row is not None
        return int(row[0])

    return insert


@pytest.fixture
def option(warehouse: Warehouse) -> Callable[[str], int]:
    """Make an instrument with a symbol."""

    def insert(symbol: str) -> int:
        with warehouse.connect() as connection:
            row = connection.execute(
                "INSERT INTO instruments (kind, venue, book) VALUES ('EQ', 'NSE', 'X') RETURNING instrument_id"
            ).fetchone()
            assert row is not None
            connection.execute(
                "INSERT INTO instrument_terms (instrument_id, kind, venue, symbol, underlying, series, currency)"
                " VALUES (%s, 'EQ', 'NSE', %s, %s, 'EQ', 'INR')",
                [row[0], symbol, symbol],
            )
        return int(row[0])

    return insert


@pytest.fixture
def watched(warehouse: Warehouse) -> Warehouse:
    """The tables of quality, gaps and reconciliation, whether or not a migration made them."""
    with warehouse.connect() as connection:
        for statement in CONTRACTS:
            connection.execute(statement.encode())
    return warehouse


@pytest.fixture
def report(warehouse: Warehouse) -> Callable[..., DataReport]:
    """Build a report at a fixed moment."""

    def build(now: dt.datetime = NOW, **options: Any) -> DataReport:
        return build_report(warehouse, now, **options)

    return build


def section(built: DataReport, name: str) -> Section:
    return next(one for one in built.sections if one.name == name)


def table(built: DataReport, name: str) -> Table:
    return next(one for part in built.sections for one in part.tables if one.name == name)


def records(built: DataReport, name: str) -> list[dict[str, Any]]:
    """Give the rows of a table by column."""
    found = table(built, name)
    return [dict(zip(found.header, row, strict=True)) for row in found.rows]
