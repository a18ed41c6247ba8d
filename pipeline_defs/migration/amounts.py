"""Columns of an old file to exact amounts, and the lines that hold none.

Every reader ends here: columns of whatever type come in, rows of one shape and refused lines go out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from pipeline_defs.migration.frames import AMOUNT
from pipeline_defs.migration.reasons import BAD_DATE, BAD_PRICE, BAD_VOLUME, NO_SYMBOL, NO_TRADE
from pipeline_defs.sources.manual_csv.fields import as_text, decimals, quantities

PRICES: Final = ("open", "high", "low", "close")
LINE: Final = "line"
KEY: Final = "key"
WHEN: Final = "when"

LINE_SCHEMA: Final[dict[str, pl.DataType]] = {LINE: pl.UInt32(), "reason": pl.String(), "text": pl.String()}
"""Refused lines of one file."""

_MAX_TEXT: Final = 500


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars of one part of one file.

    Parameters
    ----------
    rows : polars.DataFrame
        `KEY` (a number as Int64, or a symbol as text), `WHEN` (Date, or Datetime in UTC), open, high, low, close and
        volume as `AMOUNT`, and `LINE`.
    refused : polars.DataFrame
        `LINE_SCHEMA`.
    rounded : int, default 0
        Prices that were rounded because the user lets them be.

    """

    rows: pl.DataFrame
    refused: pl.DataFrame
    rounded: int = 0


def exact_bars(frame: pl.DataFrame, *, told: pl.DataFrame | None = None, zeros_are_none: bool = False) -> Bars:
    """Make the columns of a frame exact.

    Parameters
    ----------
    frame : polars.DataFrame
        `LINE`, `KEY`, `WHEN`, and the five values in types that hold exact numbers, as floats, or as text. A float
        stands for the shortest decimal that it is the nearest float to.
    told : polars.DataFrame, optional
        The same rows as the file has them, for the text of those that are refused; default `frame`.
    zeros_are_none : bool, default False
        Whether a row of zeros says that nothing traded.

    Returns
    -------
    Bars

    """
    columns: dict[str, pl.Series] = {}
    fits = pl.Series([True]).new_from_index(0, frame.height)
    faults = [(NO_SYMBOL, frame[KEY].is_not_null()), (BAD_DATE, frame[WHEN].is_not_null())]
    for name in PRICES:
        values, good = decimals(_without_nan(frame[name]))
        columns[name] = values.cast(AMOUNT)
        faults.append((BAD_PRICE, good))
    volumes, good = quantities(_without_nan(frame["volume"]), fractional=True)
    columns["volume"] = volumes.cast(AMOUNT)
    faults.append((BAD_VOLUME, good))
    if zeros_are_none:
        exact = pl.DataFrame(columns)
        faults.append((NO_TRADE, exact.select(pl.any_horizontal(pl.all() != 0).fill_null(value=True)).to_series()))
    reason = pl.Series("reason", [None], pl.String).new_from_index(0, frame.height)
    for name, good in reversed(faults):
        reason = reason.set(~good, name)
        fits &= good
    rows = frame.select(KEY, WHEN).with_columns(**columns).with_columns(frame[LINE].cast(pl.UInt32()))
    if fits.all():
        return Bars(rows, pl.DataFrame(schema=LINE_SCHEMA))
    refused = pl.DataFrame({LINE: rows[LINE], "reason": reason}).filter(~fits)
    texts = _lines((frame.drop(LINE) if told is None else told).filter(~fits))
    return Bars(rows.filter(fits), refused.with_columns(texts.alias("text")))


def _lines(frame: pl.DataFrame) -> pl.Series:
    texts = [column.cast(pl.String) if column.dtype.is_temporal() else as_text(column) for column in frame]
    joined = pl.DataFrame({str(place): column.fill_null("") for place, column in enumerate(texts)})
    return joined.select(pl.concat_str(pl.all(), separator=",").str.head(_MAX_TEXT)).to_series()


def _without_nan(column: pl.Series) -> pl.Series:
    return column.fill_nan(None) if column.dtype.is_float() else column
