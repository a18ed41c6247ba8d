"""A trade date is a day of the exchange, not of UTC."""

from __future__ import annotations

import datetime as dt

from pipeline_defs.warehouse.days import day_bounds


def test_a_trade_date_begins_and_ends_at_midnight_in_india() -> None:
    begin, end = day_bounds(dt.date(2025, 8, 14))

    assert begin == dt.datetime(2025, 8, 13, 18, 30, tzinfo=dt.UTC)
    assert end == begin + dt.timedelta(days=1)


def test_a_range_ends_with_its_last_date() -> None:
    assert day_bounds(dt.date(2025, 8, 8), dt.date(2025, 8, 14))[1] == day_bounds(dt.date(2025, 8, 14))[1]
