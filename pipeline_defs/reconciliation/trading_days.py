"""Which stretch of time is a trade date, and its session, in each market whose instruments a table holds.

Instruments are told apart by what they trade in: pairs and currencies without a calendar have days of UTC, rupees the
sessions of the NSE (of the table's own segment), dollars those of the United States.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import MarketRuleError
from pipeline_defs.markets.market import market
from pipeline_defs.warehouse.precedence import MARKET_OF_TERMS

if TYPE_CHECKING:
    import datetime as dt

    import psycopg

NSE: Final = "NSE"

_SEGMENTS: Final = {"options_ticks": "FO", "futures_ticks": "FO", "spot_prices": "CM", "equity_daily": "CM"}
_MARKETS: Final = f"SELECT DISTINCT {MARKET_OF_TERMS} FROM instrument_terms AS t WHERE t.kind = ANY (%s)"  # noqa: S608
_NSE_SESSION: Final = "SELECT open, close FROM sessions WHERE market = 'NSE' AND segment = %s AND session_date = %s"


@dataclass(frozen=True, slots=True)
class TradingDay:
    """A trade date of a market; instants are UTC.

    Parameters
    ----------
    market : str
        ``NSE``, ``US`` or ``CRYPTO``.
    begin, end : datetime.datetime
        The day in the market's zone, end exclusive.
    session_open, session_close : datetime.datetime
        What is compared lies between them.

    """

    market: str
    begin: dt.datetime
    end: dt.datetime
    session_open: dt.datetime
    session_close: dt.datetime


def trading_days(
    connection: psycopg.Connection, dataset: str, kinds: tuple[str, ...], trade_date: dt.date
) -> list[TradingDay]:
    """List the markets of a table's instruments that had a session on a trade date.

    Parameters
    ----------
    connection : psycopg.Connection
        Any.
    dataset : str
        Observation table.
    kinds : tuple of str
        Instrument kinds that are meant.
    trade_date : datetime.date
        A day of each market's own zone.

    Returns
    -------
    list of TradingDay
        By name of the market.

    """
    names = sorted(name for (name,) in connection.execute(_MARKETS, [list(kinds)]).fetchall())
    days = []
    for name in names:
        calendar = market(name)
        if name == NSE:
            session = connection.execute(_NSE_SESSION, [_SEGMENTS[dataset], trade_date]).fetchone()
        elif _is_session(name, trade_date):
            session = calendar.open(trade_date), calendar.close(trade_date)
        else:
            session = None
        if session is not None:
            days.append(TradingDay(name, *calendar.bounds(trade_date), *session))
    return days


def _is_session(name: str, trade_date: dt.date) -> bool:
    try:
        return market(name).closed_reason(trade_date) is None
    except MarketRuleError:
        # A day that the calendar does not cover cannot be compared; another market's may be.
        return False
