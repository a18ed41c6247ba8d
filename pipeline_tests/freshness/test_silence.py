"""How long a market may say nothing, and which sessions are due."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from pipeline_defs.freshness.silence import due_sessions, longest_silence
from pipeline_defs.markets.market import market

IST = ZoneInfo("Asia/Kolkata")


@pytest.mark.parametrize(
    ("name", "first", "last", "days", "hours"),
    [
        ("NSE", "2025-08-18", "2025-08-22", 1, 0),
        ("NSE", "2025-08-18", "2025-08-25", 3, 0),
        ("NSE", "2025-08-12", "2025-08-18", 4, 0),  # Independence Day was a Friday
        ("NSE", "2026-07-31", "2026-08-03", 3, 1 / 6),  # the close moved by ten minutes
        ("US", "2025-08-25", "2025-09-05", 4, 0),  # Labour Day
        ("CRYPTO", "2025-08-18", "2025-08-25", 1, 0),
        ("NSE", "2025-08-23", "2025-08-24", 1, 0),
    ],
)
def test_the_longest_silence_is_from_close_to_close(name: str, first: str, last: str, days: int, hours: float) -> None:
    found = longest_silence(name, dt.date.fromisoformat(first), dt.date.fromisoformat(last))

    assert found == dt.timedelta(days=days, hours=hours)


def test_what_lies_outside_the_calendar_is_left_out() -> None:
    assert longest_silence("NSE", dt.date(1990, 1, 1), dt.date(2100, 1, 1)) == longest_silence(
        "NSE", *market("NSE").covered
    )


def test_due_sessions_are_the_latest_that_closed_and_had_their_grace() -> None:
    nse = market("NSE")
    monday = dt.datetime(2025, 8, 25, 15, 44, 59, tzinfo=IST)
    thursday, friday = dt.date(2025, 8, 21), dt.date(2025, 8, 22)

    assert due_sessions(nse, monday, 2, 900) == [thursday, friday]
    assert due_sessions(nse, monday + dt.timedelta(seconds=1), 2, 900) == [friday, dt.date(2025, 8, 25)]
    assert due_sessions(nse, dt.datetime(2024, 11, 1, 19, 0, tzinfo=IST), 1) == [dt.date(2024, 11, 1)]
    assert due_sessions(nse, dt.datetime(2000, 1, 3, 20, 0, tzinfo=IST), 5) == [dt.date(2000, 1, 3)]
