"""A short way for tests of the portal to say what sources delivered, through the one import path."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import polars as pl

from pipeline_defs.schema.batches import (
    BATCH_ACTION_SCHEMA,
    CONTRACT_SCHEMA,
    FILE_SCHEMA,
    FRACTIONAL_OBSERVATION_SCHEMA,
    OBSERVATION_SCHEMA,
    REJECT_SCHEMA,
    ImportBatch,
    ImportRequest,
)
from pipeline_defs.schema.tables import KIND_TABLES, table_for
from pipeline_defs.warehouse.loading import import_source
from pipeline_tests.warehouse.deliveries import StubSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline_defs.warehouse.connection import Warehouse

IST = ZoneInfo("Asia/Kolkata")
DAY = dt.date(2025, 8, 13)
"""A Wednesday; the next session is the day after, then Monday the 18th."""


def ist(text: str, day: dt.date = DAY) -> dt.datetime:
    """An instant of India's clock on a day: ``09:16``."""
    return dt.datetime.combine(day, dt.time.fromisoformat(text), IST).astimezone(dt.UTC)


def share(symbol: str, **changes: Any) -> dict[str, Any]:
    return {"kind": "EQ", "symbol": symbol, "underlying": symbol, "venue": "NSE", "currency": "INR", **changes}


def us_share(symbol: str, venue: str = "NASDAQ") -> dict[str, Any]:
    return share(symbol, venue=venue, currency="USD")


def index(symbol: str) -> dict[str, Any]:
    return share(symbol, kind="SPOT")


def future(symbol: str, expiry: dt.date, underlying: str = "NIFTY") -> dict[str, Any]:
    return share(symbol, kind="FUT", underlying=underlying, expiry=expiry)


def bar(
    time: dt.datetime, *prices: str | int | Decimal, volume: Any = 100, open_interest: Any = None, **more: Any
) -> dict[str, Any]:
    """One bar: its close stamp, and one price, or open, high, low, close."""
    values = [Decimal(str(price)) for price in prices]
    opens, high, low, close = values if len(values) == 4 else values * 4
    row = {"timestamp": time, "open": opens, "high": high, "low": low, "close": close, "volume": volume}
    return {**row, "open_interest": open_interest, **more}


def minutes(prices: Mapping[str, str | int], day: dt.date = DAY) -> list[dict[str, Any]]:
    """Bars of a minute by the time of India at their close."""
    return [bar(ist(time, day), price) for time, price in prices.items()]


def land(
    warehouse: Warehouse,
    terms: dict[str, Any],
    rows: Iterable[dict[str, Any]],
    *,
    seconds: int = 60,
    source: str = "nse_csv",
    day: dt.date = DAY,
    zone: str = "Asia/Kolkata",
    actions: Iterable[tuple[dt.date, str, str]] = (),
    more: Iterable[tuple[dict[str, Any], Iterable[dict[str, Any]]]] = (),
    file: str | None = None,
) -> None:
    """Import what a source says of a day."""
    parts = [(terms, list(rows)), *((other, list(of)) for other, of in more)]
    table = table_for(terms["kind"], seconds) if terms["kind"] in KIND_TABLES else "spot_prices"
    contracts = [dict.fromkeys(CONTRACT_SCHEMA) | one | {"contract_key": key} for key, (one, _) in enumerate(parts)]
    has_parts = zone != "Asia/Kolkata"
    schema = FRACTIONAL_OBSERVATION_SCHEMA if has_parts else OBSERVATION_SCHEMA
    flat = [
        dict.fromkeys(schema) | {"contract_key": key, "sequence": 0, "file_index": 0, "line": line} | row
        for key, (_, of) in enumerate(parts)
        for line, row in enumerate(of, start=key * 10_000 + 2)
    ]
    known = [{"contract_key": 0, "ex_date": on, "kind": kind, "value": Decimal(value)} for on, kind, value in actions]
    batch = ImportBatch(
        table=table,
        bar_seconds=seconds,
        trade_date=day,
        contracts=pl.DataFrame(contracts, schema=CONTRACT_SCHEMA),
        observations=pl.DataFrame(flat, schema=schema),
        rejects=pl.DataFrame(schema=REJECT_SCHEMA),
        files=pl.DataFrame(
            [
                (
                    0,
                    "folder/day.csv",
                    None,
                    file or f"{terms['symbol']}/{seconds}/{day}",
                    str(hash(str(flat))),
                    1,
                    "test",
                )
            ],
            schema=FILE_SCHEMA,
            orient="row",
        ),
        timezone=zone,
        actions=pl.DataFrame(known, schema=BATCH_ACTION_SCHEMA) if known else None,
    )
    (report,) = import_source(warehouse, StubSource(batch, name=source), ImportRequest())
    assert report.status == "complete"
