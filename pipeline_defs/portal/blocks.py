"""Bars in memory: a month of one instrument in one piece, sorted, to be sliced by position.

Least recently used pieces go when there are too many bytes of them. Nothing here knows where bars come from.
"""

from __future__ import annotations

import calendar
import datetime as dt
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from pipeline_defs.schema.columns import PRICE, SIZE, TIMESTAMP
from pipeline_defs.schema.tables import DAY

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

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


_STAMP_BITS: Final = 52


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
class Sheet:
    """Bars that were read together: of several instruments, over the same trade dates, each in one piece.

    Parameters
    ----------
    columns : dict of str to polars.Series
        `BLOCK_SCHEMA`, and `price`, which is `close`.
    stamps : numpy.ndarray
        Microseconds since 1970: when each bar was complete.
    keys : numpy.ndarray
        Ascending: number of the instrument in the sheet and stamp in one, so that one search finds the place of many.
    size_bytes : int
        About what it takes.

    """

    columns: dict[str, pl.Series]
    stamps: Instants
    keys: Instants
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Block:
    """Bars of one instrument, of one length, over some trade dates: a piece of a sheet.

    Parameters
    ----------
    sheet : Sheet
        Which.
    number : int
        Of the instrument in it.
    begin, end : int
        Its rows.
    stamps : numpy.ndarray
        Of its rows, ascending.

    """

    sheet: Sheet
    number: int
    begin: int
    end: int
    stamps: Instants

    def __len__(self) -> int:
        """Count the bars."""
        return self.end - self.begin

    def slice(self, name: str, begin: int, end: int) -> pl.Series:
        """Give some consecutive values of a column, by their places in the block."""
        return self.sheet.columns[name].slice(self.begin + begin, end - begin)

    def value(self, name: str, at: int) -> Any:  # noqa: ANN401 -- of the column's type
        """Give one value of a column."""
        return self.sheet.columns[name][self.begin + at]


def cut(bars: pl.DataFrame, count: int) -> list[Block]:
    """Make a sheet, and the blocks that it is made of.

    Parameters
    ----------
    bars : polars.DataFrame
        ``instrument_id``, which numbers the instruments from 0, and `BLOCK_SCHEMA`; sorted by number and time.
    count : int
        How many instruments there are.

    Returns
    -------
    list of Block
        By number.

    """
    whole = bars.rechunk()
    numbers = whole["instrument_id"].cast(pl.Int64).to_numpy()
    columns = {name: whole[name] for name in BLOCK_SCHEMA}
    columns["price"] = columns["close"].alias("price")
    stamps = columns["timestamp"].to_physical().to_numpy()
    sheet = Sheet(columns, stamps, keys_of(numbers, stamps), int(whole.estimated_size() * 1.5) + 1024)
    edges = np.searchsorted(numbers, np.arange(count + 1))
    pieces = enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    return [Block(sheet, number, begin, end, stamps[begin:end]) for number, (begin, end) in pieces]


def keys_of(numbers: Instants, stamps: Instants | int) -> Instants:
    """Put numbers and stamps into keys that sort by both."""
    return (numbers << _STAMP_BITS) + stamps


def together(pieces: list[tuple[Block, int, int]], names: Sequence[str]) -> tuple[Instants, dict[str, pl.Series]]:
    """Put consecutive pieces of blocks, each from one place to before another, into one window."""
    block, begin, end = pieces[0]
    columns = {name: block.slice(name, begin, end) for name in names}
    stamps = block.stamps[begin:end]
    for block, begin, end in pieces[1:]:
        for name, column in columns.items():
            # What is appended to is a slice of our own: the sheet stays as it is.
            column.append(block.slice(name, begin, end))
        stamps = np.concatenate([stamps, block.stamps[begin:end]])
    return stamps, columns


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
        self._kept: dict[Key, Block] = {}
        self._sheets: OrderedDict[int, tuple[Sheet, Span, list[Key]]] = OrderedDict()
        self.size_bytes = 0

    def get(self, key: Key) -> Block | None:
        """Find a block, and count its sheet as used."""
        found = self._kept.get(key)
        if found is not None:
            self._sheets.move_to_end(id(found.sheet))
        return found

    def has(self, key: Key) -> bool:
        """Tell whether a block is there."""
        return key in self._kept

    @property
    def has_room(self) -> bool:
        """Whether more may be read ahead than was asked for."""
        return self.size_bytes < self._most // 2

    def put(self, blocks: dict[Key, Block]) -> None:
        """Keep the blocks of one sheet, all of one span."""
        (_, _, span), first = next(iter(blocks.items()))
        self._sheets[id(first.sheet)] = first.sheet, span, list(blocks)
        self._kept |= blocks
        self.size_bytes += first.sheet.size_bytes

    def shrink(self) -> None:
        """Drop what was used longest ago until the rest is no more than may be kept."""
        while self.size_bytes > self._most and self._sheets:
            self._drop(next(iter(self._sheets)))

    def forget(self, days: Collection[dt.date] | None = None) -> None:
        """Drop what holds one of some trade dates; default all."""
        for number, (_, span, _) in list(self._sheets.items()):
            if days is None or any(span.first <= day <= span.last for day in days):
                self._drop(number)

    def _drop(self, number: int) -> None:
        sheet, _, keys = self._sheets.pop(number)
        self.size_bytes -= sheet.size_bytes
        for key in keys:
            if self._kept[key].sheet is sheet:
                del self._kept[key]
