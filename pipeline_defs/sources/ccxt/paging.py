"""One question to as many pages as it takes.

Every page begins where the one before ended, and the walk goes on to the end of what is asked: an empty or a short page
does not end it, for exchanges give those within an outage, too. A full page that does not begin where it was asked to
may come from an exchange that gives its newest candles whatever is asked for: that is an error, not a gap.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import SourceError
from pipeline_defs.sources.ccxt.rows import CANDLE_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable

NEWEST_ONLY: Final = frozenset({"kraken"})
"""Exchanges known to give their newest candles, wherever one asks to begin."""


class Walk:
    """The pages of one question.

    Parameters
    ----------
    ask_page : callable
        ``ask_page(since_ms, limit)`` gives a frame of `CANDLE_SCHEMA`.
    exchange, timeframe : str
        For messages.
    step : int
        Length of a candle in milliseconds.
    limit : int
        Candles that one page holds at most.

    """

    def __init__(
        self, ask_page: Callable[[int, int], pl.DataFrame], exchange: str, timeframe: str, step: int, limit: int
    ) -> None:
        self._ask_page, self._exchange, self._timeframe = ask_page, exchange, timeframe
        self._step, self._limit = step, limit

    def collect(self, start: int, end: int, now: int) -> pl.DataFrame:
        """Ask for all of it.

        Parameters
        ----------
        start, end : int
            Milliseconds; the end is exclusive.
        now : int
            What begins later is not asked for.

        Returns
        -------
        polars.DataFrame
            `CANDLE_SCHEMA`, ascending; candles outside start and end, which some exchanges add, are left out.

        Raises
        ------
        SourceError
            If the exchange cannot go back so far.

        """
        pages = [pl.DataFrame(schema=CANDLE_SCHEMA)]
        cursor = start
        while cursor < min(end, now):
            wanted = min(self._limit, -(-(end - cursor) // self._step))
            page = self._ask_page(cursor, wanted)
            times = page["time"].drop_nulls()
            self._refuse_newest_only(times, cursor, wanted)
            inside = (page["time"] >= cursor) & (page["time"] < end)
            pages.append(page.filter(inside.fill_null(value=True)))
            reached = times.filter((times >= cursor) & (times < end)).max()
            if isinstance(reached, int):
                cursor = reached + self._step
            elif (times >= end).any():
                break
            else:
                self._refuse_older_only(times, cursor)
                cursor += wanted * self._step
        return pl.concat(pages)

    def _refuse_newest_only(self, times: pl.Series, cursor: int, wanted: int) -> None:
        first = times.min()
        if not isinstance(first, int) or first <= cursor:
            return
        full = self._limit if self._exchange in NEWEST_ONLY else wanted
        if len(times) < full or (len(times) == wanted and self._begins_at(first, cursor)):
            # Fewer than it could give, or the first ones of them: nothing was there before.
            return
        raise SourceError(
            f"{self._exchange} serves only the newest {len(times)} candles of {self._timeframe}, from"
            f" {_instant(first)} on; asked from {_instant(cursor)}",
            next_step="ask for later days, or write longer bars into the universe file (bars: spot_prices: 1h)",
        )

    def _begins_at(self, first: int, cursor: int) -> bool:
        """Ask for one candle: it is the same first one, unless the exchange counts from the present backwards."""
        if self._exchange in NEWEST_ONLY:
            return False
        times = self._ask_page(cursor, 1)["time"].drop_nulls()
        return times.is_empty() or (len(times) == 1 and times.item() == first)

    def _refuse_older_only(self, times: pl.Series, cursor: int) -> None:
        # Some exchanges give the candle before the first one that is asked for; that one says nothing.
        if (times < cursor - self._step).any():
            raise SourceError(
                f"{self._exchange} was asked for candles from {_instant(cursor)} and gave only older ones",
                next_step="nothing was stored; the exchange may be halted, or may serve no history of this pair",
            )


def _instant(milliseconds: int) -> str:
    return f"{dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC):%Y-%m-%d %H:%MZ}"
