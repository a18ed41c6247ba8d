from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl

from pipeline_defs.exports.lean.grid import session_grid
from pipeline_defs.exports.lean.quotes import quote_bars
from pipeline_defs.schema.exports import TICK_SCHEMA
from pipeline_tests.exports.lean.slices import SESSIONS, at, session_frame

GRID = session_grid(session_frame(), "Asia/Kolkata")


def tick(clock: dt.time, bid: str | None, ask: str | None, size: int | None = 75) -> dict[str, Any]:
    return dict.fromkeys(TICK_SCHEMA) | {
        "instrument_id": 1,
        "timestamp": at(SESSIONS[0], clock),
        "sequence": 0,
        "price": Decimal(90),
        "size": 0,
        "bid_price": None if bid is None else Decimal(bid),
        "bid_size": size,
        "ask_price": None if ask is None else Decimal(ask),
        "ask_size": size,
    }


def bars(*ticks: dict[str, Any]) -> list[dict[str, Any]]:
    return quote_bars(pl.DataFrame(ticks, schema=TICK_SCHEMA), GRID).to_dicts()


def test_a_minute_has_four_prices_of_each_side_and_the_last_size() -> None:
    (bar,) = bars(
        tick(dt.time(3, 45, 1), "89", "91", 25),
        tick(dt.time(3, 45, 20), "89.5", "90.5", 50),
        tick(dt.time(3, 45, 59), "88", "92", 100),
    )
    assert [bar[f"bid_{name}"] for name in ("open", "high", "low", "close", "size")] == [
        89,
        Decimal("89.5"),
        88,
        88,
        100,
    ]
    assert [bar[f"ask_{name}"] for name in ("open", "high", "low", "close", "size")] == [
        91,
        92,
        Decimal("90.5"),
        92,
        100,
    ]
    assert bar["timestamp"] == at(SESSIONS[0], dt.time(3, 46))


def test_a_side_without_a_price_is_absent_and_zero_is_no_price() -> None:
    first, second = bars(tick(dt.time(3, 45), None, "91"), tick(dt.time(3, 46), "0", "91", None))
    assert first["bid_open"] is None
    assert first["bid_size"] == 0
    assert second["bid_close"] is None
    assert second["ask_size"] == 0


def test_ticks_without_a_quote_and_outside_the_sessions_add_nothing() -> None:
    assert bars(tick(dt.time(3, 45), None, None), tick(dt.time(3, 44), "1", "2"), tick(dt.time(10, 1), "1", "2")) == []
