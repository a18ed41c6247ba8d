"""What is expected of a series: day by day of what comes regularly, and no more of what came now and then."""

from __future__ import annotations

import datetime as dt

from pipeline_defs.gaps.series import Series


def series(*days: int, source: str = "nse_csv") -> Series:
    loaded = frozenset(dt.date(2025, 8, day) for day in days)
    return Series("futures_ticks", source, 0, min(loaded), max(loaded), loaded)


def days(found: list[dt.date]) -> list[int]:
    return [day.day for day in found]


def test_what_came_on_most_sessions_is_expected_on_all_and_ten_days_on() -> None:
    regular = series(11, 12, 14)  # the 13th was a session, too

    assert regular.is_regular
    assert days(regular.expected_days()) == [11, 12, 13, 14]
    assert days(regular.expected_days(dt.date(2025, 8, 1), dt.date(2025, 8, 31))) == list(range(11, 25))


def test_what_came_now_and_then_is_expected_on_no_other_day() -> None:
    assert not series(4, 8, 14).is_regular
    assert days(series(4, 8, 14).expected_days()) == [4, 8, 14]
    assert days(series(4, 8, 14).expected_days(dt.date(2025, 8, 5), dt.date(2025, 8, 31))) == [8, 14]


def test_what_came_once_has_no_rhythm_and_weekends_count_where_they_trade() -> None:
    assert days(series(14).expected_days(dt.date(2025, 8, 1), dt.date(2025, 8, 31))) == [14]
    assert series(14, 18).is_regular  # Thursday and Monday, with a holiday and a weekend between
    assert not series(14, 18, source="ccxt").is_regular
    assert str(series(14)) == "nse_csv/futures_ticks at 0 s"


def test_a_range_that_ends_before_it_begins_has_no_days() -> None:
    assert series(11, 12).expected_days(dt.date(2025, 9, 30), dt.date(2025, 10, 1)) == []
