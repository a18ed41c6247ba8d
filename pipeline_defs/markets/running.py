"""Whether a session runs, and if not, why: for whoever looks at a market while it is open."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from pipeline_defs.errors import MarketRuleError

if TYPE_CHECKING:
    from pipeline_defs.markets.market import Market


def running_session(market: Market, now: dt.datetime, delay: dt.timedelta = dt.timedelta()) -> dt.date:
    """Find the session that is running.

    Parameters
    ----------
    market : Market
        Whose.
    now : datetime.datetime
        With a zone.
    delay : datetime.timedelta, default 0
        For so long after its close it counts as running.

    Returns
    -------
    datetime.date

    Raises
    ------
    MarketRuleError
        If none is, with the reason: a holiday, before the open, after the close.

    """
    day = market.trade_date(now)
    reason = market.closed_reason(day)
    if reason is not None:
        raise MarketRuleError(f"{market.name} has no session on {day}: {reason}", next_step="nothing needs to be done")
    opens, closes = market.open(day), market.close(day)
    if now <= opens:
        raise MarketRuleError(
            f"the session of {market.name} on {day} opens at {opens:%H:%M} UTC", next_step="look again after the open"
        )
    if now > closes + delay:
        raise MarketRuleError(
            f"the session of {market.name} on {day} closed at {closes:%H:%M} UTC",
            next_step="materialise its partition, which asks for the whole day",
        )
    return day
