"""No look ahead: whatever is asked whenever, nothing is told that was complete later, and nothing is left out."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_defs.portal import DataPortal, LookAheadError, SimulationClock
from pipeline_defs.portal.wanted import FREQUENCIES
from pipeline_tests.portal.landing import bar, ist, land, share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.warehouse.connection import Warehouse

DAYS = (dt.date(2025, 8, 13), dt.date(2025, 8, 14), dt.date(2025, 8, 18))
BEGIN, END = ist("08:00", DAYS[0]), ist("18:00", DAYS[-1])
type Bar = tuple[dt.datetime, Decimal, int]
"""Close stamp, close, volume."""


def made_up(symbol: str, day: dt.date) -> list[dict[str, Any]]:
    """Bars of some minutes of a session; which ones depends on the symbol."""
    step = {"AAA": 1, "BBB": 7, "CCC": 61}[symbol]
    opens = ist("09:15", day)
    price = {"AAA": 100, "BBB": 200, "CCC": 300}[symbol] + day.day
    return [
        bar(opens + dt.timedelta(minutes=at), price, price + 2, price - 1, price + Decimal(at) / 1000, volume=at)
        for at in range(step, 376, step)
    ]


TRUTH = {symbol: [row for day in DAYS for row in made_up(symbol, day)] for symbol in ("AAA", "BBB", "CCC")}


@pytest.fixture(scope="module")
def portal(shared_warehouse: Warehouse) -> Iterator[DataPortal]:
    """Over three sessions of three shares."""
    for day in DAYS:
        parts = [(share(symbol), made_up(symbol, day)) for symbol in TRUTH]
        land(shared_warehouse, *parts[0], day=day, more=parts[1:], file=f"minutes {day}")
    made = DataPortal(warehouse=shared_warehouse, clock=SimulationClock(BEGIN))
    yield made
    made.close()


def buckets_of(symbol: str, seconds: int, now: dt.datetime) -> list[Bar]:
    """Put a symbol's minutes together in the plainest way, whole buckets only."""
    found: dict[dt.datetime, Bar] = {}
    for row in TRUTH[symbol]:
        day = row["timestamp"].astimezone(ist("09:15").tzinfo).date()
        opens, closes = ist("09:15", day), ist("15:30", day)
        began = row["timestamp"] - dt.timedelta(minutes=1)
        number = (began - opens) // dt.timedelta(seconds=seconds)
        close = min(opens + (number + 1) * dt.timedelta(seconds=seconds), closes)
        before = found.get(close, (close, Decimal(0), 0))
        found[close] = (close, row["close"], before[2] + row["volume"])
    return [one for one in found.values() if one[0] <= now]


def grid_of(seconds: int, now: dt.datetime, count: int) -> dt.datetime:
    """Find the close of the first bucket of a window, over these sessions alone."""
    closes = []
    for day in DAYS:
        opens, closed = ist("09:15", day), ist("15:30", day)
        at = opens
        while at < closed:
            at = min(at + dt.timedelta(seconds=seconds), closed)
            closes.append(at)
    complete = [one for one in closes if one <= now]
    return complete[-count] if count <= len(complete) else BEGIN


instants = st.integers(0, int((END - BEGIN).total_seconds())).map(lambda seconds: BEGIN + dt.timedelta(seconds=seconds))


@settings(max_examples=50, deadline=None)
@given(
    now=instants,
    symbols=st.lists(st.sampled_from(sorted(TRUTH)), min_size=1, max_size=3, unique=True),
    count=st.integers(1, 900),
    frequency=st.sampled_from(sorted(FREQUENCIES)),
)
def test_a_window_is_exactly_the_complete_buckets_of_before_the_clock(
    portal: DataPortal, now: dt.datetime, symbols: list[str], count: int, frequency: str
) -> None:
    portal.clock.set(now)  # type: ignore[attr-defined]
    found = portal.history(symbols, ["close", "volume"], count, frequency)

    seconds = FREQUENCIES[frequency]
    first = grid_of(seconds, now, count)
    assert found.rows() == [
        (stamp, symbol, close, volume)
        for symbol in symbols
        for stamp, close, volume in buckets_of(symbol, seconds, now)
        if stamp >= first
    ]
    assert all(stamp <= now for stamp in found["timestamp"])


@settings(max_examples=40, deadline=None)
@given(now=instants, symbol=st.sampled_from(sorted(TRUTH)))
def test_the_present_is_never_of_later(portal: DataPortal, now: dt.datetime, symbol: str) -> None:
    portal.clock.set(now)  # type: ignore[attr-defined]
    told = portal.current(symbol, ["price", "last_traded", "close"])

    known = [row for row in TRUTH[symbol] if row["timestamp"] <= now]
    assert told["price"] == (known[-1]["close"] if known else None)
    assert told["last_traded"] == (known[-1]["timestamp"] if known else None)
    assert told["close"] in {None, told["price"]}


@settings(max_examples=20, deadline=None)
@given(now=instants, ahead=st.timedeltas(dt.timedelta(microseconds=1), dt.timedelta(days=400)))
def test_an_instant_that_has_not_come_is_refused(portal: DataPortal, now: dt.datetime, ahead: dt.timedelta) -> None:
    portal.clock.set(now)  # type: ignore[attr-defined]
    with pytest.raises(LookAheadError):
        portal.get_history_window("AAA", now + ahead, 1, "1m", "close")
    with pytest.raises(LookAheadError):
        portal.get_spot_value("AAA", "close", now + ahead)


@settings(max_examples=40, deadline=None)
@given(now=instants, back=st.timedeltas(dt.timedelta(0), dt.timedelta(days=4)), count=st.integers(1, 500))
def test_a_window_that_ended_earlier_is_what_was_told_then(
    portal: DataPortal, now: dt.datetime, back: dt.timedelta, count: int
) -> None:
    portal.clock.set(now - back)  # type: ignore[attr-defined]
    then = portal.history(["BBB"], "close", count, "5m")
    portal.clock.set(now)  # type: ignore[attr-defined]
    assert portal.get_history_window(["BBB"], now - back, count, "5m", "close").equals(then)
