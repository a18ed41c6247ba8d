"""Text to values, exactly or not at all: decimals, whole numbers, dates, times of day.

Each reader comes in two parts: an expression for the value, and one that says whether the text had the
exact form. Conversions run on whatever text there is; the form decides whether the row is kept, so a
value that the conversion rounded or guessed is never stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.schema.columns import PRICE

if TYPE_CHECKING:
    from collections.abc import Callable

# Polars takes the digits of every script for \d, and turns only these ten into numbers.
_PRICE_FORM: Final = r"^-?[0-9]{1,12}(\.[0-9]{1,8})?$"
_WHOLE_FORM: Final = r"^[0-9]{1,18}(\.0+)?$"
_TIME_FORM: Final = r"^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"
_DATE_FORMS: Final = {
    "%d/%m/%Y": r"^[0-9]{2}/[0-9]{2}/[0-9]{4}$",
    "%Y-%m-%d": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    "%Y%m%d": r"^[0-9]{8}$",
    "%d-%b-%Y": r"^[0-9]{1,2}-[A-Za-z]{3}-[0-9]{4}$",
    "%d-%b-%y": r"^[0-9]{1,2}-[A-Za-z]{3}-[0-9]{2}$",
}


def price(name: str) -> pl.Expr:
    """Convert a column to the price type.

    Parameters
    ----------
    name : str
        Column of text.

    """
    return pl.col(name).cast(PRICE, strict=False)


def is_price(name: str) -> pl.Expr:
    """Tell whether a column's text is a plain decimal: no exponent, plus, blank, separator or ninth decimal.

    Parameters
    ----------
    name : str
        Column of text. A minus sign is understood, so that a negative price can be named as such.

    """
    return pl.col(name).str.contains(_PRICE_FORM)


def whole(name: str) -> pl.Expr:
    """Convert a column to 64-bit integers; ``450.0`` is 450.

    Parameters
    ----------
    name : str
        Column of text.

    """
    return pl.col(name).str.replace(r"\.0+$", "").cast(pl.Int64(), strict=False)


def is_whole(name: str) -> pl.Expr:
    """Tell whether a column's text is a whole number of zero or more, at most 18 digits.

    Parameters
    ----------
    name : str
        Column of text.

    """
    return pl.col(name).str.contains(_WHOLE_FORM)


def dates(texts: pl.Series, *formats: str) -> pl.Series:
    """Read dates.

    Parameters
    ----------
    texts : polars.Series
        Distinct texts.
    *formats : str
        Forms that are allowed, tried in order.

    Returns
    -------
    polars.Series
        Dates; null where the text has none of the forms or names no day.

    """
    column = pl.col("text")
    attempts = [
        pl.when(column.str.contains(_DATE_FORMS[form])).then(column.str.to_date(form, strict=False)) for form in formats
    ]
    return pl.DataFrame({"text": texts}).select(pl.coalesce(attempts)).to_series()


def seconds_of_day(texts: pl.Series) -> pl.Series:
    """Read times of day.

    Parameters
    ----------
    texts : polars.Series
        Distinct texts.

    Returns
    -------
    polars.Series
        Int32 seconds since midnight; null where the text is not ``HH:MM:SS``.

    """
    column = pl.col("text")
    hours, minutes, seconds = (column.str.slice(start, 2).cast(pl.Int32(), strict=False) for start in (0, 3, 6))
    value = pl.when(column.str.contains(_TIME_FORM)).then(hours * 3600 + minutes * 60 + seconds)
    return pl.DataFrame({"text": texts}).select(value).to_series()


@dataclass(frozen=True, slots=True)
class Distinct:
    """The distinct texts of a column, and which of them each row has.

    Parameters
    ----------
    texts : polars.Series
        In order of first appearance.
    codes : polars.Series or None
        Position in `texts` of each row; None when there is only one.
    height : int
        Number of rows.

    """

    texts: pl.Series
    codes: pl.Series | None
    height: int

    @classmethod
    def of(cls, column: pl.Series) -> Distinct:
        """Find the distinct texts of a column.

        Parameters
        ----------
        column : polars.Series
            Text without nulls.

        """
        if column.is_empty() or bool((column == column[0]).all()):
            return cls(column.head(1), None, len(column))
        texts = column.unique(maintain_order=True)
        return cls(texts, column.cast(pl.Enum(texts)).to_physical(), len(column))

    def spread(self, values: pl.Series) -> pl.Series:
        """Give each row the value of its text.

        Parameters
        ----------
        values : polars.Series
            One value for each of `texts`.

        """
        if self.codes is not None:
            return values.gather(self.codes)
        return values.new_from_index(0, self.height) if self.height else values.clear()

    def map(self, convert: Callable[[pl.Series], pl.Series]) -> pl.Series:
        """Convert the distinct texts and give each row its value.

        Parameters
        ----------
        convert : callable
            From distinct texts to as many values.

        """
        return self.spread(convert(self.texts))
