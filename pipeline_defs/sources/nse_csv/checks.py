"""From rows of text and values to rows that may be stored and rows refused, each for its first reason.

What a check means is written where its columns are known (`normalize`, `bhavcopy`); here is what all
share: the price checks, the order of reasons, and the text of a refused line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.schema.batches import REJECT_SCHEMA
from pipeline_defs.sources.nse_csv.layouts import BEYOND
from pipeline_defs.sources.nse_csv.reasons import (
    HIGH_BELOW_LOW,
    NON_POSITIVE_PRICE,
    PRICE_OUTSIDE_RANGE,
    REASONS,
    cut_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PLACED_REJECT_SCHEMA: Final[dict[str, pl.DataType]] = REJECT_SCHEMA | {"table": pl.String()}
"""Rejects with the table of their contract; null when the contract is not known."""


def range_checks() -> dict[str, pl.Expr]:
    """Check high, low, open and close against each other; nulls pass.

    Returns
    -------
    dict of str to polars.Expr
        Reason to expression over price columns, true where the row is refused.

    """
    low, high = pl.col("low"), pl.col("high")
    outside = [(pl.col(name) < low) | (pl.col(name) > high) for name in ("open", "close")]
    return {HIGH_BELOW_LOW: high < low, PRICE_OUTSIDE_RANGE: pl.any_horizontal(outside)}


def positive_check(columns: Iterable[str]) -> dict[str, pl.Expr]:
    """Check that prices are above zero; nulls pass.

    Parameters
    ----------
    columns : iterable of str
        Prices.

    """
    return {NON_POSITIVE_PRICE: pl.any_horizontal(pl.col(name) <= 0 for name in columns)}


def refused(flags: Iterable[pl.DataFrame | pl.Series]) -> pl.DataFrame:
    """Find the rows to refuse, and the first reason of each.

    Parameters
    ----------
    flags : iterable of polars.DataFrame or polars.Series
        Boolean columns named after reasons, row by row beside each other; null is false.

    Returns
    -------
    polars.DataFrame
        ``row`` (position) and ``reason``, ascending.

    """
    frames = [flag.to_frame() if isinstance(flag, pl.Series) else flag for flag in flags]
    table = pl.concat(frames, how="horizontal")
    bad = table.select(pl.any_horizontal(pl.all().fill_null(value=False))).to_series().arg_true()
    names = [reason for reason in REASONS if reason in table.columns]
    first = pl.coalesce([pl.when(pl.col(name)).then(pl.lit(name)) for name in names])
    return table[bad].select(row=bad, reason=first)


def line_texts(frame: pl.DataFrame, columns: Iterable[str]) -> pl.DataFrame:
    """Add the line as it stood in the file.

    Parameters
    ----------
    frame : polars.DataFrame
        Fields as text.
    columns : iterable of str
        The layout's columns; what a comma at the end of the header left follows them.

    Returns
    -------
    polars.DataFrame
        With ``text``, cut.

    """
    beyond = [name for name in frame.columns if name.startswith(BEYOND)]
    return cut_text(frame.with_columns(text=pl.concat_str([*columns, *beyond], separator=",", ignore_nulls=True)))


def without(frame: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
    """Leave out rows by position.

    Parameters
    ----------
    frame : polars.DataFrame
        Any frame.
    rows : polars.Series
        Positions, ascending.

    """
    if rows.is_empty():
        return frame
    keep = pl.Series("keep", [True]).new_from_index(0, frame.height).scatter(rows, values=False)
    return frame.filter(keep)


def select_flags(frame: pl.DataFrame, checks: Mapping[str, pl.Expr]) -> pl.DataFrame:
    """Evaluate checks.

    Parameters
    ----------
    frame : polars.DataFrame
        Rows.
    checks : mapping of str to polars.Expr
        Reason to expression, true where the row is refused.

    """
    return frame.select(expression.alias(reason) for reason, expression in checks.items())
