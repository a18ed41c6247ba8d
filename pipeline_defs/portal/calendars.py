"""When bars are complete: the closes of every bucket of a calendar's sessions, ready to be looked up.

Buckets start at the open of each session and the last one ends with it, as in every export (`warehouse.resampling`).
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Final, Protocol

import numpy as np
import polars as pl

from pipeline_defs.errors import MarketRuleError
from pipeline_defs.markets.market import Market, market
from pipeline_defs.markets.sessions import session_dates, session_on
from pipeline_defs.portal.errors import PortalError
from pipeline_defs.schema.tables import DAY
from pipeline_defs.warehouse.calendars import SESSION_SCHEMA

type Instants = np.ndarray[tuple[int], np.dtype[np.int64]]
"""Microseconds since 1970, UTC, ascending."""

EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)
_DERIVATIVES: Final = frozenset({"OPT", "FUT", "CONT"})


def microseconds(instant: dt.datetime) -> int:
    """Count the microseconds from 1970 to an instant."""
    return (instant - EPOCH) // _MICROSECOND


def instant_of(count: int) -> dt.datetime:
    """Give the instant of so many microseconds since 1970."""
    return EPOCH + dt.timedelta(microseconds=int(count))


class SessionCalendar(Protocol):
    """What the portal asks of a calendar; every `pipeline_defs.markets.market.Market` is one."""

    zone: str
    """IANA name: trade dates are days there."""

    def sessions(self, first: dt.date, last: dt.date) -> list[dt.date]:
        """List the days that traded, both ends inclusive."""
        ...

    def open(self, day: dt.date) -> dt.datetime:
        """Instant of a session's open."""
        ...

    def close(self, day: dt.date) -> dt.datetime:
        """Instant of a session's close."""
        ...


class _IndianDerivatives:
    """Sessions of the derivatives' segment, which can end before that of shares."""

    zone = "Asia/Kolkata"

    @property
    def covered(self) -> tuple[dt.date, dt.date]:
        return market("NSE").covered

    def sessions(self, first: dt.date, last: dt.date) -> list[dt.date]:
        return [day for day in session_dates(first, last) if session_on(day) is not None]

    def open(self, day: dt.date) -> dt.datetime:
        return self._on(day)[0]

    def close(self, day: dt.date) -> dt.datetime:
        return self._on(day)[1]

    def _on(self, day: dt.date) -> tuple[dt.datetime, dt.datetime]:
        found = session_on(day)
        if found is None:
            raise MarketRuleError(f"{day} was not a session of NSE derivatives")
        return found.open, found.close


class _Exchange:
    """A calendar of the package exchange_calendars, or of one with the same methods."""

    def __init__(self, calendar: Any) -> None:  # noqa: ANN401 -- it carries no types
        self._calendar = calendar
        self.zone = str(calendar.tz)

    @property
    def covered(self) -> tuple[dt.date, dt.date]:
        return self._calendar.first_session.date(), self._calendar.last_session.date()

    def sessions(self, first: dt.date, last: dt.date) -> list[dt.date]:
        found = self._calendar.sessions_in_range(first.isoformat(), last.isoformat())
        return [session.date() for session in found]

    def open(self, day: dt.date) -> dt.datetime:
        return self._instant(self._calendar.session_open(day.isoformat()))

    def close(self, day: dt.date) -> dt.datetime:
        return self._instant(self._calendar.session_close(day.isoformat()))

    @staticmethod
    def _instant(stamp: Any) -> dt.datetime:  # noqa: ANN401 -- a pandas.Timestamp
        instant: dt.datetime = stamp.to_pydatetime().astimezone(dt.UTC)
        return instant


def calendar_of(wanted: object) -> SessionCalendar:
    """Understand the `calendar` of a portal.

    Parameters
    ----------
    wanted : str or object
        A market's name, or an object with the methods of `SessionCalendar` or of the package exchange_calendars.

    Returns
    -------
    SessionCalendar

    Raises
    ------
    MarketRuleError
        If there is no market of that name.
    PortalError
        If it is neither.

    """
    if isinstance(wanted, str):
        return market(wanted)
    if all(hasattr(wanted, name) for name in ("sessions_in_range", "session_open", "session_close", "tz")):
        return _Exchange(wanted)
    if all(hasattr(wanted, name) for name in ("sessions", "open", "close", "zone")):
        return wanted  # type: ignore[return-value] # looked at above
    raise PortalError(
        f"calendar is a {type(wanted).__name__}, expected a market's name or an object with sessions",
        next_step="name NSE, US or CRYPTO, or give an object with zone, sessions(), open() and close()",
    )


