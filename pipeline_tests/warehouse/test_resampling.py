"""Bars made of bars: session buckets as SQL makes them, and nothing lost on the way."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.errors import ExportError
from pipeline_defs.schema.exports import BAR_SCHEMA
from pipeline_defs.warehouse.resampling import resample
from pipeline_defs.warehouse.slices import open_market_slice
from pipeline_tests.warehouse.deliveries import SESSION_OPEN, TRADE_DATE, Delivery, make_batch

if TYPE_CHECKING:
    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.reports import LoadReport

type Load = Callable[..., LoadReport]
type Ask = Callable[..., list[tuple[Any, ...]]]

MINUTE = dt.timedelta(minutes=1)
SESSION = pl.DataFrame(
    {"open": [SESSION_OPEN], "close": [SESSION_OPEN + 375 * MINUTE]},
    schema={"open": BAR_SCHEMA["timestamp"], "close": BAR_SCHEMA["timestamp"]},
)


def bars(*rows: tuple[int, str, str, str, str, int, int | None]) -> pl.DataFrame:
    """One instrument's bars, each by the minute of its close."""
    names = ("open", "high", "low", "close")
    return pl.DataFrame(
        [
            {
                "instrument_id": 1,
                "timestamp": SESSION_OPEN + minute * MINUTE,
                "volume": volume,
                "open_interest": interest,
            }
            | dict(zip(names, map(Decimal, prices), strict=True))
            for minute, *prices, volume, interest in rows
        ],
        schema=BAR_SCHEMA,
    )


def test_a_bucket_takes_first_highest_lowest_last_and_the_sum() -> None:
    first, second = (1, "10", "12", "9", "11", 5, 100), (3, "11", "11.5", "8", "8.5", 7, 90)

    five = resample(
        bars(first, second, (5, "8.5", "20", "8.5", "19", 1, None)), SESSION, from_seconds=60, to_seconds=300
    )

    assert five.rows() == [
        (1, SESSION_OPEN + 5 * MINUTE, *map(Decimal, ("10", "20", "8", "19")), 13, None),
    ]


def test_the_last_hour_of_a_session_ends_with_the_session() -> None:
    hours = resample(
        bars((60, "1", "1", "1", "1", 1, 1), (61, "2", "2", "2", "2", 1, 1), (375, "3", "3", "3", "3", 1, 1)),
        SESSION,
        from_seconds=60,
        to_seconds=3600,
    )

    minutes = [(stamp - SESSION_OPEN) // MINUTE for stamp in hours["timestamp"]]
    assert minutes == [60, 120, 375]


@pytest.mark.parametrize("to_seconds", [1800, 3600, 7200])
def test_a_bar_is_never_in_a_bucket_that_closed_before_it(to_seconds: int) -> None:
    # Half hours: the last one of the session has fifteen minutes only.
    closes = [*range(30, 361, 30), 375]
    halves = bars(*((minute, "1", "1", "1", "1", 1, minute) for minute in closes))

    made = resample(halves, SESSION, from_seconds=1800, to_seconds=to_seconds)

    ends = [(stamp - SESSION_OPEN) // MINUTE for stamp in made["timestamp"]]
    assert ends == [*range(to_seconds // 60, 375, to_seconds // 60), 375]
    assert made["volume"].sum() == len(closes)
    assert all(last <= end for last, end in zip(made["open_interest"], ends, strict=True))


def test_a_tick_at_the_very_close_belongs_to_the_last_bucket() -> None:
    ticks = bars((0, "1", "1", "1", "1", 1, 1), (5, "2", "2", "2", "2", 1, 1), (375, "3", "3", "3", "3", 1, 1))

    made = resample(ticks, SESSION, from_seconds=0, to_seconds=300)

    assert [(stamp - SESSION_OPEN) // MINUTE for stamp in made["timestamp"]] == [5, 10, 375]


@given(
    minutes=st.lists(st.integers(1, 375), min_size=1, max_size=60, unique=True).map(sorted),
    seconds=st.sampled_from([120, 300, 900, 3600, 86_400]),
    prices=st.data(),
)
def test_no_volume_and_no_extreme_is_lost(minutes: list[int], seconds: int, prices: st.DataObject) -> None:
    rows = []
    for minute in minutes:
        low, first, last, high = sorted(prices.draw(st.lists(st.integers(1, 10**6), min_size=4, max_size=4)))
        rows.append((minute, str(first), str(high), str(low), str(last), prices.draw(st.integers(0, 10**9)), None))
    fine = bars(*rows)

    coarse = resample(fine, SESSION, from_seconds=60, to_seconds=seconds)

    assert coarse["volume"].sum() == fine["volume"].sum()
    assert (coarse["high"].max(), coarse["low"].min()) == (fine["high"].max(), fine["low"].min())
    assert (coarse["open"][0], coarse["close"][-1]) == (fine["open"][0], fine["close"][-1])
    assert coarse["timestamp"].is_sorted()
    assert coarse["timestamp"].n_unique() == coarse.height


@pytest.mark.parametrize("stored", [0, 60])
@pytest.mark.parametrize("bars", ["options_hourly", "options_daily"])
def test_bars_of_hours_and_days_are_those_that_the_database_makes(
    warehouse: Warehouse, load: Load, ask: Ask, bars: str, stored: int
) -> None:
    seconds = {"options_hourly": 3600, "options_daily": 86_400}[bars]
    minutes = (1, 59, 60, 61, 200, 375)
    rows = [(name, minute, f"{100 + (minute * 7) % 13}.{minute % 10}5") for name in "AB" for minute in minutes]
    load(make_batch(Delivery(rows), bar_seconds=stored))

    wanted: dict[str, Any] = {"resolutions": [seconds]}
    if stored == 0:
        wanted = {"bar_seconds": seconds, "bars_from_ticks": True}
    with open_market_slice(warehouse, "NIFTY", TRADE_DATE, TRADE_DATE, **wanted) as market:
        coarse = market.every_resolution[-1]
        made = pl.concat(coarse.read_bars())

    columns = "instrument_id, open, high, low, close, volume::bigint, open_interest"
    expected = ask(f"SELECT {columns} FROM {bars} WHERE bar_seconds = %s ORDER BY instrument_id, bucket", stored)
    assert (coarse.bar_seconds, coarse.instruments["row_count"].sum()) == (seconds, len(expected))
    assert coarse.instruments["last_timestamp"].max() == made["timestamp"].max()
    assert made.drop("timestamp").rows() == expected


@pytest.mark.parametrize("seconds", [30, 60, 90, 2 * 86_400])
def test_lengths_that_cannot_be_made_of_the_bars_are_refused(warehouse: Warehouse, seconds: int) -> None:
    with (
        pytest.raises(ExportError, match=f"bars of {seconds} seconds cannot be made of bars of 60 seconds"),
        open_market_slice(warehouse, "NIFTY", TRADE_DATE, TRADE_DATE, resolutions=[seconds]),
    ):
        pytest.fail("it was opened")
