"""Markets by name: days, hours and instants that traders know."""

from __future__ import annotations

import datetime as dt

import pandas_market_calendars
import pytest

from pipeline_defs.errors import MarketRuleError
from pipeline_defs.markets.market import MARKETS, market
from pipeline_defs.markets.sessions import session_dates


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("name", "day", "opens", "closes"),
    [
        ("NSE", "2025-08-25", "2025-08-25T03:45", "2025-08-25T10:00"),
        ("NSE", "2026-08-04", "2026-08-04T03:45", "2026-08-04T10:10"),
        ("US", "2026-11-25", "2026-11-25T14:30", "2026-11-25T21:00"),
        ("US", "2026-11-27", "2026-11-27T14:30", "2026-11-27T18:00"),
        ("US", "2025-07-01", "2025-07-01T13:30", "2025-07-01T20:00"),
        ("CRYPTO", "2025-08-24", "2025-08-24T00:00", "2025-08-25T00:00"),
    ],
)
def test_sessions_open_and_close_when_they_did(name: str, day: str, opens: str, closes: str) -> None:
    session = dt.date.fromisoformat(day)

    assert market(name).open(session) == utc(opens)
    assert market(name).close(session) == utc(closes)


@pytest.mark.parametrize(
    ("name", "day", "reason"),
    [
        ("NSE", "2025-08-15", "holiday Independence Day"),
        ("NSE", "2025-02-01", None),
        ("US", "2026-11-26", "holiday Thanksgiving"),
        ("US", "2026-11-28", "weekend"),
        ("US", "2001-09-12", "holiday Special closing"),
        ("CRYPTO", "2025-12-25", None),
        ("ANY", "2025-12-25", None),
    ],
)
def test_a_closed_day_has_a_reason(name: str, day: str, reason: str | None) -> None:
    assert market(name).closed_reason(dt.date.fromisoformat(day)) == reason


def test_the_nse_by_name_is_the_nse_of_the_sessions() -> None:
    first, last = market("NSE").covered

    assert market("NSE").sessions(first, last) == session_dates(first, last)


def test_the_us_sessions_are_those_of_the_calendar_library() -> None:
    first, last = market("US").covered
    listed = pandas_market_calendars.get_calendar("NYSE").schedule(str(first), str(last))
    ours = market("US").sessions(first, last)

    assert ours == [stamp.date() for stamp in listed.index]
    assert [market("US").close(day) for day in ours] == [stamp.to_pydatetime() for stamp in listed.market_close]
    assert [market("US").open(day) for day in ours] == [stamp.to_pydatetime() for stamp in listed.market_open]


def test_midnight_belongs_to_the_bar_that_ends_and_to_the_tick_that_begins() -> None:
    midnight = utc("2025-08-25T00:00")

    assert market("CRYPTO").trade_date(midnight, is_close=True) == dt.date(2025, 8, 24)
    assert market("CRYPTO").trade_date(midnight) == dt.date(2025, 8, 25)
    assert market("NSE").trade_date(midnight) == dt.date(2025, 8, 25)


def test_extended_hours_are_those_of_the_market() -> None:
    day = dt.date(2025, 7, 1)

    assert market("US").extended_hours(day) == (utc("2025-07-01T08:00"), utc("2025-07-02T00:00"))
    assert market("NSE").extended_hours(day) == (market("NSE").open(day), market("NSE").close(day))


def test_days_of_a_market_begin_in_its_zone_also_when_clocks_change() -> None:
    begin, end = market("US").bounds(dt.date(2025, 3, 9))

    assert (begin, end) == (utc("2025-03-09T05:00"), utc("2025-03-10T04:00"))


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(MarketRuleError, match="no market 'MARS', expected one of NSE, US, CRYPTO, ANY"):
        market("MARS")
    with pytest.raises(MarketRuleError, match="was not a session of US: weekend"):
        market("US").close(dt.date(2026, 11, 28))
    for one in MARKETS.values():
        with pytest.raises(MarketRuleError, match="outside the calendar"):
            one.closed_reason(dt.date(1890, 1, 1))
