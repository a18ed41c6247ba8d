"""What leaves as CSV or Parquet comes back as the same rows: exported, imported into an empty warehouse, compared."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pytest

from pipeline_defs.exports.run import export_slice
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.schema.exports import INSTRUMENT_SCHEMA, SETTLEMENT_SCHEMA, TICK_SCHEMA, MarketSlice, TickSlice
from pipeline_defs.schema.tables import DAY, MINUTE
from pipeline_defs.sources.registry import get_source
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.loading import import_source
from pipeline_defs.warehouse.slices import open_market_slice

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline_defs.samples.generate import GeneratedSample
    from pipeline_defs.warehouse.reports import LoadReport

FORMATS: Final = ("csv", "parquet")

# A rolling future under the contract that it meant, unless that was delivered itself.
STORED: Final = """
FROM {table} AS o
JOIN loads AS l USING (load_id)
LEFT JOIN continuous_contracts AS c ON c.instrument_id = o.instrument_id AND c.trade_date = l.trade_date
JOIN instrument_terms AS t ON t.instrument_id = coalesce(c.contract_id, o.instrument_id)
    AND t.valid_from <= l.trade_date AND t.valid_to > l.trade_date
WHERE t.underlying = 'NIFTY' AND o.open IS NOT NULL
  AND (c.contract_id IS NULL OR NOT EXISTS (
      SELECT FROM {table} AS d JOIN loads AS dl USING (load_id)
      WHERE d.instrument_id = c.contract_id AND dl.trade_date = l.trade_date AND d.bar_seconds = o.bar_seconds))
"""

# Everything but source, load and the numbers of instruments.
ROWS: Final = f"""
SELECT o."timestamp", o.bar_seconds, o.sequence, t.kind, t.underlying, t.expiry, t.strike, t.option_type, t.series,
       t.isin, t.lot_size, t.tick_size, t.multiplier, t.venue, t.currency, o.open, o.high, o.low, o.close, o.volume,
       o.open_interest, o.bid_price, o.bid_size, o.ask_price, o.ask_size, {{settlement}}
{STORED} AND o.bar_seconds = ANY (%s)
ORDER BY o.bar_seconds, t.kind, t.expiry, t.strike, t.option_type, o."timestamp", o.sequence
"""

TICKS: Final = f"""
SELECT t.instrument_id, o."timestamp", o.sequence, o.close, o.volume, o.open_interest, o.bid_price, o.bid_size,
       o.ask_price, o.ask_size
{STORED} AND o.bar_seconds = 0
"""

SETTLEMENTS: Final = """
SELECT instrument_id, expiry, CASE kind WHEN 'OPT' THEN
           greatest(0, CASE option_type WHEN 'CE' THEN 1 ELSE -1 END * (settlement_price - strike))
           ELSE settlement_price END,
       CASE kind WHEN 'OPT' THEN settlement_price END
FROM v_{table} WHERE bar_seconds = 86400 AND underlying = 'NIFTY' AND settlement_price IS NOT NULL
  AND ("timestamp" AT TIME ZONE 'Asia/Kolkata')::date = expiry
"""


def rows_of(warehouse: Warehouse, resolutions: list[int], settlement: str) -> dict[str, list[tuple[Any, ...]]]:
    tables = ("options_ticks", "futures_ticks", "spot_prices")
    with warehouse.connect() as connection:
        return {
            table: connection.execute(
                ROWS.format(table=table, settlement=settlement).encode(), [resolutions]
            ).fetchall()
            for table in tables
        }


def with_ticks(warehouse: Warehouse, market: MarketSlice) -> MarketSlice:
    """Add the stored ticks."""
    ticks = pl.concat(fetch(warehouse, TICKS, TICK_SCHEMA)).sort("instrument_id", "timestamp", "sequence")
    counted = ticks.group_by("instrument_id").agg(
        first_timestamp=pl.col("timestamp").min(),
        last_timestamp=pl.col("timestamp").max(),
        row_count=pl.len().cast(pl.Int64),
    )
    described = market.instruments.drop("first_timestamp", "last_timestamp", "row_count")
    instruments = described.join(counted, on="instrument_id").select(list(INSTRUMENT_SCHEMA))
    assert instruments.height == counted.height

    def read(instrument_ids: list[int] | None = None) -> Iterator[pl.DataFrame]:
        assert instrument_ids is None
        yield from ticks.partition_by("instrument_id", maintain_order=True)

    return dataclasses.replace(market, ticks=TickSlice(instruments, read))


def fetch(warehouse: Warehouse, query: str, schema: dict[str, pl.DataType]) -> list[pl.DataFrame]:
    with warehouse.connect() as connection:
        answers = [
            connection.execute(query.format(table=table).encode()).fetchall()
            for table in ("options_ticks", "futures_ticks")
        ]
    return [pl.DataFrame(rows, schema=schema, orient="row") for rows in answers]


def imported(warehouse: Warehouse, path: Path) -> list[LoadReport]:
    return list(import_source(warehouse, get_source("manual-csv"), ImportRequest(path=path)))


@pytest.fixture
def days(demo: GeneratedSample) -> tuple[dt.date, dt.date]:
    return min(demo.trade_dates), max(demo.trade_dates)


@pytest.mark.parametrize("format_name", FORMATS)
def test_minutes_and_ticks_come_back_as_the_same_rows(
    filled_template_url: str, database_url: str, tmp_path: Path, format_name: str, days: tuple[dt.date, dt.date]
) -> None:
    stored, empty = Warehouse(filled_template_url), Warehouse(database_url)
    with open_market_slice(stored, "NIFTY", *days, bar_seconds=MINUTE) as market:
        published = export_slice(format_name, with_ticks(stored, market), tmp_path / "files")

    reports = imported(empty, published.path)

    assert {report.status for report in reports} <= {"complete", "empty"}
    assert sum(report.stored for report in reports) == published.counts["bars"] + published.counts["ticks"]
    assert not any(report.quarantined for report in reports)
    expected = rows_of(stored, [0, MINUTE], "o.settlement_price")
    assert min(map(len, expected.values())) > 0
    assert rows_of(empty, [0, MINUTE], "o.settlement_price") == expected

    again = imported(empty, published.path)
    assert sum(report.stored + report.corrected + report.retired for report in again) == 0


@pytest.mark.parametrize("format_name", FORMATS)
def test_days_come_back_with_the_settlements_of_what_expires(
    filled_template_url: str, database_url: str, tmp_path: Path, format_name: str, days: tuple[dt.date, dt.date]
) -> None:
    stored, empty = Warehouse(filled_template_url), Warehouse(database_url)
    settlements = pl.concat(fetch(stored, SETTLEMENTS, SETTLEMENT_SCHEMA))
    assert settlements.height > 0
    with open_market_slice(stored, "NIFTY", *days, bar_seconds=DAY) as market:
        settled = dataclasses.replace(market, settlements=settlements)
        published = export_slice(format_name, settled, tmp_path / "files")

    imported(empty, published.path)

    # The slice knows the settlements of what expires; those of other days stay in the warehouse.
    at_expiry = "CASE WHEN l.trade_date = t.expiry THEN o.settlement_price END"
    expected = rows_of(stored, [DAY], at_expiry)
    assert any(row[-1] is not None for row in expected["options_ticks"])
    assert any(row[10] is not None for row in expected["options_ticks"]), "lots come along"
    assert rows_of(empty, [DAY], at_expiry) == expected
