"""The ``extension.py`` of a root: the calendar of the exported sessions and the registration of the run bundle.

rustybt runs ``$ZIPLINE_ROOT/extension.py`` before a backtest. Its own calendars lack special sessions (Saturdays,
Muhurat), and one session too few moves every later bar of a run bundle to another day; so the sessions travel with the
bars.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from pipeline_defs.schema.exports import MarketSlice

EXTENSION: Final = "extension.py"

_TEMPLATE: Final = '''"""Sessions of the exported bars, and the bundle {bundle!r}; rustybt runs this."""

import datetime
from zoneinfo import ZoneInfo

import pandas
from exchange_calendars import ExchangeCalendar, register_calendar_type
from rustybt.data.bundles import register

# Date, open and close in the time of the market.
SESSIONS = [
{sessions}]
# A day without bars: in a daily backtest rustybt asks what session follows midnight, which must not be the calendar's
# beginning.
BEFORE = pandas.Timestamp(SESSIONS[0][0]) - pandas.Timedelta(days=1)


def adhoc(column, usual):
    """Group the sessions whose open or close is not the usual one."""
    other = {{}}
    for session in SESSIONS:
        if session[column] != usual:
            other.setdefault(datetime.time.fromisoformat(session[column]), []).append(session[0])
    return [(time, pandas.DatetimeIndex(dates)) for time, dates in other.items()]


class Sessions(ExchangeCalendar):
    """The sessions of this export and no others."""

    name = {calendar!r}
    tz = ZoneInfo({zone!r})
    open_times = ((None, datetime.time.fromisoformat({opens!r})),)
    close_times = ((None, datetime.time.fromisoformat({closes!r})),)
    weekmask = "1111111"
    adhoc_holidays = sorted(
        set(pandas.date_range(SESSIONS[0][0], SESSIONS[-1][0])) - {{pandas.Timestamp(date) for date, *_ in SESSIONS}}
    )
    special_opens_adhoc = adhoc(1, {opens!r})
    special_closes_adhoc = adhoc(2, {closes!r})

    @classmethod
    def bound_min(cls):
        return BEFORE

    @classmethod
    def bound_max(cls):
        return pandas.Timestamp(SESSIONS[-1][0])


def made_by_an_export(*arguments):
    raise RuntimeError("the bundle {bundle} was exported and cannot be ingested here: export it again")


register_calendar_type({calendar!r}, Sessions, force=True)
register({bundle!r}, made_by_an_export, calendar_name={calendar!r})
'''

_PLAIN: Final = '"""Nothing to register: the root holds a decimal bundle alone."""\n'


def calendar_name(bundle: str) -> str:
    """Name the calendar of a bundle's sessions.

    Parameters
    ----------
    bundle : str
        The decimal bundle.

    Returns
    -------
    str
        E.g. ``RELIANCE-sessions``.

    """
    return f"{bundle}-sessions"


def is_expressible(market: MarketSlice) -> bool:
    """Tell whether the calendar written here can hold the sessions of a slice.

    Parameters
    ----------
    market : MarketSlice
        What is exported.

    Returns
    -------
    bool
        False if one opens or closes on another date than its own in the market's zone (markets that never close), or
        within a minute.

    """
    times = market.sessions.select("session_date", pl.col("open", "close").dt.convert_time_zone(market.timezone))
    fits = [
        (pl.col(name).dt.date() == pl.col("session_date")) & (pl.col(name).dt.truncate("1m") == pl.col(name))
        for name in ("open", "close")
    ]
    return bool(times.select(pl.all_horizontal(fits).all()).item())


def extension_text(market: MarketSlice, bundle: str, run_bundle: str | None) -> str:
    """Write the ``extension.py`` of a root.

    Parameters
    ----------
    market : MarketSlice
        What is exported.
    bundle : str
        The decimal bundle.
    run_bundle : str or None
        The run bundle; None when there is none.

    Returns
    -------
    str
        Python source. A root without the file would be given one by rustybt, so there always is one.

    """
    if run_bundle is None:
        return _PLAIN
    local = market.sessions.sort("session_date").select(
        pl.col("session_date").dt.to_string("%Y-%m-%d"),
        pl.col("open", "close").dt.convert_time_zone(market.timezone).dt.to_string("%H:%M"),
    )
    usual = {name: local.group_by(name).len().sort(["len", name]).item(-1, name) for name in ("open", "close")}
    return _TEMPLATE.format(
        bundle=run_bundle,
        calendar=calendar_name(bundle),
        zone=market.timezone,
        opens=usual["open"],
        closes=usual["close"],
        sessions="".join(f"    {row!r},\n" for row in local.iter_rows()),
    )
