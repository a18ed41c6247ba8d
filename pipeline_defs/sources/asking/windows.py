"""Trade dates that are wanted, cut to what one request may cover."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from pipeline_defs.sources.asking.questions import Window

if TYPE_CHECKING:
    from collections.abc import Sequence


def cut_windows(
    trade_dates: Sequence[dt.date], max_days: int, bridge: frozenset[dt.date] = frozenset()
) -> list[Window]:
    """Cover dates with windows, as few as the limit allows and without a date that was not asked for.

    Parameters
    ----------
    trade_dates : sequence of datetime.date
        Ascending.
    max_days : int
        Calendar days in one window, at most.
    bridge : frozenset of datetime.date
        Days without trading: a window may run over them.

    Returns
    -------
    list of Window
        Ascending, without overlap; each begins and ends on one of the dates.

    """
    windows: list[Window] = []
    for day in trade_dates:
        last = windows[-1] if windows else None
        if last is not None and (day - last.first).days < max_days and _is_next(last.last, day, bridge):
            windows[-1] = Window(last.first, day)
        else:
            windows.append(Window(day, day))
    return windows


def _is_next(last: dt.date, day: dt.date, bridge: frozenset[dt.date]) -> bool:
    between = (last + dt.timedelta(days=offset) for offset in range(1, (day - last).days))
    return all(skipped in bridge for skipped in between)
