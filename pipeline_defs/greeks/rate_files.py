"""A CSV of one's own with interest rates or dividend yields: read as text, judged line by line, taken whole or not.

A curve of which some lines were left out is a wrong curve, so one bad line refuses the file.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import SchemaDriftError, SourceError

if TYPE_CHECKING:
    from pathlib import Path

RATE: Final = pl.Decimal(12, 10)
"""A fraction a year; ten decimals are a millionth of a basis point."""

_LINES_SHOWN: Final = 20
_NUMBER: Final = r"^-?0*\.?[0-9]{0,10}0*$|^-?0*\.[0-9]{1,10}0*$"


@dataclass(frozen=True, slots=True)
class RateTable:
    """What one kind of file fills.

    Parameters
    ----------
    name : str
        Table of the warehouse.
    key : tuple of str
        Columns by which a line is unique.
    value : str
        The number it gives.
    required, optional : tuple of str
        Columns of the file.

    """

    name: str
    key: tuple[str, ...]
    value: str
    required: tuple[str, ...]
    optional: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table that a file fills."""
        return (*self.key, self.value, "source")


INTEREST_RATES: Final = RateTable(
    "interest_rates",
    ("currency", "valid_from", "tenor_days"),
    "rate",
    ("currency", "valid_from", "rate", "source"),
    ("tenor_days",),
)
DIVIDEND_YIELDS: Final = RateTable(
    "dividend_yields",
    ("underlying", "valid_from"),
    "dividend_yield",
    ("underlying", "valid_from", "dividend_yield", "source"),
    (),
)


@dataclass(frozen=True, slots=True)
class RateFile:
    """A file that can be taken.

    Parameters
    ----------
    path : Path
        The file.
    table : RateTable
        What it fills.
    rows : polars.DataFrame
        The table's columns, unique by its key.

    """

    path: Path
    table: RateTable
    rows: pl.DataFrame


def read_rates(path: Path) -> RateFile:
    """Read a file of interest rates or of dividend yields; its header says which.

    Parameters
    ----------
    path : Path
        CSV with the columns of `INTEREST_RATES` or of `DIVIDEND_YIELDS`.

    Returns
    -------
    RateFile

    Raises
    ------
    SourceError
        If it cannot be read, has no line, or a line is wrong: each is named with its number and reason.
    SchemaDriftError
        If the header is that of neither.

    """
    text = _read_text(path)
    table = _table_of(path, text.columns)
    if text.is_empty():
        raise SourceError("holds a header and no line", where=str(path), next_step="add the lines")
    if "tenor_days" not in text.columns:
        text = text.with_columns(tenor_days=pl.lit("0"))
    judged = _judge(text.with_columns(pl.col("tenor_days").fill_null("0")), table)
    wrong = judged.filter(pl.col("reason").is_not_null())
    if wrong.height:
        shown = [f"line {line}: {reason}" for line, reason in wrong.select("line", "reason").head(_LINES_SHOWN).rows()]
        more = [f"and {wrong.height - _LINES_SHOWN} more"] if wrong.height > _LINES_SHOWN else []
        raise SourceError(
            "nothing was taken:\n" + "\n".join(shown + more),
            where=str(path),
            next_step="mend these lines and load the file again",
        )
    return RateFile(path, table, judged.select(table.columns).sort(table.key))


def _read_text(path: Path) -> pl.DataFrame:
    try:
        content = path.read_bytes()
        table = pl.read_csv(io.BytesIO(content), infer_schema=False, encoding="utf8-lossy")
        table = table.rename({name: name.strip().lstrip("\ufeff") for name in table.columns})
    except OSError as error:
        raise SourceError(
            f"cannot be read: {error.strerror}", where=str(path), next_step="check the path of the file"
        ) from error
    except pl.exceptions.PolarsError as error:
        raise SourceError(
            f"is not a CSV with a header: {str(error).partition(chr(10))[0]}",
            where=str(path),
            next_step="see the example in docs/greeks.md",
        ) from error
    stripped = table.with_columns(pl.all().str.strip_chars(' "'))
    return stripped.with_columns(pl.when(pl.all() != "").then(pl.all()).name.keep()).with_row_index("line", offset=2)


def _table_of(path: Path, columns: list[str]) -> RateTable:
    found = set(columns) - {"line"}
    for table in (INTEREST_RATES, DIVIDEND_YIELDS):
        if set(table.required) <= found <= {*table.required, *table.optional}:
            return table
    raise SchemaDriftError(
        f"has the columns {', '.join(name for name in columns if name != 'line')}",
        where=str(path),
        next_step=f"write {','.join(INTEREST_RATES.required)}[,tenor_days] for interest rates,"
        f" or {','.join(DIVIDEND_YIELDS.required)} for dividend yields",
    )


def _judge(text: pl.DataFrame, table: RateTable) -> pl.DataFrame:
    """Give each line its values, and the first reason for which it cannot be taken."""
    subject, value = table.key[0], table.value
    read = text.with_columns(
        pl.col("valid_from").str.to_date("%Y-%m-%d", strict=False).alias("day"),
        pl.when(pl.col(value).str.contains(_NUMBER)).then(pl.col(value).cast(RATE, strict=False)).alias("number"),
        pl.when(pl.col("tenor_days").str.contains(r"^[0-9]{1,5}$"))
        .then(pl.col("tenor_days").cast(pl.Int32, strict=False))
        .alias("tenor"),
    )
    known = r"^[A-Z]{3}$" if subject == "currency" else r"^[A-Z0-9][A-Z0-9&-]*$"
    reasons = {
        f"the {subject} is missing or not in capitals": ~pl.col(subject).str.contains(known).fill_null(value=False),
        "valid_from is no date written YYYY-MM-DD": pl.col("day").is_null(),
        f"{value} is no fraction a year between -1 and 1 (6.5 percent is 0.065)": pl.col("number").is_null(),
        "tenor_days is no whole number of days": pl.col("tenor").is_null(),
        "the source is missing": pl.col("source").is_null(),
        "an earlier line has the same " + ", ".join(table.key): ~pl.struct(subject, "day", "tenor").is_first_distinct(),
    }
    return read.select(
        "line",
        subject,
        "source",
        pl.col("day").alias("valid_from"),
        pl.col("number").alias(value),
        pl.col("tenor").alias("tenor_days"),
        reason=pl.coalesce(pl.when(bad).then(pl.lit(reason)) for reason, bad in reasons.items()),
    )
