"""When rows are expected: every market's own hours, special days and the change of August 2026 among them."""

from __future__ import annotations

import datetime as dt

import pytest

from pipeline_defs.errors import MarketRuleError
from pipeline_defs.gaps.hours import expected_hours


def minutes(market: str, table: str, day: str) -> int:
    hours = expected_hours(market, table, dt.date.fromisoformat(day))
    assert hours.open is not None
    assert hours.until is not None
    return round((hours.until - hours.open).total_seconds() / 60)


@pytest.mark.parametrize(
    ("market", "table", "day", "expected"),
    [
        ("NSE", "options_ticks", "2025-08-13", 375),
        ("NSE", "spot_prices", "2025-08-13", 375),
        ("NSE", "options_ticks", "2026-08-03", 385),
        ("NSE", "futures_ticks", "2026-08-03", 385),
        ("NSE", "spot_prices", "2026-08-03", 360),
        ("NSE", "equity_daily", "2026-07-31", 375),
        ("NSE", "options_ticks", "2025-02-01", 375),  # a Saturday: the Union Budget
        ("NSE", "options_ticks", "2025-10-21", 60),  # Muhurat
        ("US", "spot_prices", "2025-11-28", 210),  # the day after Thanksgiving
        ("US", "spot_prices", "2025-11-26", 390),
        ("CRYPTO", "spot_prices", "2025-08-16", 1_440),
    ],
)
def test_a_session_has_its_own_minutes(market: str, table: str, day: str, expected: int) -> None:
    assert minutes(market, table, day) == expected


def test_the_close_is_what_a_delivery_waits_for_not_the_end_of_continuous_trading() -> None:
    hours = expected_hours("NSE", "spot_prices", dt.date(2026, 8, 3))

    assert hours.until == dt.datetime(2026, 8, 3, 9, 45, tzinfo=dt.UTC)
    assert hours.close == dt.datetime(2026, 8, 3, 10, 5, tzinfo=dt.UTC)


def test_a_closed_day_has_a_reason_and_no_hours() -> None:
    saturday = expected_hours("NSE", "options_ticks", dt.date(2025, 8, 16))
    holiday = expected_hours("US", "spot_prices", dt.date(2025, 7, 4))

    assert (saturday.open, saturday.closed_reason) == (None, "weekend")
    assert (holiday.open, (holiday.closed_reason or "")[:8]) == (None, "holiday ")


def test_a_drill_has_a_break_and_uncertain_hours_have_edges() -> None:
    drill = expected_hours("NSE", "options_ticks", dt.date(2024, 3, 2))
    diwali = expected_hours("NSE", "options_ticks", dt.date(2020, 11, 14))
    usual = expected_hours("NSE", "options_ticks", dt.date(2025, 8, 13))

    assert "trading 09:15-10:00 and 11:30-12:30, none between" in (drill.middle_note or "")
    assert drill.edge_note == drill.middle_note
    assert "hours uncertain" in (diwali.edge_note or "")
    assert diwali.middle_note is None
    assert (usual.edge_note, usual.middle_note) == (None, None)


def test_a_day_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(MarketRuleError, match="lies outside"):
        expected_hours("NSE", "options_ticks", dt.date(1990, 1, 1))
