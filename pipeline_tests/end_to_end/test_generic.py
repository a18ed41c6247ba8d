"""What leaves as CSV or Parquet comes back as the same rows: exported, imported into an empty warehouse, compared."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import psycopg
import pytest

from pipeline_defs.publishing import export_underlying
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.schema.tables import DAY, MINUTE, TICK
from pipeline_defs.sources.registry import get_source
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.loading import import_source
from pipeline_tests.end_to_end.crypto import (
    BAR_SECONDS,
    FIRST_DAY,
    LAST_DAY,
    UNDERLYING,
    crypto_rows,
    write_crypto_month,
)

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from pipeline_defs.samples.generate import GeneratedSample
    from pipeline_defs.warehouse.reports import LoadReport

FORMATS: Final = ("csv", "parquet")
TABLES: Final = ("options_ticks", "futures_ticks", "spot_prices")

# Everything but source, load and the numbers of instruments. A rolling future comes under the contract that it meant,
# unless that was delivered itself.
ROWS: Final = """
SELECT o."timestamp", o.bar_seconds, o.sequence, t.kind, t.underlying, t.expiry, t.strike, t.option_type, t.series,
       t.isin, t.lot_size, t.tick_size, t.multiplier, t.venue, t.currency, i.base_currency, o.open, o.high, o.low,
       o.close, o.volume::text, o.open_interest::text, o.bid_price, o.bid_size::text, o.ask_price, o.ask_size::text,
       {settlement}
FROM {table} AS o
JOIN loads AS l USING (load_id)
LEFT JOIN continuous_contracts AS c ON c.instrument_id = o.instrument_id AND c.trade_date = l.trade_date
JOIN instrument_terms AS t ON t.instrument_id = coalesce(c.contract_id, o.instrument_id)
    AND t.valid_from <= l.trade_date AND t.valid_to > l.trade_date
JOIN instruments AS i ON i.instrument_id = t.instrument_id
WHERE t.underlying = %s AND o.bar_seconds = ANY (%s) AND o.open IS NOT NULL
  AND (c.contract_id IS NULL OR NOT EXISTS (
      SELECT FROM {table} AS d JOIN loads AS dl USING (load_id)
      WHERE d.instrument_id = c.contract_id AND dl.trade_date = l.trade_date AND d.bar_seconds = o.bar_seconds))
ORDER BY o.bar_seconds, t.kind, t.expiry, t.strike, t.option_type, o."timestamp", o.sequence
"""
LOT, OPEN, SETTLEMENT = 10, 16, -1
VALUES: Final = ("open", "high", "low", "close", "volume")

type Rows = dict[str, list[tuple[Any, ...]]]


def rows_of(
    warehouse: Warehouse, *resolutions: int, underlying: str = "NIFTY", settlement: str = "o.settlement_price"
) -> Rows:
    with warehouse.connect() as connection:
        return {
            table: connection.execute(
                ROWS.format(table=table, settlement=settlement).encode(), [underlying, list(resolutions)]
            ).fetchall()
            for table in TABLES
        }


def imported(warehouse: Warehouse, path: Path) -> list[LoadReport]:
    reports = list(import_source(warehouse, get_source("manual-csv"), ImportRequest(path=path)))
    assert {report.status for report in reports} <= {"complete", "empty"}
    assert not any(report.quarantined for report in reports)
    return reports


@pytest.fixture
def days(demo: GeneratedSample) -> tuple[dt.date, dt.date]:
    return min(demo.trade_dates), max(demo.trade_dates)


@pytest.fixture
def empty(database_url: str) -> Warehouse:
    return Warehouse(database_url)


@pytest.mark.parametrize("format_name", FORMATS)
def test_minutes_and_ticks_come_back_as_the_same_rows(
    filled_template_url: str, empty: Warehouse, tmp_path: Path, format_name: str, days: tuple[dt.date, dt.date]
) -> None:
    stored = Warehouse(filled_template_url)
    expected = rows_of(stored, TICK, MINUTE)
    assert all(expected.values())
    assert {row[1] for row in expected["futures_ticks"]} == {TICK, MINUTE}
    published = export_underlying(
        stored, format_name, "NIFTY", *days, output=tmp_path / "files", resolutions=(300, DAY), with_ticks=True
    )

    reports = imported(empty, published.path)

    assert sum(report.stored for report in reports) == sum(map(len, expected.values()))
    assert rows_of(empty, TICK, MINUTE) == expected
    assert not any(rows_of(empty, 300, DAY).values()), "what was derived is no row of its own"
    again = imported(empty, published.path)
    assert sum(report.stored + report.corrected + report.retired for report in again) == 0


@pytest.mark.parametrize("format_name", FORMATS)
def test_days_come_back_with_their_lots_and_the_settlements_of_what_expires(
    filled_template_url: str, empty: Warehouse, tmp_path: Path, format_name: str, days: tuple[dt.date, dt.date]
) -> None:
    stored = Warehouse(filled_template_url)
    # The slice knows the settlements of what expires; those of other days stay in the warehouse.
    at_expiry = "CASE WHEN l.trade_date = t.expiry THEN o.settlement_price END"
    expected = rows_of(stored, DAY, settlement=at_expiry)
    assert any(row[SETTLEMENT] is not None for row in expected["options_ticks"])
    assert any(row[LOT] is not None for row in expected["options_ticks"])

    published = export_underlying(stored, format_name, "NIFTY", *days, output=tmp_path / "files", bar_seconds=DAY)
    imported(empty, published.path)

    assert rows_of(empty, DAY, settlement=at_expiry) == expected


@pytest.fixture
def another(template_url: str, postgres_url: str) -> Warehouse:
    """A second empty warehouse."""
    name = urlsplit(template_url).path.removeprefix("/")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}_another".encode())
        connection.execute(f"CREATE DATABASE {name}_another TEMPLATE {name}".encode())
    return Warehouse(urlsplit(postgres_url)._replace(path=f"/{name}_another").geturl())


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_crypto_month_comes_in_as_csv_leaves_and_comes_back(
    empty: Warehouse, another: Warehouse, tmp_path: Path, format_name: str
) -> None:
    imported(empty, write_crypto_month(tmp_path))
    expected = rows_of(empty, BAR_SECONDS, underlying=UNDERLYING)
    given = [tuple(Decimal(row[name]) for name in VALUES) for row in crypto_rows()]
    assert [(*row[OPEN : OPEN + 4], Decimal(row[OPEN + 4])) for row in expected["spot_prices"]] == given

    published = export_underlying(
        empty, format_name, UNDERLYING, FIRST_DAY, LAST_DAY, output=tmp_path / "files", bar_seconds=BAR_SECONDS
    )
    imported(another, published.path)

    assert len(expected["spot_prices"]) == published.counts["bars"] == 120
    assert rows_of(another, BAR_SECONDS, underlying=UNDERLYING) == expected
