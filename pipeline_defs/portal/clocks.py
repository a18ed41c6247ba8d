"""What time it is for a portal: that of a simulation, or of the wall.

Anything with a `now()` that gives an instant with a zone is a clock.
"""

from __future__ import annotations

import datetime as dt
from typing import Protocol

from pipeline_defs.portal.errors import PortalError


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> dt.datetime:
        """Give an instant with a zone."""
        ...


class WallClock:
    """The time of this machine."""

    def now(self) -> dt.datetime:
        """Give the present instant, UTC."""
        return dt.datetime.now(dt.UTC)


class SimulationClock:
    """A clock that stands where it is put.

    Parameters
    ----------
    start : datetime.datetime
        With a zone.

    Raises
    ------
    PortalError
        If `start` has no zone.

    """

    def __init__(self, start: dt.datetime) -> None:
        self._now = in_utc(start, "the clock's start")

    def now(self) -> dt.datetime:
        """Give the simulated instant, UTC."""
        return self._now

    def set(self, instant: dt.datetime) -> None:
        """Put the clock to an instant with a zone; back as well as ahead."""
        self._now = in_utc(instant, "the clock")

    def advance(self, duration: dt.timedelta) -> dt.datetime:
        """Put the clock ahead, and give the new instant."""
        self._now += duration
        return self._now


def in_utc(instant: dt.datetime, what: str) -> dt.datetime:
    """Give an instant in UTC.

    Parameters
    ----------
    instant : datetime.datetime
        A `pandas.Timestamp` is one, too; its nanoseconds are cut off.
    what : str
        What it is, for the error.

    Returns
    -------
    datetime.datetime

    Raises
    ------
    PortalError
        If it is no instant, or has no zone.

    """
    if not isinstance(instant, dt.datetime) or instant.tzinfo is None:
        raise PortalError(
            f"{what} is {instant!r}, expected an instant with a zone",
            next_step="give, for example, datetime(2025, 8, 14, 4, 0, tzinfo=UTC)",
        )
    as_told = instant.astimezone(dt.UTC)
    # A subclass (pandas') would compare and hash otherwise.
    return dt.datetime.combine(as_told.date(), as_told.time(), dt.UTC)
