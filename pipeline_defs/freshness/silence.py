"""How long a market may legitimately give nothing: what a policy that knows no calendar has to allow.

Standard library only: Dagster's definitions ask.
"""

from __future__ import annotations

import datetime as dt
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from pipeline_defs.markets.market import market

if TYPE_CHECKING:
    from pipeline_defs.markets.market import Market


@cache
def longest_silence(market_name: str, first: dt.date, last: dt.date) -> dt.timedelta:
    """Find the longest time from one session's close to the next one's.

    Parameters
    ----------
    market_name : str
        As in `pipeline_defs.markets.market`.
    first, last : datetime.date
        Days that are looked at, both inclusive; what lies outside the calendar is left out.

    Returns
    -------
    datetime.timedelta
        Long weekends, holidays that meet, and evenings in place of days are in it. A day where there are fewer than
        two sessions.

    """
    of = market(market_name)
    first, last = max(first, of.covered[0]), min(last, of.covered[1])
    closes = [of.close(day) for day in of.sessions(first, last)]
    return max((later - earlier for earlier, later in pairwise(closes)), default=dt.timedelta(days=1))


def due_sessions(of: Market, now: dt.datetime, count: int, grace_seconds: int = 0) -> list[dt.date]:
    """List the latest sessions that are due.

    Parameters
    ----------
    of : Market
        Whose.
    now : datetime.datetime
        With a zone.
    count : int
        At most so many.
    grace_seconds : int, default 0
        How long after the close a session becomes due.

    Returns
    -------
    list of datetime.date
        Ascending; fewer where the calendar begins.

    """
    grace = dt.timedelta(seconds=grace_seconds)
    found: list[dt.date] = []
    day = of.trade_date(now)
    while len(found) < count and day >= of.covered[0]:
        if of.closed_reason(day) is None and now >= of.close(day) + grace:
            found.append(day)
        day -= dt.timedelta(days=1)
    return found[::-1]
