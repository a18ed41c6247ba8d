"""Which lengths of bars Yahoo serves, how far back, and how many days at once."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.schema.tables import DAY, MINUTE

if TYPE_CHECKING:
    from pipeline_defs.sources.asking.questions import Dataset, Window


@dataclass(frozen=True, slots=True)
class Reach:
    """One length of bars.

    Parameters
    ----------
    interval : str
        As Yahoo calls it.
    days : int or None
        Full days back that are served; None without a limit.

    """

    interval: str
    days: int | None


REACHES: Final = {
    MINUTE: Reach("1m", 29),
    2 * MINUTE: Reach("2m", 59),
    5 * MINUTE: Reach("5m", 59),
    15 * MINUTE: Reach("15m", 59),
    60 * MINUTE: Reach("1h", 729),
    90 * MINUTE: Reach("90m", 59),
    DAY: Reach("1d", None),
}
"""Bar seconds to what is served. Not in it: 30m, of which Yahoo gives bars of another length; they are made of 15m."""


def reach_of(dataset: Dataset) -> Reach:
    """Find what Yahoo serves of a dataset.

    Raises
    ------
    ConfigurationError
        If it has no bars of that length, or not for that table.

    """
    found = REACHES.get(dataset.bar_seconds)
    known = ", ".join(_described(one) for one in REACHES.values())
    if found is None:
        raise ConfigurationError(
            f"Yahoo has no bars of {dataset.bar_seconds} s; it has {known}",
            where=f"yahoo, bars of {dataset.table}",
            next_step="choose one of them in the universe file; coarser bars are made of finer ones on export",
        )
    if dataset.table == "equity_daily" and dataset.bar_seconds != DAY:
        raise ConfigurationError(
            f"equity_daily holds whole days, not {found.interval}",
            where="yahoo, bars of equity_daily",
            next_step="name the length under spot_prices",
        )
    return found


def refuse_too_old(dataset: Dataset, window: Window, today: dt.date) -> None:
    """Refuse days that Yahoo serves no more.

    Parameters
    ----------
    dataset : Dataset
        Which bars.
    window : Window
        When.
    today : datetime.date
        In the market's zone.

    Raises
    ------
    SourceError
        With the first day that is still served.

    """
    reach = reach_of(dataset)
    if reach.days is None:
        return
    earliest = today - dt.timedelta(days=reach.days)
    if window.first < earliest:
        longer = [one for one in REACHES.values() if one.days is None or one.days > reach.days]
        raise SourceError(
            f"Yahoo serves {reach.interval} bars of the last {reach.days} days only, from {earliest} on;"
            f" {window.first} is {(today - window.first).days} days back",
            where=f"yahoo {dataset.table} {window}",
            next_step=f"begin at {earliest}, or take longer bars: {', '.join(_described(one) for one in longer)}",
        )


def _described(reach: Reach) -> str:
    return f"{reach.interval} ({'any age' if reach.days is None else f'{reach.days} days'})"
