"""Brings ``data/nse_holidays.csv`` in line with the calendar library; run it when a new year is published.

Development only: nothing of the pipeline imports it. ``python -m pipeline_defs.markets.calendar_refresh`` rewrites
the file. A line whose source is not the library's stays as a person wrote it. Years that the library does not know
yet get the holidays that can be computed, marked as provisional.
"""

from __future__ import annotations

import csv
import datetime as dt
from importlib import metadata
from pathlib import Path
from typing import Final, NamedTuple

from pipeline_defs.markets.fixed_holidays import fixed_holidays
from pipeline_defs.markets.tables import HOLIDAYS, read_table

LIBRARY: Final = "pandas_market_calendars"
PROVISIONAL: Final = "provisional: computed before the exchange published the year"
UNNAMED: Final = "Exchange holiday"
"""Name of a day for which nobody wrote one; the library gives dates only."""

FIRST_DATE: Final = dt.date(2000, 1, 1)
LAST_YEAR: Final = 2027
"""Last year the file speaks about; next year's contracts already trade."""

COLUMNS: Final = ("date", "name", "source")


class Holiday(NamedTuple):
    """One line of the file."""

    date: str
    name: str
    source: str


def current_holidays() -> list[Holiday]:
    """Read the file as it is."""
    return read_table(HOLIDAYS, COLUMNS, lambda row: Holiday(**row))


def refreshed_holidays(current: list[Holiday]) -> list[Holiday]:
    """Work out what the file should say.

    Parameters
    ----------
    current : list of Holiday
        What it says now: gives names, and the lines that a person added.

    Returns
    -------
    list of Holiday
        Ascending by date.

    """
    names = {holiday.date: holiday.name for holiday in current}
    closed = library_closed_days()
    library_source = f"{LIBRARY} {metadata.version(LIBRARY)} NSE"
    refreshed = {
        day.isoformat(): Holiday(
            day.isoformat(),
            names.get(day.isoformat(), fixed_holidays(day.year).get(day, UNNAMED)),
            library_source,
        )
        for day in closed
    }
    for year in range(max(closed).year + 1, LAST_YEAR + 1):
        for day, name in fixed_holidays(year).items():
            refreshed[day.isoformat()] = Holiday(day.isoformat(), name, PROVISIONAL)
    for holiday in current:
        if not holiday.source.startswith((LIBRARY, PROVISIONAL)):
            refreshed[holiday.date] = holiday
    return [refreshed[date] for date in sorted(refreshed)]


def library_closed_days() -> list[dt.date]:
    """List the weekdays on which the calendar library has the NSE closed.

    Returns
    -------
    list of datetime.date
        Ascending, from `FIRST_DATE` to the last day the library lists.

    """
    import pandas_market_calendars  # noqa: PLC0415 -- heavy, and only wanted by developers

    listed = pandas_market_calendars.get_calendar("NSE").adhoc_holidays
    friday = 5
    return sorted(day for day in (stamp.date() for stamp in listed) if day >= FIRST_DATE and day.isoweekday() <= friday)


def write_holidays(holidays: list[Holiday], path: Path) -> None:
    """Write the file.

    Parameters
    ----------
    holidays : list of Holiday
        Ascending by date.
    path : Path
        File to replace.

    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(holidays)


if __name__ == "__main__":
    write_holidays(refreshed_holidays(current_holidays()), Path(__file__).parent / "data" / HOLIDAYS)
