from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.exports.lean.kinds import LeanFormatError, SecurityType
from pipeline_defs.exports.lean.market_hours import (
    HOURS_PATH,
    Segment,
    always_open,
    find_entry,
    hours_entry,
    indian_sessions,
    read_clock,
    segments_on,
    session_hours,
)
from pipeline_defs.markets.sessions import session_dates, session_on, sessions_between
from pipeline_tests.exports.lean.samples import SAMPLES, needs_samples

IST = "Asia/Kolkata"
MINUTES = st.integers(0, 24 * 60)


def minutes(count: int) -> dt.timedelta:
    return dt.timedelta(minutes=count)


HOURS = (
    st.tuples(MINUTES, MINUTES)
    .filter(lambda pair: pair[0] < pair[1])
    .map(lambda pair: (minutes(pair[0]), minutes(pair[1])))
)


@given(st.dictionaries(st.dates(dt.date(2024, 1, 1), dt.date(2024, 3, 1)), HOURS, min_size=1, max_size=40))
def test_any_calendar_is_read_back_from_its_entry_as_lean_reads_it(
    sessions: dict[dt.date, tuple[dt.timedelta, dt.timedelta]],
) -> None:
    entry = json.loads(json.dumps(hours_entry(sessions, IST)))
    day = min(sessions)
    while day <= max(sessions):
        expected = [Segment(*sessions[day], "market")] if day in sessions else []
        assert segments_on(entry, day) == expected
        day += dt.timedelta(days=1)


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (dt.date(2025, 8, 1), dt.date(2025, 8, 31)),
        (dt.date(2024, 3, 1), dt.date(2024, 3, 31)),  # a drill on a Saturday
        (dt.date(2024, 11, 1), dt.date(2024, 11, 30)),  # an evening session on a holiday
        (dt.date(2023, 11, 1), dt.date(2023, 11, 30)),  # an evening session on a Sunday
        (dt.date(2021, 2, 1), dt.date(2021, 2, 28)),  # a day with a later close
        (dt.date(2010, 10, 1), dt.date(2010, 10, 31)),  # the open moved
        (dt.date(2026, 7, 20), dt.date(2026, 8, 10)),  # the close moved
    ],
)
def test_every_day_of_a_partition_has_the_hours_of_our_calendar(first: dt.date, last: dt.date) -> None:
    own = session_hours(sessions_between(first, last), IST)
    entry = hours_entry(indian_sessions(own, ("FO",)), IST)
    trading = set(session_dates(first, last))
    for offset in range((last - first).days + 1):
        day = first + dt.timedelta(days=offset)
        session = session_on(day)
        segments = segments_on(entry, day)
        assert bool(segments) == (day in trading)
        if session is not None:
            opens, closes = (
                stamp.astimezone(dt.timezone(minutes(330))).time() for stamp in (session.open, session.close)
            )
            assert [(_clock(part.start), _clock(part.end)) for part in segments] == [(opens, closes)]


def _clock(since: dt.timedelta) -> dt.time:
    return (dt.datetime.combine(dt.date.min, dt.time()) + since).time()


def test_days_outside_of_the_partition_are_open_or_closed_as_in_our_calendar_but_for_special_hours() -> None:
    own = session_hours(sessions_between(dt.date(2025, 8, 1), dt.date(2025, 8, 31)), IST)
    entry = hours_entry(indian_sessions(own), IST)
    assert segments_on(entry, dt.date(2025, 10, 2)) == []
    assert segments_on(entry, dt.date(2024, 1, 25)) == [Segment(minutes(555), minutes(930), "market")]
    # The open was at 09:55 then, and the budget Saturday of February lies outside.
    assert segments_on(entry, dt.date(2009, 6, 15)) == [Segment(minutes(595), minutes(930), "market")]
    assert segments_on(entry, dt.date(2025, 2, 1)) == []
    assert entry["saturday"] == entry["sunday"] == []


def test_a_special_saturday_opens_its_day_alone() -> None:
    own = session_hours(sessions_between(dt.date(2025, 2, 1), dt.date(2025, 2, 28)), IST)
    entry = hours_entry(indian_sessions(own), IST)
    assert segments_on(entry, dt.date(2025, 2, 1)) == [Segment(minutes(555), minutes(930), "market")]
    assert segments_on(entry, dt.date(2025, 2, 8)) == []
    assert segments_on(entry, dt.date(2024, 2, 3)) == []


def test_a_market_that_never_closes_is_open_on_every_day() -> None:
    assert segments_on(always_open("UTC"), dt.date(2025, 1, 1)) == [Segment(minutes(0), minutes(1440), "market")]


def test_a_close_before_an_open_of_one_day_is_a_break() -> None:
    entry = {
        "monday": [{"start": "09:15:00", "end": "15:30:00", "state": "market"}],
        "earlyCloses": {"8/18/2025": "10:00:00"},
        "lateOpens": {"8/18/2025": "11:30:00"},
    }
    assert segments_on(entry, dt.date(2025, 8, 18)) == [
        Segment(minutes(555), minutes(600), "market"),
        Segment(minutes(690), minutes(930), "market"),
    ]


@pytest.mark.parametrize(
    ("text", "hours"), [("09:15:00", 9.25), ("1.00:00:00", 24), ("1:00:00:00", 24), ("00:00:00", 0)]
)
def test_times_are_read_in_every_form_that_leans_file_has(text: str, hours: float) -> None:
    assert read_clock(text) == dt.timedelta(hours=hours)


@pytest.mark.parametrize("text", ["9.15", "", "09:15", "x"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(LeanFormatError, match="is not a time of day"):
        read_clock(text)


@needs_samples
def test_leans_own_file_is_understood_and_has_no_hours_for_index_options_of_india() -> None:
    entries = json.loads((SAMPLES / HOURS_PATH).read_text())["entries"]
    for entry in entries.values():
        for offset in range(7):
            segments_on(entry, dt.date(2025, 8, 18) + dt.timedelta(days=offset))
    assert find_entry(entries, SecurityType.INDEX_OPTION, "india", "nifty") is None
    assert find_entry(entries, SecurityType.INDEX, "india", "nifty") is not None
    assert find_entry(entries, SecurityType.CRYPTO, "binance", "btcusdt") is not None
    assert find_entry(entries, SecurityType.FUTURE, "cme", "es") == entries["Future-cme-ES"]
