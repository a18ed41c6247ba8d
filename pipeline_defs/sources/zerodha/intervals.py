"""Lengths of bars that Kite has, and how many days of each it gives in one request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.schema.tables import DAY

if TYPE_CHECKING:
    from pipeline_defs.sources.asking.questions import Dataset

_INTERVALS: Final = {
    60: ("minute", 60),
    180: ("3minute", 100),
    300: ("5minute", 100),
    600: ("10minute", 100),
    900: ("15minute", 200),
    1_800: ("30minute", 200),
    3_600: ("60minute", 400),
    DAY: ("day", 2_000),
}
"""Seconds to Kite's word, and to the calendar days that one request may cover."""

_SHOWN: Final = "1m, 3m, 5m, 10m, 15m, 30m, 1h, 1d"


def interval_of(dataset: Dataset) -> str:
    """Name a dataset's bars as Kite does.

    Raises
    ------
    ConfigurationError
        If Kite has no bars of this length, or the table holds none of it.

    """
    return _known(dataset)[0]


def max_days_of(dataset: Dataset) -> int:
    """Give the calendar days of these bars that one request may cover; raises as `interval_of`."""
    return _known(dataset)[1]


def _known(dataset: Dataset) -> tuple[str, int]:
    found = _INTERVALS.get(dataset.bar_seconds)
    if found is None:
        raise ConfigurationError(
            f"Kite has no bars of {dataset.bar_seconds} s",
            where=f"zerodha {dataset.table}",
            next_step=f"choose one of {_SHOWN} in the universe's bars",
        )
    if dataset.table == "equity_daily" and dataset.bar_seconds != DAY:
        raise ConfigurationError(
            f"equity_daily holds sessions, not bars of {dataset.bar_seconds} s",
            where="zerodha equity_daily",
            next_step="leave it out of the universe's bars; bars within the day of a share are in spot_prices",
        )
    return found
