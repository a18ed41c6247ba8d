"""Windows cover exactly the days that are wanted, with few requests."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.sources.asking.questions import Window
from pipeline_defs.sources.asking.windows import cut_windows

DAYS = [dt.date(2025, 8, 1) + dt.timedelta(days=offset) for offset in range(60)]
WEEKENDS = frozenset(day for day in DAYS if day.weekday() > 4)


def test_sixty_days_are_one_request_where_sixty_are_allowed() -> None:
    assert cut_windows(DAYS, 60) == [Window(DAYS[0], DAYS[-1])]


def test_a_day_that_is_not_wanted_parts_two_windows_but_a_weekend_does_not() -> None:
    weekdays = [day for day in DAYS if day not in WEEKENDS]
    without_fourth = [day for day in weekdays if day != dt.date(2025, 8, 14)]

    assert cut_windows(weekdays, 60, WEEKENDS) == [Window(DAYS[0], dt.date(2025, 9, 29))]
    assert cut_windows(without_fourth, 60, WEEKENDS)[0] == Window(DAYS[0], dt.date(2025, 8, 13))


def test_no_days_are_no_windows() -> None:
    assert cut_windows([], 5) == []


@given(st.sets(st.sampled_from(DAYS)), st.integers(1, 70))
def test_each_wanted_day_is_in_one_window_and_no_other_trading_day_is(chosen: set[dt.date], longest: int) -> None:
    windows = cut_windows(sorted(chosen), longest, WEEKENDS)
    covered = [day for window in windows for day in DAYS if window.first <= day <= window.last]

    assert len(covered) == len(set(covered))
    assert set(covered) - WEEKENDS == chosen - WEEKENDS
    assert chosen <= set(covered)
    assert all((window.last - window.first).days < longest for window in windows)
