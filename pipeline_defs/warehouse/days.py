"""From trade dates to instants: which stored rows belong to a day of the exchange.

Standard library only: the Dagster wing asks, too. Opening hours are not a matter of this module; see `sessions`.
"""

from __future__ import annotations

import datetime as dt
from typing import Final
from zoneinfo import ZoneInfo

EXCHANGE_ZONE: Final = ZoneInfo("Asia/Kolkata")


def day_bounds(first: dt.date, last: dt.date | None = None) -> tuple[dt.datetime, dt.datetime]:
    """Give the instants at which trade dates begin and end in the exchange's zone.

    Parameters
    ----------
    first : datetime.date
        Trade date.
    last : datetime.date, optional
        Last trade date of a range, inclusive; default `first`.

    Returns
    -------
    tuple of datetime.datetime
        Begin, inclusive, and end, exclusive; UTC.

    """
    begin = dt.datetime.combine(first, dt.time(), EXCHANGE_ZONE)
    end = dt.datetime.combine((last or first) + dt.timedelta(days=1), dt.time(), EXCHANGE_ZONE)
    return begin.astimezone(dt.UTC), end.astimezone(dt.UTC)
