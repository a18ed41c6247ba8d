"""The holiday file against the two calendar libraries, every difference accounted for."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import exchange_calendars
import pytest

from pipeline_defs.markets import sessions
from pipeline_defs.markets.calendar_refresh import (
    LIBRARY,
    PROVISIONAL,
    UNNAMED,
    Holiday,
    current_holidays,
    library_closed_days,
    refreshed_holidays,
    write_holidays,
)
from pipeline_defs.markets.tables import parse_table

if TYPE_CHECKING:
    from pathlib import Path

LIBRARY_MISTAKES = {
    dt.date.fromisoformat(day)
    for day in (
        *("2001-03-08", "2001-03-21", "2001-06-20", "2001-08-23", "2001-09-10", "2001-11-29", "2002-01-18"),
        *("2002-01-28", "2002-08-16", "2003-04-10", "2003-10-16", "2004-10-12", "2004-10-15", "2005-07-27"),
    )
}
"""pandas_market_calendars lists these as closed; the NIFTY 50 history has them with ordinary volume."""

ONLY_NSE_TRADED = {
    dt.date(2001, 1, 1): "New Year: a holiday of the BSE alone, in the NIFTY 50 history",
    dt.date(2004, 1, 1): "New Year: a holiday of the BSE alone, in the NIFTY 50 history",
    dt.date(2013, 11, 14): "exchange_calendars has Moharram of 2013 a day early",
}
ONLY_BSE_TRADED = {dt.date(2013, 11, 15): "exchange_calendars has Moharram of 2013 a day early"}


def test_the_file_says_what_the_library_says() -> None:
    listed = {holiday.date for holiday in current_holidays() if holiday.source.startswith(LIBRARY)}
    assert listed == {day.isoformat() for day in library_closed_days()}
    assert refreshed_holidays(current_holidays()) == current_holidays()


def test_the_file_covers_the_promised_years_in_order_and_names_every_day() -> None:
    holidays = current_holidays()
    dates = [dt.date.fromisoformat(holiday.date) for holiday in holidays]
    assert dates == sorted(set(dates))
    assert {day.year for day in dates} == set(range(2000, 2028))
    assert all(day.isoweekday() <= 5 for day in dates)
    assert all(holiday.name not in {"", UNNAMED} for holiday in holidays)


def test_the_calendar_of_the_bse_differs_only_where_it_is_explained() -> None:
    ours = set(sessions.session_dates(dt.date(2000, 1, 1), dt.date(2026, 12, 31)))
    bse = exchange_calendars.get_calendar("XBOM", start="2000-01-01", end="2026-12-31")
    theirs = {day.date() for day in bse.sessions}
    special = sessions.sessions_between(dt.date(2000, 1, 1), dt.date(2026, 12, 31))
    not_in_xbom = set(special.filter(special["kind"] != "regular")["session_date"])
    # Under some versions of pandas the library has a few weekend sessions, under others none.
    assert theirs - ours == set(ONLY_BSE_TRADED)
    assert {day for day in ours - theirs if day not in not_in_xbom} == set(ONLY_NSE_TRADED)


def test_the_mistakes_of_the_library_are_overruled_and_nothing_else_is() -> None:
    closed = library_closed_days()
    assert {day for day in closed if sessions.is_session(day)} == LIBRARY_MISTAKES
    for day in LIBRARY_MISTAKES:
        session = sessions.session_on(day)
        assert session is not None
        assert session.kind == "regular"


def test_a_refresh_names_new_days_keeps_names_and_keeps_what_a_person_wrote() -> None:
    written = Holiday("2027-03-22", "Holi", "NSE circular of December 2026")
    renamed = Holiday("2025-03-14", "Dhulivandan", f"{LIBRARY} 1.0 NSE")
    overruling = Holiday("2027-01-26", "Republic Day", "NSE circular of December 2026")
    refreshed = {holiday.date: holiday for holiday in refreshed_holidays([written, renamed, overruling])}
    assert refreshed["2027-03-22"] == written
    assert refreshed["2027-01-26"] == overruling
    assert refreshed["2025-03-14"].name == "Dhulivandan"
    assert refreshed["2025-12-25"].name == "Christmas"
    assert refreshed["2025-02-26"].name == UNNAMED
    assert refreshed["2027-04-14"].source == PROVISIONAL


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "holidays.csv"
    holidays = [Holiday("2027-03-22", "Holi, second day", "a circular")]
    write_holidays(holidays, path)
    rows = parse_table(path.read_text(encoding="utf-8"), path.name, Holiday._fields, lambda row: Holiday(**row))
    assert rows == holidays


@pytest.mark.parametrize("module", ["pandas", "pandas_market_calendars"])
def test_the_rooms_modules_do_not_load_the_calendar_library(module: str, loaded_modules: set[str]) -> None:
    assert module not in loaded_modules
