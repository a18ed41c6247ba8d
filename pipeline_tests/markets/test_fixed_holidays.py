"""Holidays that can be computed years ahead."""

from __future__ import annotations

import datetime as dt

import pytest
from dateutil.easter import easter  # type: ignore[import-untyped] # ships no type information

from pipeline_defs.markets.fixed_holidays import easter_sunday, fixed_holidays
from pipeline_defs.markets.session_tables import session_calendar


def test_easter_agrees_with_another_implementation_for_two_centuries() -> None:
    assert [easter_sunday(year) for year in range(1950, 2150)] == [easter(year) for year in range(1950, 2150)]


@pytest.mark.parametrize("year", range(2011, 2027))
def test_every_fixed_holiday_of_past_years_was_really_one(year: int) -> None:
    assert set(fixed_holidays(year)) <= set(session_calendar().holidays)


def test_the_coming_year_has_the_weekday_ones_in_order() -> None:
    assert fixed_holidays(2027) == {
        dt.date(2027, 1, 26): "Republic Day",
        dt.date(2027, 3, 26): "Good Friday",
        dt.date(2027, 4, 14): "Dr. Baba Saheb Ambedkar Jayanti",
    }
