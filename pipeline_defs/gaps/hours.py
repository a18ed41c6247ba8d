"""From a market's calendar to what is expected of one partition: the hours in which rows should be there.

Expected is continuous trading: the segment's own hours, without a closing auction. The calendars themselves belong to
`markets`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from pipeline_defs.markets.market import market
from pipeline_defs.markets.session_tables import DRILL, hours_on

FILE_GRACE: Final = dt.timedelta(hours=5, minutes=30)
"""How long after the close files may still arrive: at the NSE until 21:00, by which vendors have delivered."""

_SEGMENTS: Final = {"options_ticks": "FO", "futures_ticks": "FO", "spot_prices": "CM", "equity_daily": "CM"}
_UNCERTAIN: Final = "hours uncertain"
"""In the session table: the hours are the widest plausible ones, so nobody may have rows of their edges."""


@dataclass(frozen=True, slots=True)
class Expected:
    """When rows of a partition are expected.

    Parameters
    ----------
    open, until : datetime.datetime or None
        Begin and end of continuous trading, UTC; None when the market was closed.
    close : datetime.datetime or None
        The session's close, UTC, after which its rows can be complete.
    closed_reason : str or None
        Why the market was closed.
    edge_note, middle_note : str or None
        Why nothing may have traded at the session's edges, or in the middle of it; None when it did.

    """

    open: dt.datetime | None
    until: dt.datetime | None
    close: dt.datetime | None
    closed_reason: str | None = None
    edge_note: str | None = None
    middle_note: str | None = None


def expected_hours(market_name: str, dataset: str, trade_date: dt.date) -> Expected:
    """Find when rows of a table are expected on a trade date.

    Parameters
    ----------
    market_name : str
        As in `pipeline_defs.markets.market`. At the NSE, derivatives and the cash market have hours of their own.
    dataset : str
        One of the observation tables.
    trade_date : datetime.date
        Day in the market's zone.

    Returns
    -------
    Expected

    Raises
    ------
    MarketRuleError
        If the market is unknown, or its calendar does not cover the day.

    """
    calendar = market(market_name)
    reason = calendar.closed_reason(trade_date)
    if reason is not None:
        return Expected(None, None, None, reason)
    if market_name != "NSE":
        closes = calendar.close(trade_date)
        return Expected(calendar.open(trade_date), closes, closes)
    segment = _SEGMENTS[dataset]
    hours = hours_on(trade_date, segment)
    if hours is None:
        return Expected(None, None, None, f"no session of segment {segment}")
    opens, until, closes = (
        calendar._instant(trade_date, time)  # noqa: SLF001 -- a segment's hours in the market's zone
        for time in (hours.open, hours.continuous_until, hours.close)
    )
    note = None
    if hours.kind == DRILL:
        note = f"disaster-recovery drill with a break: {hours.source}"
    elif _UNCERTAIN in hours.source:
        note = f"the hours of this session are not known exactly: {hours.source}"
    return Expected(opens, until, closes, None, note, note if hours.kind == DRILL else None)
