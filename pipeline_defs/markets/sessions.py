"""When the NSE was open: one session per trading day and segment.

The tables are read by ``session_tables``; what a session is used for (gaps, freshness, expiries) does not belong here.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import polars as pl

from pipeline_defs.markets.session_tables import hours_on, refuse_uncovered, session_calendar, uncovered

if TYPE_CHECKING:
    from pipeline_defs.markets.session_tables import Hours

IST: Final = ZoneInfo("Asia/Kolkata")

_SESSION_SCHEMA: Final[dict[str, pl.DataType]] = {
    "session_date": pl.Date(),
    "segment": pl.String(),
    "open": pl.Datetime("us", "UTC"),
    "close": pl.Datetime("us", "UTC"),
    "kind": pl.String(),
    "source": pl.String(),
}


@dataclass(frozen=True, slots=True)
class Session:
    """One segment's trading on one day.

    Parameters
    ----------
    session_date : datetime.date
        Trade date, in India.
    segment : str
        ``FO`` or ``CM``.
    open, close : datetime.datetime
        First and last instant of trading, aware, UTC; pre-open lies before, a closing auction within.
    kind : str
        One of `pipeline_defs.markets.session_tables.KINDS`.

    """

    session_date: dt.date
    segment: str
    open: dt.datetime
    close: dt.datetime
    kind: str


def session_on(trade_date: dt.date, segment: str = "FO") -> Session | None:
    """Find the session of a segment on a day.

    Parameters
    ----------
    trade_date : datetime.date
        Day in India.
    segment : str, default "FO"
        ``FO`` or ``CM``.

    Returns
    -------
    Session or None
        None when the segment was closed all day.

    Raises
    ------
    MarketRuleError
        If the day lies outside the calendar, or the segment is unknown.

    """
    hours = hours_on(trade_date, segment)
    if hours is None:
        return None
    return Session(
        session_date=trade_date,
        segment=segment,
        open=_instant(trade_date, hours.open),
        close=_instant(trade_date, hours.close),
        kind=hours.kind,
    )


def continuous_until(trade_date: dt.date, segment: str = "CM") -> dt.datetime | None:
    """Find when continuous trading ended, which is before the close where a closing auction follows.

    Parameters
    ----------
    trade_date : datetime.date
        Day in India.
    segment : str, default "CM"
        ``FO`` or ``CM``.

    Returns
    -------
    datetime.datetime or None
        Aware, UTC; None when the segment was closed all day.

    Raises
    ------
    MarketRuleError
        If the day lies outside the calendar, or the segment is unknown.

    """
    hours = hours_on(trade_date, segment)
    return None if hours is None else _instant(trade_date, hours.continuous_until)


def is_session(trade_date: dt.date) -> bool:
    """Tell whether any segment traded on a day.

    Raises
    ------
    MarketRuleError
        If the day lies outside the calendar.

    """
    calendar = session_calendar()
    refuse_uncovered(calendar, trade_date)
    at = bisect_left(calendar.dates, trade_date)
    return at < len(calendar.dates) and calendar.dates[at] == trade_date


def session_dates(start: dt.date, end: dt.date) -> list[dt.date]:
    """List the days on which any segment traded.

    Parameters
    ----------
    start, end : datetime.date
        First and last day, both inclusive.

    Returns
    -------
    list of datetime.date
        Ascending; empty when `end` is before `start`.

    Raises
    ------
    MarketRuleError
        If either day lies outside the calendar.

    """
    calendar = session_calendar()
    refuse_uncovered(calendar, start)
    refuse_uncovered(calendar, end)
    return calendar.dates[bisect_left(calendar.dates, start) : bisect_right(calendar.dates, end)]


def sessions_between(start: dt.date, end: dt.date, segment: str = "FO") -> pl.DataFrame:
    """Tabulate the sessions of a segment.

    Parameters
    ----------
    start, end : datetime.date
        First and last day, both inclusive.
    segment : str, default "FO"
        ``FO`` or ``CM``.

    Returns
    -------
    polars.DataFrame
        `session_date` (Date), `segment`, `open`, `close` (Datetime, us, UTC), `kind`, `source`; ascending.

    Raises
    ------
    MarketRuleError
        If either day lies outside the calendar, or the segment is unknown.

    """
    calendar = session_calendar()
    refuse_uncovered(calendar, start)
    refuse_uncovered(calendar, end)
    return _session_frame(segment).filter(pl.col("session_date").is_between(start, end))


def previous_session(date: dt.date) -> dt.date:
    """Find the last trading day strictly before a day.

    Raises
    ------
    MarketRuleError
        If the day, or its predecessor, lies outside the calendar.

    """
    calendar = session_calendar()
    refuse_uncovered(calendar, date)
    at = bisect_left(calendar.dates, date)
    if at == 0:
        raise uncovered(calendar, f"no session is known before {date}")
    return calendar.dates[at - 1]


def next_session(date: dt.date) -> dt.date:
    """Find the first trading day strictly after a day.

    Raises
    ------
    MarketRuleError
        If the day, or its successor, lies outside the calendar.

    """
    calendar = session_calendar()
    refuse_uncovered(calendar, date)
    at = bisect_right(calendar.dates, date)
    if at == len(calendar.dates):
        raise uncovered(calendar, f"no session is known after {date}")
    return calendar.dates[at]


def closed_reason(trade_date: dt.date) -> str | None:
    """Say why nothing traded on a day.

    Returns
    -------
    str or None
        ``weekend`` or ``holiday <name>``; None when the day is a session.

    Raises
    ------
    MarketRuleError
        If the day lies outside the calendar.

    """
    if is_session(trade_date):
        return None
    holiday = session_calendar().holidays.get(trade_date)
    return "weekend" if holiday is None else f"holiday {holiday}"


def first_covered_date() -> dt.date:
    """First day the calendar speaks about."""
    return session_calendar().first


def last_covered_date() -> dt.date:
    """Last day the calendar speaks about."""
    return session_calendar().last


@cache
def _session_frame(segment: str) -> pl.DataFrame:
    days = [(day, hours) for day in session_calendar().dates if (hours := hours_on(day, segment)) is not None]
    return pl.DataFrame(
        [
            (day, segment, _instant(day, hours.open), _instant(day, hours.close), hours.kind, _source(day, hours))
            for day, hours in days
        ],
        schema=_SESSION_SCHEMA,
        orient="row",
    )


def _source(day: dt.date, hours: Hours) -> str:
    if day.year in session_calendar().provisional_years:
        return f"{hours.source}; holidays of {day.year} provisional"
    return hours.source


def _instant(day: dt.date, time: dt.time) -> dt.datetime:
    return dt.datetime.combine(day, time, IST).astimezone(dt.UTC)
