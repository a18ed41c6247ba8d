from __future__ import annotations

import datetime as dt

import pytest

from pipeline_defs.errors import MarketRuleError
from pipeline_defs.samples.hours import expiry_close, hours_on, session_dates


def test_shares_and_derivatives_shared_their_hours_until_august_2026() -> None:
    hours = hours_on(dt.date(2025, 8, 13))
    assert hours.derivative_minutes == 375
    assert hours.cash_minutes.tolist() == list(range(375))


def test_closing_auction_leaves_a_gap_and_one_print_in_the_cash_market() -> None:
    hours = hours_on(dt.date(2026, 8, 3))
    assert hours.derivative_minutes == 385
    assert hours.cash_minutes.tolist() == [*range(360), 374]
    assert hours.cash_seconds.tolist() == [*range(360 * 60), 375 * 60 - 1]


def test_a_holiday_has_no_hours() -> None:
    with pytest.raises(MarketRuleError, match="2025-08-15 is not a session"):
        hours_on(dt.date(2025, 8, 15))


def test_session_dates_leave_weekends_out() -> None:
    assert session_dates(dt.date(2025, 8, 8), dt.date(2025, 8, 11)) == [dt.date(2025, 8, 8), dt.date(2025, 8, 11)]


def test_a_range_without_sessions_is_refused() -> None:
    with pytest.raises(MarketRuleError, match="no session"):
        session_dates(dt.date(2025, 8, 9), dt.date(2025, 8, 10))


def test_contracts_cease_to_trade_at_the_close_of_their_last_session() -> None:
    hours = hours_on(dt.date(2026, 7, 31))
    assert expiry_close(dt.date(2026, 8, 25), hours) == dt.datetime(2026, 8, 25, 10, 10, tzinfo=dt.UTC)


def test_beyond_the_calendar_an_expiry_closes_at_today_s_clock() -> None:
    hours = hours_on(dt.date(2026, 8, 3))
    assert expiry_close(dt.date(2031, 1, 28), hours) == dt.datetime(2031, 1, 28, 10, 10, tzinfo=dt.UTC)
