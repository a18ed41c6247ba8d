"""``adjustments.sqlite`` of an ingestion: its splits and dividends become the corporate actions of the warehouse."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.migration.frames import ACTION_SCHEMA
from pipeline_defs.migration.plan import Note
from pipeline_defs.migration.read_only import day, tables_of, whole
from pipeline_defs.migration.walking import is_file

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pipeline_defs.migration.read_only import Row

type Action = tuple[str, dt.date, str, Decimal]
"""Symbol, ex-date, kind and value."""

SPLIT: Final = "split"
DIVIDEND: Final = "dividend"
NAME: Final = "adjustments.sqlite"

_LARGEST_TERM: Final = 10_000
_SMALLEST_RATIO: Final = 1e-7
_NEAR: Final = Fraction(1, 10**9)
_LARGEST_AMOUNT: Final = 1e12
_EXACT: Final = Decimal("0.00000001")


def read_adjustments(folder: Path, symbols: Mapping[int, str]) -> tuple[pl.DataFrame, tuple[Note, ...]]:
    """Read splits and dividends of an ingestion.

    Parameters
    ----------
    folder : Path
        Of the ingestion.
    symbols : mapping of int to str
        Whose a number is.

    Returns
    -------
    tuple of polars.DataFrame and tuple of Note
        `ACTION_SCHEMA`; and what cannot be taken: mergers, dividends in shares, entries that cannot be read. The table
        ``dividends`` is left: the old system computed it from the payouts and the prices.

        A split is stored as what it multiplies prices by, in floating point. It becomes the ratio of two whole numbers
        up to 10,000 that it is next to, turned over: 0.3333333333333333 is three new shares for one.

    Raises
    ------
    SourceError
        If the database cannot be read.

    """
    path = folder / NAME
    if not is_file(path):
        return pl.DataFrame(schema=ACTION_SCHEMA), ()
    with tables_of(path) as tables:
        read = [(row, SPLIT, _shares(row), day(row.get("effective_date"))) for row in tables.rows("splits")]
        read += [(row, DIVIDEND, _amount(row), day(row.get("ex_date"))) for row in tables.rows("dividend_payouts")]
        left = {name: len(tables.rows(name)) for name in ("mergers", "stock_dividend_payouts")}
    taken = []
    unread = 0
    for row, kind, value, when in read:
        symbol = symbols.get(_sid(row))
        if symbol is None or value is None or when is None:
            unread += 1
        else:
            taken.append((symbol, when, kind, value))
    left["entries that cannot be read"] = unread
    notes = tuple(
        Note("actions", passed=False, stated=f"{count} {name}", found="not taken", detail=NAME)
        for name, count in left.items()
        if count
    )
    return joined(taken), notes


def joined(actions: Iterable[Action]) -> pl.DataFrame:
    """Make one action of those of one kind, symbol and day.

    Parameters
    ----------
    actions : iterable of tuple
        Symbol, ex-date, kind and value.

    Returns
    -------
    polars.DataFrame
        `ACTION_SCHEMA`. The same action several times is one: the old system wrote all of them again with each length
        of bars. Different dividends of one day are added, splits multiplied.

    """
    found: dict[tuple[str, dt.date, str], Decimal] = {}
    for symbol, when, kind, value in dict.fromkeys(actions):
        before = found.get((symbol, when, kind))
        together = value if before is None else before * value if kind == SPLIT else before + value
        found[symbol, when, kind] = together.quantize(_EXACT, ROUND_HALF_EVEN)
    rows = [(*key, f"{value:f}") for key, value in sorted(found.items())]
    frame = pl.DataFrame(rows, schema={**ACTION_SCHEMA, "value": pl.String()}, orient="row")
    return frame.with_columns(pl.col("value").cast(ACTION_SCHEMA["value"]))


def _sid(row: Row) -> int:
    sid = whole(row, "sid")
    return -1 if sid is None else sid


def _amount(row: Row) -> Decimal | None:
    """Give a dividend as the shortest decimal that its float is nearest to."""
    value = _number(row.get("amount"))
    return None if value is None or value <= 0 else Decimal(repr(value)).quantize(_EXACT, ROUND_HALF_EVEN)


def _shares(row: Row) -> Decimal | None:
    """Give new shares for an old one."""
    value = _number(row.get("ratio"))
    if value is None or not _SMALLEST_RATIO < value < 1 / _SMALLEST_RATIO:
        return None
    stored = Fraction(value)
    near = stored.limit_denominator(_LARGEST_TERM)
    if near == 0 or abs(near - stored) > _NEAR * stored:
        near = stored
    return (Decimal(near.denominator) / Decimal(near.numerator)).quantize(_EXACT, ROUND_HALF_EVEN)


def _number(value: object) -> float | None:
    """Give a finite number, small enough for the warehouse."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = float(value)
    return number if -_LARGEST_AMOUNT < number < _LARGEST_AMOUNT else None
