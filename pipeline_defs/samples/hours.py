"""When derivatives, and when indices and shares, print on a date: read off the session table.

The only module of this room that asks the calendar. Hours are data of ``markets.sessions``; here
they become minute numbers counted from the open.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline_defs.errors import MarketRuleError
from pipeline_defs.markets import sessions

if TYPE_CHECKING:
    from pipeline_defs.samples.prices import Integers

_AUCTION_PRINT_BEFORE_CLOSE: Final = dt.timedelta(minutes=5)
"""Where in the closing auction its one print falls."""


@dataclass(frozen=True, slots=True)
class Hours:
    """One session.

    Parameters
    ----------
    trade_date : datetime.date
        The day.
    derivative_open, derivative_close : datetime.datetime
        UTC instants.
    cash_minutes : numpy.ndarray of int64
        Minutes, counted from the derivatives' open, in which indices and shares print.
    auction_minute : int or None
        The last of them where it holds nothing but the one print of the closing auction.

    """

    trade_date: dt.date
    derivative_open: dt.datetime
    derivative_close: dt.datetime
    cash_minutes: Integers
    auction_minute: int | None

    @property
    def derivative_minutes(self) -> int:
        """Minutes in which derivatives can trade."""
        return (self.derivative_close - self.derivative_open) // dt.timedelta(minutes=1)

    @property
    def cash_seconds(self) -> Integers:
        """Seconds, counted from the derivatives' open, in which indices print: each one, but one in the auction."""
        seconds = self.cash_minutes[:, None] * 60 + np.arange(60)
        return seconds.ravel() if self.auction_minute is None else np.append(seconds[:-1].ravel(), seconds[-1, -1])


@cache
def hours_on(trade_date: dt.date) -> Hours:
    """Hours of a session.

    Parameters
    ----------
    trade_date : datetime.date
        The day.

    Returns
    -------
    Hours

    Raises
    ------
    MarketRuleError
        If derivatives did not trade on the date.

    """
    derivatives = _session(trade_date, "FO")
    cash = _session(trade_date, "CM")
    continuous_until = sessions.continuous_until(trade_date, "CM") or cash.close
    minute = dt.timedelta(minutes=1)
    cash_minutes = np.arange((cash.open - derivatives.open) // minute, (continuous_until - derivatives.open) // minute)
    auction_minute = None
    if continuous_until < cash.close:
        # A closing auction prints once; the minutes while orders are collected have no bar.
        auction_minute = (cash.close - _AUCTION_PRINT_BEFORE_CLOSE - derivatives.open) // minute - 1
        cash_minutes = np.append(cash_minutes, auction_minute)
    return Hours(trade_date, derivatives.open, derivatives.close, cash_minutes, auction_minute)


def expiry_close(expiry: dt.date, hours: Hours) -> dt.datetime:
    """Find when contracts of an expiry cease to trade.

    Parameters
    ----------
    expiry : datetime.date
        Expiry day; beyond the calendar's end the clock of `hours` is taken.
    hours : Hours
        The session in which that is asked.

    Returns
    -------
    datetime.datetime
        UTC.

    """
    if expiry > sessions.last_covered_date():
        return dt.datetime.combine(expiry, hours.derivative_close.timetz())
    return hours_on(expiry).derivative_close


def session_dates(start_date: dt.date, end_date: dt.date) -> list[dt.date]:
    """Trade dates of the derivatives market in a range, both ends included.

    Raises
    ------
    MarketRuleError
        If there is none.

    """
    dates = sessions.sessions_between(start_date, end_date, "FO")["session_date"].to_list()
    if not dates:
        raise MarketRuleError(
            f"no session of the derivatives market between {start_date} and {end_date}",
            next_step="choose a range with a trading day",
        )
    return dates


def _session(trade_date: dt.date, segment: str) -> sessions.Session:
    session = sessions.session_on(trade_date, segment)
    if session is None:
        raise MarketRuleError(
            f"{trade_date} is not a session of segment {segment}: {sessions.closed_reason(trade_date)}",
            next_step="choose a trading day",
        )
    return session
