"""When the day's answers are final, as times of the day in a market's zone: what the cron of a schedule is made of.

A cron knows neither holidays nor short days: these times only say when it is worth looking. Whether a session is over
is asked of the session.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from pipeline_defs.markets.market import market
from pipeline_defs.sources.registry import source_entry, source_market

USUAL_CLOSES: Final = {"NSE": dt.time(15, 40), "US": dt.time(16), "CRYPTO": dt.time()}
"""The latest regular close of each market; at 00:00 a day ends."""

LATE_LOOKS: Final = {"NSE": dt.time(23, 30), "US": dt.time(23, 30), "CRYPTO": dt.time(6)}
"""A second look: after evening sessions, and for what the first one could not get."""

_DAY_MINUTES: Final = 24 * 60
_GRACE: Final = dt.timedelta(minutes=5)
_STEP_MINUTES: Final = 5


def daily_crons(source: str) -> list[str]:
    """Say when a source is asked for the day.

    Parameters
    ----------
    source : str
        As in the registry.

    Returns
    -------
    list of str
        Crons in the zone of its market: five minutes after the source's answer about a regular day is final, and late.

    """
    name = source_market(source)
    final = _after(USUAL_CLOSES.get(name, dt.time()), settling(source) + _GRACE)
    return [_cron(final), _cron(LATE_LOOKS.get(name, dt.time(6)))]


def settling(source: str) -> dt.timedelta:
    """Say how long after a close every answer of a source is final."""
    return dt.timedelta(seconds=source_entry(source).settles_seconds)


def zone_of(source: str) -> str:
    """Name the zone in which a source's days are days."""
    return market(source_market(source)).zone


def _after(close: dt.time, delay: dt.timedelta) -> dt.time:
    """Give the time of day some time after another one, on the next five minutes."""
    minutes = -(-(close.hour * 60 + close.minute + delay.total_seconds() / 60) // _STEP_MINUTES) * _STEP_MINUTES
    return dt.time(*divmod(int(minutes) % _DAY_MINUTES, 60))


def _cron(time: dt.time) -> str:
    return f"{time.minute} {time.hour} * * *"
