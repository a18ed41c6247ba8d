from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl

from pipeline_defs.exports.nautilus.settlement import settlement_notes, settlements
from pipeline_defs.schema.columns import PRICE, TIMESTAMP

FIRST = dt.datetime(2025, 8, 14, 10, tzinfo=dt.UTC)
SECOND = dt.datetime(2025, 8, 28, 10, tzinfo=dt.UTC)
OPTIONS = pl.DataFrame(
    {"expiry": [SECOND.date(), FIRST.date(), FIRST.date()], "expiry_close": [SECOND, FIRST, FIRST]},
    schema_overrides={"expiry_close": TIMESTAMP},
)


def _bars(*stamps: dt.datetime) -> pl.DataFrame:
    return pl.DataFrame(
        {"timestamp": list(stamps), "close": [Decimal(100 + number) for number in range(len(stamps))]},
        schema={"timestamp": TIMESTAMP, "close": PRICE},
    )


def test_each_expiry_settles_on_the_last_bar_up_to_its_close() -> None:
    minute = dt.timedelta(minutes=1)
    found = settlements(OPTIONS, _bars(FIRST - minute, FIRST, FIRST + minute, SECOND - minute), SECOND)
    assert found.rows() == [
        (FIRST.date(), FIRST, FIRST, Decimal(101)),
        (SECOND.date(), SECOND, SECOND - minute, Decimal(103)),
    ]
    assert settlement_notes(found, "NIFTY.NSE", 60) == []


def test_expiries_after_the_partition_are_not_its_business() -> None:
    assert settlements(OPTIONS, _bars(FIRST), FIRST)["expiry"].to_list() == [FIRST.date()]


def test_an_expiry_without_an_underlying_is_noted() -> None:
    notes = settlement_notes(settlements(OPTIONS, _bars(), FIRST), "NIFTY.NSE", 60)
    assert notes == ["no bar of NIFTY.NSE before the expiries 2025-08-14: the engine will not settle these options"]


def test_an_expiry_on_an_old_price_is_noted() -> None:
    notes = settlement_notes(settlements(OPTIONS, _bars(FIRST), SECOND), "NIFTY.NSE", 60)
    assert len(notes) == 1
    assert "older than 60 s at the expiries 2025-08-28" in notes[0]
