"""From trade dates to instants: which stored rows belong to a day of the exchange.

Standard library only: the Dagster wing asks, too. Opening hours are not a matter of this module; see `sessions`.
"""

from __future__ import annotations

import datetime as dt
from typing import Final
from zoneinfo import ZoneInfo

EXCHANGE_ZONE: Final = ZoneInfo("Asia/Kolkata")

_INSTANT: Final = dt.timedelta(microseconds=1)
"""The resolution of stored instants."""


def day_bounds(
    first: dt.date, last: dt.date | None = None, zone: str = EXCHANGE_ZONE.key, *, of_closes: bool = False
) -> tuple[dt.datetime, dt.datetime]:
    """Give the instants at which trade dates begin and end in the exchange's zone.

    Parameters
    ----------
    first : datetime.date
        Trade date.
    last : datetime.date, optional
        Last trade date of a range, inclusive; default `first`.
    zone : str, default "Asia/Kolkata"
        IANA name.
    of_closes : bool, default False
        Whether the stamps are closes of bars: what closes at midnight belongs to the day that ends there. It makes a
        difference where a market trades at midnight.

    Returns
    -------
    tuple of datetime.datetime
        Begin, inclusive, and end, exclusive; UTC.

    """
    shift = _INSTANT if of_closes else dt.timedelta()
    begin = dt.datetime.combine(first, dt.time(), ZoneInfo(zone))
    end = dt.datetime.combine((last or first) + dt.timedelta(days=1), dt.time(), ZoneInfo(zone))
    return begin.astimezone(dt.UTC) + shift, end.astimezone(dt.UTC) + shift