_SEGMENT: Final = _IndianDerivatives()


def calendar_for(kind: str, of_market: Market) -> SessionCalendar:
    """Give the calendar of an instrument kind at a market."""
    return _SEGMENT if of_market.name == "NSE" and kind in _DERIVATIVES else of_market


class Grid:
    """The closes of the buckets of one length, over as many years as were asked for.

    Parameters
    ----------
    calendar : SessionCalendar
        Whose sessions.
    seconds : int
        Length of a bucket.

    """

    def __init__(self, calendar: SessionCalendar, seconds: int) -> None:
        self.calendar = calendar
        self._seconds = seconds
        self._first = self._last = 0
        self._closes: Instants = np.empty(0, np.int64)

    def window(self, now: int, count: int) -> Instants:
        """Give the closes of the last buckets that are complete at an instant.

        Parameters
        ----------
        now : int
            Microseconds since 1970.
        count : int
            How many; fewer where the calendar begins later.

        Returns
        -------
        numpy.ndarray
            Ascending.

        Raises
        ------
        MarketRuleError
            If the instant lies after the last day that the calendar knows.

        """
        year = instant_of(now).year
        if not self._first:
            self._first, self._last = year, year - 1
        self._reach(year)
        end = int(np.searchsorted(self._closes, now, side="right"))
        while end < count and self._grow_back():
            end = int(np.searchsorted(self._closes, now, side="right"))
        return self._closes[max(end - count, 0) : end]

    def between(self, begin: int, end: int) -> Instants:
        """Give the closes after one instant and up to another."""
        self.window(end, 1)
        while instant_of(begin).year < self._first and self._grow_back():
            pass
        first, last = np.searchsorted(self._closes, (begin, end), side="right")
        return self._closes[first:last]

    def _reach(self, year: int) -> None:
        for missing in range(self._last + 1, year + 1):
            self._closes = np.concatenate([self._closes, self._year(missing)])
            self._last = missing
        while self._first > year:
            if not self._grow_back():
                break

    def _grow_back(self) -> bool:
        covered = getattr(self.calendar, "covered", (dt.date(1990, 1, 1), None))
        if self._first - 1 < covered[0].year:
            return False
        self._first -= 1
        self._closes = np.concatenate([self._year(self._first), self._closes])
        return True

    def _year(self, year: int) -> Instants:
        first, last = dt.date(year, 1, 1), dt.date(year, 12, 31)
        covered = getattr(self.calendar, "covered", (first, last))
        first, last = max(first, covered[0]), min(last, covered[1])
        if first > last:
            # Says itself what it covers.
            self.calendar.sessions(dt.date(year, 1, 1), dt.date(year, 1, 1))
            return np.empty(0, np.int64)
        return closes_of(self.calendar, self.calendar.sessions(first, last), self._seconds)


def closes_of(calendar: SessionCalendar, days: list[dt.date], seconds: int) -> Instants:
    """Give the closes of every bucket of some sessions, ascending."""
    if seconds >= DAY:
        return np.array([microseconds(calendar.close(day)) for day in days], np.int64)
    step = seconds * 1_000_000
    parts = [np.empty(0, np.int64)]
    for day in days:
        opens, closes = microseconds(calendar.open(day)), microseconds(calendar.close(day))
        parts.append(np.append(np.arange(opens + step, closes, step, dtype=np.int64), closes))
    return np.concatenate(parts)


def sessions_frame(calendar: SessionCalendar, first: dt.date, last: dt.date) -> pl.DataFrame:
    """List the sessions of a range as `SESSION_SCHEMA`; days that the calendar does not cover have none."""
    covered = getattr(calendar, "covered", (first, last))
    first, last = max(first, covered[0]), min(last, covered[1])
    days = calendar.sessions(first, last) if first <= last else []
    rows = [(day, calendar.open(day), calendar.close(day)) for day in days]
    return pl.DataFrame(rows, schema=SESSION_SCHEMA, orient="row")
