"""Columns to exact values, or not at all: decimals, whole numbers, text.

A column of text is read in its plain form only; a column of a type that holds exact values keeps them; a float stands
for the shortest decimal that it is the nearest float to, which is then read like text. Nothing is ever rounded.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from pipeline_defs.errors import SourceError
from pipeline_defs.schema.columns import PRICE, PRICE_SCALE, SIZE

_DECIMAL_FORM: Final = r"^-?[0-9]{1,12}(\.[0-9]{1,8})?$"
_COUNT_FORM: Final = r"^[0-9]{1,20}(\.[0-9]{1,8})?$"
_WHOLE_FORM: Final = r"^[0-9]{1,18}(\.0+)?$"


def as_text(column: pl.Series) -> pl.Series:
    """Give a column as text; null is the empty text.

    Parameters
    ----------
    column : polars.Series
        Text, number, date, or categories of text.

    Returns
    -------
    polars.Series

    Raises
    ------
    SourceError
        If the column is of a type that no field has.

    """
    dtype = column.dtype
    if dtype == pl.String:
        return column.fill_null("") if column.null_count() else column
    if isinstance(dtype, pl.Decimal) and dtype.scale:
        column = column.cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
    elif not (dtype.is_numeric() or dtype in {pl.Date, pl.Null} or isinstance(dtype, pl.Categorical | pl.Enum)):
        raise SourceError(f"column {column.name} is of type {dtype}, expected text, numbers or dates")
    return column.cast(pl.String).fill_null("")


def decimals(column: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Read prices.

    Parameters
    ----------
    column : polars.Series
        As in `as_text`.

    Returns
    -------
    tuple of polars.Series
        Values, and whether each is one: a plain decimal of at most 12 digits before and 8 after the point, with or
        without minus. A blank is none.

    """
    if _is_exact(column.dtype):
        values = column.cast(PRICE, strict=False)
        return values, values.is_not_null()
    text = as_text(column)
    values = text.cast(PRICE, strict=False)
    return values, text.str.contains(_DECIMAL_FORM) & values.is_not_null()


def quantities(column: pl.Series, *, fractional: bool) -> tuple[pl.Series, pl.Series]:
    """Read volumes and sizes.

    Parameters
    ----------
    column : polars.Series
        As in `as_text`.
    fractional : bool
        Whether parts of a unit are traded.

    Returns
    -------
    tuple of polars.Series
        Values (`SIZE` if fractional, else Int64; null for a blank), and whether each is a number of zero or more, or
        a blank.

    """
    if fractional and _is_exact(column.dtype):
        values = column.cast(SIZE, strict=False)
        return values, column.is_null() | (values >= 0).fill_null(value=False)
    text = as_text(column)
    is_blank = text == ""
    if fractional:
        values, form = text.cast(SIZE, strict=False), _COUNT_FORM
    else:
        values, form = text.str.replace(r"\.0+$", "").cast(pl.Int64(), strict=False), _WHOLE_FORM
    return values, is_blank | (text.str.contains(form) & values.is_not_null())


def small_whole(column: pl.Series, most: int) -> pl.Series:
    """Read counts such as seconds or positions.

    Parameters
    ----------
    column : polars.Series
        As in `as_text`.
    most : int
        Largest number that is one.

    Returns
    -------
    polars.Series
        Int32; null where the text is no whole number from 0 to `most`.

    """
    text = as_text(column)
    number = text.set(~text.str.contains(r"^[0-9]{1,10}$"), None).cast(pl.Int64(), strict=False)
    return number.set(number > most, None).cast(pl.Int32())


def _is_exact(dtype: pl.DataType) -> bool:
    return dtype.is_integer() or (isinstance(dtype, pl.Decimal) and (dtype.scale or 0) <= PRICE_SCALE)
