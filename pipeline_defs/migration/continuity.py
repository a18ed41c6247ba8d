"""Whether a number goes on as the same symbol from one file to the next, as far as prices can tell.

rustybt may take the symbols of a CSV file without a list of them in whatever order they come out of a hash table: two
ingestions of the same symbols may number them differently. A price that leaps at the seam of two files to where another
number left off shows it.
"""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from pipeline_defs.migration.numbering import Problem
from pipeline_defs.migration.reasons import SIDS_DOUBTFUL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline_defs.migration.scanning import Key

LEAP: Final = Decimal("1.5")
"""Ratio of two prices in a row from which on they may be those of two symbols."""

NEAR: Final = Decimal("1.1")
"""Ratio up to which they may be those of one."""

MAX_GAP: Final = dt.timedelta(days=10)
"""Longer between two files, prices may have moved by anything."""


@dataclass(slots=True)
class Ends:
    """First and last bar of a number in one file."""

    first: dt.date
    first_close: Decimal
    last: dt.date
    last_close: Decimal

    def add(self, other: Ends) -> None:
        """Take another part of the file in."""
        if other.first < self.first:
            self.first, self.first_close = other.first, other.first_close
        if other.last >= self.last:
            self.last, self.last_close = other.last, other.last_close


def find_leap(ends_by_file: Mapping[str, Mapping[Key, Ends]]) -> Problem | None:
    """Find a number that seems to be another symbol from some file on.

    Parameters
    ----------
    ends_by_file : mapping of str to mapping of int or str to Ends
        First and last bars by file and number.

    Returns
    -------
    Problem or None
        At the first seam where a number's price leaps by `LEAP` or more, and lies within `NEAR` of where another
        number that leaps there as well left off. Files that overlap in time, or lie more than `MAX_GAP` apart, are not
        compared.

    """
    files = sorted(
        ((path, ends) for path, ends in ends_by_file.items() if ends),
        key=lambda pair: min(one.first for one in pair[1].values()),
    )
    for (path_before, before), (path, after) in itertools.pairwise(files):
        leaping = [key for key in before.keys() & after.keys() if _leaps(before[key], after[key])]
        for key in sorted(leaping, key=str):
            other = next((one for one in leaping if one != key and _near(before[one], after[key])), None)
            if other is not None:
                return _problem(key, other, (path_before, before[key]), (path, after[key]))
    return None


def _leaps(before: Ends, after: Ends) -> bool:
    gap = after.first - before.last
    return dt.timedelta() < gap <= MAX_GAP and _ratio(before.last_close, after.first_close) >= LEAP


def _near(before: Ends, after: Ends) -> bool:
    return _ratio(before.last_close, after.first_close) <= NEAR


def _ratio(one: Decimal, other: Decimal) -> Decimal:
    """Give the larger of two prices by the smaller; 1 where one is none, of which nothing can be said."""
    return max(one, other) / min(one, other) if min(one, other) > 0 else Decimal(1)


def _problem(key: Key, other: Key, before: tuple[str, Ends], after: tuple[str, Ends]) -> Problem:
    return Problem(
        SIDS_DOUBTFUL,
        f"number {key} closes at {before[1].last_close.normalize():f} in {before[0]} and goes on at"
        f" {after[1].first_close.normalize():f} in {after[0]}, where number {other} left off: the symbols may have been"
        " ingested in another order",
        "look at both files; if the symbols were always the same in the same order, accept the bundle by name",
    )
