"""One pass over all bars of a bundle: counts, exact sums, and what is odd about them."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.migration.amounts import KEY, WHEN
from pipeline_defs.migration.continuity import Ends
from pipeline_defs.migration.frames import DAILY_SECONDS, MINUTE_SECONDS

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable
    from decimal import Decimal

    from pipeline_defs.migration.amounts import Bars

type Key = int | str

MAX_COMPARED: Final = 4_000_000
"""Rows of one length of bars up to which duplicates are counted; the import refuses them however many there are."""

_PARTITION: Final = re.compile(r"year=(\d+)/month=(\d+)(?:/day=(\d+))?/")
_BAR_LENGTHS: Final = (14_400, 10_800, 7200, 3600, 1800, 900, 600, 300, 180, 120, MINUTE_SECONDS)


@dataclass(slots=True)
class Totals:
    """Counts and sums of one number or symbol."""

    rows: int
    first: dt.date
    last: dt.date
    sum_close: Decimal
    sum_volume: Decimal

    def add(self, other: Totals) -> None:
        """Take another part in."""
        self.rows += other.rows
        self.first, self.last = min(self.first, other.first), max(self.last, other.last)
        self.sum_close += other.sum_close
        self.sum_volume += other.sum_volume


@dataclass(slots=True)
class Scan:
    """What was seen of the bars of one length.

    Parameters
    ----------
    totals : dict of int or str to Totals
        By number or symbol.
    keys_by_file : dict of str to set
        Numbers or symbols by file.
    rows_by_file : dict of str to int
        Rows by file.
    refused : Counter of str
        Lines that are no bar, by reason.
    first_refused : str
        The first of them: file, line and text.
    ends_by_file : dict of str to dict of int or str to Ends
        First and last bars by file and number.
    rounded : int
        Prices that were rounded.
    misordered : int
        Rows whose low, open, close and high are not in order.
    misplaced : Counter of str
        Rows by file that are of another month or day than their folder says.
    dates : set of datetime.date
        Days that have a bar; of stamps, days in UTC.

    """

    totals: dict[Key, Totals] = field(default_factory=dict)
    keys_by_file: dict[str, set[Key]] = field(default_factory=dict)
    rows_by_file: dict[str, int] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    first_refused: str = ""
    ends_by_file: dict[str, dict[Key, Ends]] = field(default_factory=dict)
    rounded: int = 0
    misordered: int = 0
    misplaced: Counter[str] = field(default_factory=Counter)
    dates: set[dt.date] = field(default_factory=set)
    _seen: list[pl.DataFrame] = field(default_factory=list)
    _seen_rows: int = 0
    _anchor: int | None = None
    _step: int = 0

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(self.rows_by_file.values())

    def add(self, path: str, parts: Iterable[Bars]) -> None:
        """Look at the bars of a file."""
        keys = self.keys_by_file.setdefault(path, set())
        self.rows_by_file.setdefault(path, 0)
        for part in parts:
            self.rounded += part.rounded
            if part.refused.height:
                line, _, text = part.refused.row(0)
                self.first_refused = self.first_refused or f"{path}:{line}: {text}"
                self.refused.update(part.refused["reason"].to_list())
            if part.rows.height:
                self.rows_by_file[path] += part.rows.height
                keys |= self._sum(part.rows, self.ends_by_file.setdefault(path, {}))
                self._look(path, part.rows)

    def bar_seconds(self, stated: set[int]) -> int:
        """Tell the length of bars that are not daily.

        Parameters
        ----------
        stated : set of int
            Lengths that the bundle's own database claims.

        Returns
        -------
        int
            A stated length that divides all distances between stamps, or else the longest usual one that does; a minute
            where there is one stamp only.

        """
        shorter = sorted(seconds for seconds in stated if seconds < DAILY_SECONDS)
        fitting = [seconds for seconds in (*shorter, *_BAR_LENGTHS) if self._step % seconds == 0]
        return fitting[0] if fitting and (shorter or 0 < self._step < DAILY_SECONDS) else MINUTE_SECONDS

    def duplicates(self) -> int | None:
        """Count rows beyond the first for a number and time; None when there were too many rows to compare."""
        if self._seen_rows > MAX_COMPARED:
            return None
        return sum(frame.height for frame in self._seen) - pl.concat(self._seen).n_unique() if self._seen else 0

    def _sum(self, rows: pl.DataFrame, ends: dict[Key, Ends]) -> set[Key]:
        found = rows.group_by(KEY).agg(
            pl.len(),
            pl.col(WHEN).min().alias("first"),
            pl.col(WHEN).max().alias("last"),
            pl.col("close").sum(),
            pl.col("volume").sum(),
            pl.col("close").get(pl.col(WHEN).arg_min()).alias("first_close"),
            pl.col("close").get(pl.col(WHEN).arg_max()).alias("last_close"),
        )
        for key, rows_found, first, last, close, volume, first_close, last_close in found.rows():
            totals = Totals(rows_found, first, last, close, volume)
            here = Ends(first, first_close, last, last_close)
            if key in ends:
                ends[key].add(here)
            else:
                ends[key] = here
            if key in self.totals:
                self.totals[key].add(totals)
            else:
                self.totals[key] = totals
        return set(found[KEY])

    def _look(self, path: str, rows: pl.DataFrame) -> None:
        low, high = pl.col("low"), pl.col("high")
        disordered = (high < low) | ~pl.col("open").is_between(low, high) | ~pl.col("close").is_between(low, high)
        self.misordered += rows.select(disordered.sum()).item()
        partition = _PARTITION.search(path)
        if partition is not None:
            named = dict(zip(("year", "month", "day"), map(int, filter(None, partition.groups())), strict=False))
            when = {"year": pl.col(WHEN).dt.year(), "month": pl.col(WHEN).dt.month(), "day": pl.col(WHEN).dt.day()}
            wrong = pl.any_horizontal(when[name] != number for name, number in named.items())
            self.misplaced[path] += rows.select(wrong.sum()).item()
        if isinstance(rows.schema[WHEN], pl.Datetime):
            self._measure(rows[WHEN])
        self.dates.update(rows[WHEN].dt.date().unique().to_list())
        self._seen_rows += rows.height
        if self._seen_rows <= MAX_COMPARED:
            self._seen.append(rows.select(KEY, WHEN))
        else:
            self._seen.clear()

    def _measure(self, stamps: pl.Series) -> None:
        import numpy as np  # noqa: PLC0415 -- only where bars are read

        seconds = stamps.dt.epoch("s").unique().to_numpy()
        if self._anchor is None:
            self._anchor = int(seconds[0])
        self._step = math.gcd(self._step, int(np.gcd.reduce(seconds - self._anchor)))
