from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from pipeline_defs.markets.market import market
from pipeline_defs.orchestration.automation.closings import LATE_LOOKS, USUAL_CLOSES, daily_crons, settling, zone_of
from pipeline_defs.sources.asking.source import ApiSource
from pipeline_defs.sources.registry import SOURCES, get_source, source_entry, source_market

API_SOURCES = sorted(name for name, entry in SOURCES.items() if entry.source_type == "api")
DAY = dt.timedelta(days=1)


@pytest.mark.parametrize("source", API_SOURCES)
def test_what_is_known_of_a_source_is_the_longest_delay_of_its_datasets(source: str) -> None:
    adapter = get_source(source)
    assert isinstance(adapter, ApiSource)

    assert source_entry(source).settles_seconds == max(one.delay_seconds for one in adapter.datasets)


@pytest.mark.parametrize(
    ("source", "crons", "zone"),
    [
        ("zerodha", ["45 18 * * *", "30 23 * * *"], "Asia/Kolkata"),
        ("yahoo", ["5 20 * * *", "30 23 * * *"], "America/New_York"),
        ("ccxt", ["10 0 * * *", "0 6 * * *"], "UTC"),
    ],
)
def test_a_source_is_asked_after_the_close_and_its_delay_and_once_more_late(
    source: str, crons: list[str], zone: str
) -> None:
    assert daily_crons(source) == crons
    assert zone_of(source) == zone


@pytest.mark.parametrize("source", API_SOURCES)
def test_after_every_regular_session_the_first_look_finds_the_answer_final(source: str) -> None:
    of = market(source_market(source))
    minute, hour, *_ = daily_crons(source)[0].split()
    look = dt.time(int(hour), int(minute))
    first, last = max(of.covered[0], dt.date(2019, 1, 1)), min(of.covered[1], dt.date(2027, 12, 31))
    for day in of.sessions(first, last):
        if _closes(day, source) > USUAL_CLOSES[of.name] and of.name != "CRYPTO":
            continue  # an evening session: the late look's
        looked = dt.datetime.combine(day + (DAY if of.name == "CRYPTO" else dt.timedelta()), look, ZoneInfo(of.zone))
        assert of.close(day) + settling(source) <= looked, day


def test_the_late_look_comes_after_the_evening_sessions_whose_hours_are_known() -> None:
    of, late = market("NSE"), LATE_LOOKS["NSE"]
    widest = dt.time(20)  # what stands in the table where the hours are uncertain
    evenings = [
        day
        for day in of.sessions(dt.date(2010, 1, 1), dt.date(2027, 12, 31))
        if USUAL_CLOSES["NSE"] < _closes(day, "zerodha") < widest
    ]
    assert dt.date(2024, 11, 1) in evenings
    for day in evenings:
        looked = dt.datetime.combine(day, late, ZoneInfo(of.zone))
        assert of.close(day) + settling("zerodha") <= looked, day


def _closes(day: dt.date, source: str) -> dt.time:
    of = market(source_market(source))
    return of.close(day).astimezone(ZoneInfo(of.zone)).time()
