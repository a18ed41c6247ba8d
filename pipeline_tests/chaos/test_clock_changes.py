"""New York sets its clocks twice a year: sessions, days, hours, freshness and schedules around each change."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Final
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from pipeline_defs.freshness.deciding import Missing, NotDue, NothingKnown, Partition, fresh
from pipeline_defs.markets.market import market
from pipeline_defs.orchestration.automation.closings import daily_crons, zone_of
from pipeline_defs.schema.exports import BAR_SCHEMA
from pipeline_defs.warehouse.days import day_bounds
from pipeline_defs.warehouse.resampling import resample

NEW_YORK: Final = ZoneInfo("America/New_York")
US: Final = market("US")

CHANGES: Final = {
    dt.date(2026, 3, 8): (14, 13),
    dt.date(2026, 11, 1): (13, 14),
    dt.date(2027, 3, 14): (14, 13),
    dt.date(2027, 11, 7): (13, 14),
}
"""Sunday of the change; the hour, UTC, at half past which the session before it opened, and the one after it."""

HOURS_OF_A_SESSION: Final = 7


def sessions_around(sunday: dt.date) -> list[dt.date]:
    """Give the Friday before and the Monday after."""
    return [sunday - dt.timedelta(days=2), sunday + dt.timedelta(days=1)]


@pytest.mark.parametrize("sunday", CHANGES)
def test_sessions_open_at_the_same_time_in_new_york_and_an_hour_apart_in_utc(sunday: dt.date) -> None:
    friday, monday = sessions_around(sunday)

    assert US.sessions(friday, monday) == [friday, monday]
    assert [US.open(day).astimezone(dt.UTC).hour for day in (friday, monday)] == list(CHANGES[sunday])
    for day in (friday, monday):
        assert US.open(day).astimezone(NEW_YORK).time() == dt.time(9, 30)
        assert US.close(day) - US.open(day) == dt.timedelta(hours=6.5)
        assert US.trade_date(US.close(day) - dt.timedelta(seconds=1)) == day


@pytest.mark.parametrize("sunday", CHANGES)
def test_days_follow_each_other_without_a_gap_or_an_overlap_and_one_is_an_hour_off(sunday: dt.date) -> None:
    days = [sunday + dt.timedelta(days=offset) for offset in range(-2, 3)]
    bounds = [day_bounds(day, zone=NEW_YORK.key) for day in days]

    assert all(earlier[1] == later[0] for earlier, later in itertools.pairwise(bounds))
    lengths = {day: (end - begin) // dt.timedelta(hours=1) for day, (begin, end) in zip(days, bounds, strict=True)}
    assert lengths.pop(sunday) == (23 if sunday.month == 3 else 25)
    assert set(lengths.values()) == {24}


@pytest.mark.parametrize("sunday", CHANGES)
def test_hours_are_made_from_the_open_of_each_session(sunday: dt.date) -> None:
    days = sessions_around(sunday)
    sessions = pl.DataFrame({"open": [US.open(day) for day in days], "close": [US.close(day) for day in days]})
    stamps = [US.open(day) + dt.timedelta(minutes=minute) for day in days for minute in range(1, 391)]
    bars = pl.DataFrame(
        {
            "instrument_id": [1] * len(stamps),
            "timestamp": stamps,
            **dict.fromkeys(("open", "high", "low", "close"), [1] * len(stamps)),
            "volume": [1] * len(stamps),
            "open_interest": [0] * len(stamps),
        }
    ).cast(pl.Schema(BAR_SCHEMA))

    hours = resample(bars, sessions, from_seconds=60, to_seconds=3_600)

    assert hours["volume"].to_list() == [60, 60, 60, 60, 60, 60, 30] * 2
    closes = [stamp.astimezone(NEW_YORK).time() for stamp in hours["timestamp"].to_list()]
    assert closes[:HOURS_OF_A_SESSION] == closes[HOURS_OF_A_SESSION:]
    assert (closes[0], closes[-1]) == (dt.time(10, 30), dt.time(16))


@pytest.mark.parametrize("sunday", CHANGES)
def test_a_day_is_due_after_its_own_close_and_a_sunday_never(sunday: dt.date) -> None:
    for day in sessions_around(sunday):
        partition = Partition("spot_prices", 86_400, day, US, 900, "digest")
        due = dt.datetime.combine(day, dt.time(16, 15), NEW_YORK)
        assert partition.due_at == due
        assert isinstance(fresh(partition, due - dt.timedelta(seconds=1), NothingKnown()), NotDue)
        assert isinstance(fresh(partition, due, NothingKnown()), Missing)
    on_sunday = fresh(Partition("spot_prices", 86_400, sunday, US, 900, "digest"), due, NothingKnown())
    assert isinstance(on_sunday, NotDue)
    assert on_sunday.is_closed


@pytest.mark.parametrize("sunday", CHANGES)
def test_schedules_look_once_a_day_each_at_the_same_time_in_new_york(sunday: dt.date) -> None:
    begin = dt.datetime.combine(sunday - dt.timedelta(days=3), dt.time(), NEW_YORK)
    for cron in daily_crons("yahoo"):
        ticks = schedule_execution_time_iterator(begin.timestamp(), cron, zone_of("yahoo"))
        looks = [next(ticks).astimezone(NEW_YORK) for _ in range(6)]
        assert [look.date() for look in looks] == [begin.date() + dt.timedelta(days=number) for number in range(6)]
        assert len({look.time() for look in looks}) == 1
