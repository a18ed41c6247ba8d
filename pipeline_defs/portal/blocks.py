"""Bars in memory: a month of one instrument in one piece, sorted, to be sliced by position.

Least recently used pieces go when there are too many bytes of them. Nothing here knows where bars come from.
"""

from __future__ import annotations

import calendar
import datetime as dt
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from pipeline_defs.schema.columns import PRICE, SIZE, TIMESTAMP
from pipeline_defs.schema.tables import DAY

if TYPE_CHECKING:
    from collections.abc import Collection

    from pipeline_defs.portal.calendars import Instants
    from pipeline_defs.portal.instruments import Instrument

BLOCK_SCHEMA: Final[dict[str, pl.DataType]] = {
    "timestamp": TIMESTAMP,
    "open": PRICE,
    "high": PRICE,
    "low": PRICE,
    "close": PRICE,
    "volume": SIZE,
    "open_interest": SIZE,
    "source": pl.String(),
    "is_split_adjusted": pl.Boolean(),
}
"""Sorted by time, unique by it; `volume` and `open_interest` are Int64 where whole units are traded."""


class Span(tuple[dt.date, dt.date]):
    """First and last trade date of a block, both inclusive."""

    __slots__ = ()

    @property
    def first(self) -> dt.date:
        """First trade date."""
        return self[0]

    @property
    def last(self) -> dt.date:
        """Last trade date."""
        return self[1]


@dataclass(frozen=True, slots=True)
class Block:
    """Bars of one instrument, of one length, over some trade dates.

    Parameters
    ----------
    stamps : numpy.ndarray
        Microseconds since 1970, ascending: when each bar was complete.
    columns : dict of str to polars.Series
        `BLOCK_SCHEMA`, and `price`, which is `close`.
    size_bytes : int
        About what it takes.

    """

    stamps: Instants
    columns: dict[str, pl.Series]
    size_bytes: int

    def __len__(self) -> int:
        """Count the bars."""
        return len(self.stamps)


def block_of(bars: pl.DataFrame) -> Block:
    """Make a block of a frame."""
    columns = {column.name: column for column in bars.rechunk()}
    stamps = columns["timestamp"].to_physical().to_numpy()
    return Block(stamps, {**columns, "price": columns["close"].alias("price")}, int(bars.estimated_size()) + 512)


def empty_bars(*, has_parts: bool) -> pl.DataFrame:
    """Give a frame of no bars."""
    return sized(pl.DataFrame(schema=BLOCK_SCHEMA), has_parts=has_parts)


def sized(bars: pl.DataFrame, *, has_parts: bool) -> pl.DataFrame:
    """Give sizes the type that the instrument's have: decimals where parts of a unit are traded, else whole numbers."""
    dtype = SIZE if has_parts else pl.Int64()
    return bars.with_columns(pl.col("volume", "open_interest").cast(dtype))


def spans_between(first: dt.date, last: dt.date, seconds: int, today: dt.date | None) -> list[Span]:
    """List the blocks that hold some trade dates, in order.

    Parameters
    ----------
    first, last : datetime.date
        Both inclusive.
    seconds : int
        Length of the bars: a block of days is a year, any other a month.
    today : datetime.date or None
        In live mode the trade date that is running: it is a block of its own, so that what is added to it touches
        nothing else.

    Returns
    -------
    list of Span

    """
    spans: list[Span] = []
    at = first
    while at <= last:
        begin = at.replace(day=1) if seconds < DAY else at.replace(month=1, day=1)
        end = _month_end(at) if seconds < DAY else at.replace(month=12, day=31)
        if today is not None and at >= today:
            begin = end = at
        elif today is not None and end >= today:
            end = today - dt.timedelta(days=1)
        spans.append(Span((begin, end)))
        at = end + dt.timedelta(days=1)
    return spans


def _month_end(day: dt.date) -> dt.date:
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])


type Key = tuple[Instrument, int, Span]


class Blocks:
    """What is kept, by instrument, length and span.

    Parameters
    ----------
    most_bytes : int
        How much may be kept between two questions; one question may need more.

    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[Key, Block] = OrderedDict()
        self.size_bytes = 0

    def get(self, key: Key) -> Block | None:
        """Find a block, and count it as used."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def has(self, key: Key) -> bool:
        """Tell whether a block is there."""
        return key in self._kept

    @property
    def has_room(self) -> bool:
        """Whether more may be read ahead than was asked for."""
        return self.size_bytes < self._most // 2

    def put(self, key: Key, block: Block) -> None:
        """Keep a block."""
        self._drop(key)
        self._kept[key] = block
        self.size_bytes += block.size_bytes

    def shrink(self) -> None:
        """Drop what was used longest ago until the rest is no more than may be kept."""
        while self.size_bytes > self._most and self._kept:
            self._drop(next(iter(self._kept)))

    def forget(self, days: Collection[dt.date] | None = None) -> None:
        """Drop the blocks that hold one of some trade dates; default all."""
        for key in [
            key for key in self._kept if days is None or any(key[2].first <= day <= key[2].last for day in days)
        ]:
            self._drop(key)

    def _drop(self, key: Key) -> None:
        gone = self._kept.pop(key, None)
        if gone is not None:
            self.size_bytes -= gone.size_bytes


def joined(stamps: list[Instants]) -> Instants:
    """Put the stamps of consecutive slices together."""
    return stamps[0] if len(stamps) == 1 else np.concatenate([np.empty(0, np.int64), *stamps])
