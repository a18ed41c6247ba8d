"""The three tables behind the sessions: holidays, regular hours since a date, and special sessions.

A special session adds a day or replaces the hours of one, and wins over a holiday. Answers about days are given in
``sessions``; only reading and checking the tables belongs here.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Final

from pipeline_defs.errors import MarketRuleError
from pipeline_defs.markets.tables import HOLIDAYS, HOURS, SPECIAL_SESSIONS, read_table

SEGMENTS: Final = ("FO", "CM")
"""Equity derivatives and the cash market."""

REGULAR: Final = "regular"
MUHURAT: Final = "muhurat"
DRILL: Final = "dr_drill"

KINDS: Final = frozenset({REGULAR, MUHURAT, DRILL, "budget", "extended", "special_live"})
"""What a session was: an ordinary day, the ceremonial Diwali hour, a disaster-recovery drill with a break in it, a
weekend day for the Union Budget, a day with a later close, or another live session on a weekend."""

FIRST_WEEKEND_DAY: Final = 5
"""Saturday, as `datetime.date.weekday` counts."""

_EVERY_SEGMENT: Final = "ALL"


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours of a segment, in India: regular ones, or those of one special day."""

    open: dt.time
    close: dt.time
    continuous_until: dt.time
    kind: str
    source: str

    def __post_init__(self) -> None:
        """Refuse hours that do not follow one another."""
        if not self.open < self.continuous_until <= self.close:
            raise ValueError(
                f"open {self.open}, continuous until {self.continuous_until} and close {self.close} are not in order"
            )


@dataclass(frozen=True, slots=True)
class Calendar:
    """The three tables, ready for look-ups.

    Parameters
    ----------
    first, last : datetime.date
        The days it speaks about: whole years from the first to the last holiday.
    holidays : dict
        Weekday without regular trading to its name.
    provisional_years : frozenset of int
        Years whose holidays were computed because the exchange had not announced them.
    regular_hours : dict
        Segment to (first day, hours), ascending.
    special_hours : dict
        (Segment, day) to hours.
    dates : list of datetime.date
        Days on which any segment traded, ascending.

    """

    first: dt.date
    last: dt.date
    holidays: dict[dt.date, str]
    provisional_years: frozenset[int]
    regular_hours: dict[str, list[tuple[dt.date, Hours]]]
    special_hours: dict[tuple[str, dt.date], Hours]
    dates: list[dt.date]


@cache
def session_calendar() -> Calendar:
    """Read the tables, once per process.

    Raises
    ------
    MarketRuleError
        If a line of a table says nothing sensible, or two special sessions contradict each other.

    """
    listed = read_table(HOLIDAYS, ("date", "name", "source"), _holiday)
    holidays = {day: name for day, name, _ in listed}
    first = dt.date(min(holidays).year, 1, 1)
    last = dt.date(max(holidays).year, 12, 31)
    special_hours = by_segment(
        read_table(SPECIAL_SESSIONS, ("date", "segment", "open_ist", "close_ist", "kind", "source"), special_session)
    )
    special_days = {day for _, day in special_hours}
    every_day = (first + dt.timedelta(days=offset) for offset in range((last - first).days + 1))
    return Calendar(
        first=first,
        last=last,
        holidays=holidays,
        provisional_years=frozenset(day.year for day, _, source in listed if source.startswith("provisional")),
        regular_hours=_read_regular_hours(),
        special_hours=special_hours,
        dates=[
            day
            for day in every_day
            if day in special_days or (day.weekday() < FIRST_WEEKEND_DAY and day not in holidays)
        ],
    )


def hours_on(trade_date: dt.date, segment: str) -> Hours | None:
    """Find the hours of a segment on a day.

    Parameters
    ----------
    trade_date : datetime.date
        Day in India.
    segment : str
        One of `SEGMENTS`.

    Returns
    -------
    Hours or None
        None when the segment was closed all day.

    Raises
    ------
    MarketRuleError
        If the day lies outside the calendar, or the segment is unknown.

    """
    calendar = session_calendar()
    refuse_uncovered(calendar, trade_date)
    if segment not in SEGMENTS:
        raise MarketRuleError(f"segment {segment!r} has no sessions, expected one of {', '.join(SEGMENTS)}")
    special = calendar.special_hours.get((segment, trade_date))
    if special is not None:
        return special
    if trade_date.weekday() >= FIRST_WEEKEND_DAY or trade_date in calendar.holidays:
        return None
    eras = calendar.regular_hours[segment]
    return eras[bisect_right(eras, trade_date, key=itemgetter(0)) - 1][1]


def refuse_uncovered(calendar: Calendar, day: dt.date) -> None:
    """Refuse a day outside the calendar."""
    if not calendar.first <= day <= calendar.last:
        raise uncovered(calendar, f"{day} lies outside the session calendar")


def uncovered(calendar: Calendar, what: str) -> MarketRuleError:
    """Say what the calendar covers."""
    return MarketRuleError(
        f"{what}, which covers {calendar.first} to {calendar.last}",
        next_step="check the date; a later year needs its holidays in pipeline_defs/markets/data/nse_holidays.csv",
    )


def _holiday(row: dict[str, str]) -> tuple[dt.date, str, str]:
    return dt.date.fromisoformat(row["date"]), row["name"], row["source"]


def _read_regular_hours() -> dict[str, list[tuple[dt.date, Hours]]]:
    columns = ("segment", "first_date", "open_ist", "close_ist", "continuous_until", "source")
    eras = sorted(read_table(HOURS, columns, _era), key=lambda era: era[1])
    return {segment: [(first, hours) for of, first, hours in eras if of == segment] for segment in SEGMENTS}


def _era(row: dict[str, str]) -> tuple[str, dt.date, Hours]:
    hours = Hours(
        open=dt.time.fromisoformat(row["open_ist"]),
        close=dt.time.fromisoformat(row["close_ist"]),
        continuous_until=dt.time.fromisoformat(row["continuous_until"]),
        kind=REGULAR,
        source=row["source"],
    )
    return _known(row["segment"], SEGMENTS), dt.date.fromisoformat(row["first_date"]), hours


def by_segment(special: list[tuple[str, dt.date, Hours]]) -> dict[tuple[str, dt.date], Hours]:
    """Spread special sessions over the segments they are for; two for one segment and day are refused."""
    spread: dict[tuple[str, dt.date], Hours] = {}
    for of, day, hours in special:
        for segment in SEGMENTS if of == _EVERY_SEGMENT else (of,):
            if (segment, day) in spread:
                raise MarketRuleError(
                    f"two special sessions of {segment} on {day}, expected one line a day and segment",
                    where=SPECIAL_SESSIONS,
                    next_step="remove one of the lines",
                )
            spread[segment, day] = hours
    return spread


def special_session(row: dict[str, str]) -> tuple[str, dt.date, Hours]:
    """Read a line of the special sessions: segment (or ALL), day, hours."""
    close = dt.time.fromisoformat(row["close_ist"])
    hours = Hours(
        open=dt.time.fromisoformat(row["open_ist"]),
        close=close,
        continuous_until=close,
        kind=_known(row["kind"], KINDS),
        source=row["source"],
    )
    return _known(row["segment"], (_EVERY_SEGMENT, *SEGMENTS)), dt.date.fromisoformat(row["date"]), hours


def _known(text: str, expected: tuple[str, ...] | frozenset[str]) -> str:
    if text not in expected:
        raise ValueError(f"{text!r} is none of {', '.join(sorted(expected))}")
    return text
