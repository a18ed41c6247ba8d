"""zipline's csvdir folders: ``daily/AAPL.csv`` and ``minute/AAPL.csv``, one file per symbol.

The first column is the date, the others are found by their names: open, high, low, close, volume, and, if there are
any, dividend (currency a share, 0 for none) and split (new shares for an old one, 1 for none).
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import SchemaDriftError, SourceError
from pipeline_defs.migration.adjustments import DIVIDEND, SPLIT
from pipeline_defs.migration.amounts import KEY, LINE, LINE_SCHEMA, PRICES, WHEN, Bars, exact_bars
from pipeline_defs.migration.frames import AMOUNT
from pipeline_defs.migration.reasons import BAD_ACTION
from pipeline_defs.migration.walking import entries_of, is_file
from pipeline_defs.schema.columns import TIMESTAMP
from pipeline_defs.sources.manual_csv.fields import decimals
from pipeline_defs.sources.manual_csv.lines import LINE as FILE_LINE
from pipeline_defs.sources.manual_csv.lines import read_header, read_lines

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline_defs.migration.adjustments import Action

DAILY: Final = "daily"
MINUTE: Final = "minute"
ENDING: Final = ".csv"

_SEPARATOR: Final = ","
_NO_ACTION: Final = {DIVIDEND: Decimal(0), SPLIT: Decimal(1)}
_WIDE: Final = pl.Decimal(38, 20)
_LONG: Final = r"^\s*-?[0-9]{1,12}\.[0-9]{9,20}\s*$"
_DATE: Final = r"^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]00:00(?::00(?:\.0+)?)?(?:Z|[+-]00:?00)?)?$"
_STAMP: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?$"
)
_FORMATS: Final = ("%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%dT%H:%M%z")


def files_of(folder: Path) -> Iterator[tuple[str, str, bool]]:
    """List the files of a csvdir folder.

    Parameters
    ----------
    folder : Path
        With ``daily`` or ``minute`` in it.

    Yields
    ------
    tuple of str, str and bool
        Path below the folder, symbol, and whether its bars are daily; by length, then symbol.

    """
    for length in (DAILY, MINUTE):
        for path in entries_of(folder / length):
            if path.name.endswith(ENDING) and is_file(path):
                yield f"{length}/{path.name}", path.name.removesuffix(ENDING), length == DAILY


def read_bars(path: Path, symbol: str, *, daily: bool, decimals: int | None = None) -> Iterator[Bars]:
    """Read the bars of a file.

    Parameters
    ----------
    path : Path
        CSV file.
    symbol : str
        Whose.
    daily : bool
        Whether its bars are daily: then dates without a time of day are read; otherwise stamps, UTC where they have no
        offset.
    decimals : int, optional
        What prices with more than eight decimals are rounded to, half to even; default they are refused. Such prices
        are floats that were written to the last digit, 130.27999877929688 for 130.28.

    Yields
    ------
    Bars
        In file order; `LINE` is the line of the file. Lines of the wrong shape are refused.

    Raises
    ------
    SourceError
        If the file cannot be read, or is no text.
    SchemaDriftError
        If a column is missing.

    """
    for frame, unfit in _parts(path):
        shaped = frame.select(
            pl.lit(symbol).alias(KEY),
            (_days() if daily else _instants()).alias(WHEN),
            *(_price(name, decimals) for name in PRICES),
            pl.col("volume").str.strip_chars(),
            pl.col(FILE_LINE).alias(LINE),
        )
        bars = exact_bars(shaped, told=frame.drop(FILE_LINE))
        rounded = 0 if decimals is None else sum(int(frame[name].str.contains(_LONG).sum()) for name in PRICES)
        yield Bars(bars.rows, pl.concat([unfit, bars.refused]).sort(LINE), rounded)


def read_actions(path: Path, symbol: str) -> tuple[list[Action], pl.DataFrame]:
    """Read dividends and splits of a file of daily bars.

    Parameters
    ----------
    path : Path
        CSV file.
    symbol : str
        Whose.

    Returns
    -------
    tuple of list and polars.DataFrame
        Actions; and `LINE_SCHEMA`: values that cannot be read, or that no action has.

    Raises
    ------
    SourceError, SchemaDriftError
        As of `read_bars`.

    """
    found: list[Action] = []
    refused = [pl.DataFrame(schema=LINE_SCHEMA)]
    for frame, _ in _parts(path):
        when = frame.select(_days()).to_series()
        for kind, none in _NO_ACTION.items():
            if kind not in frame.columns:
                continue
            text = frame[kind].str.strip_chars().replace("", f"{none}")
            values, good = decimals(text)
            good &= (values > 0) if kind == SPLIT else (values >= 0)
            told = pl.DataFrame({"when": when, "value": values, "line": frame[FILE_LINE], "text": text, "good": good})
            bad = told.filter(~(pl.col("good") & pl.col("when").is_not_null()) & (pl.col("text") != f"{none}"))
            refused.append(
                bad.select(
                    pl.col("line").cast(pl.UInt32),
                    pl.lit(BAD_ACTION).alias("reason"),
                    pl.format(f"{kind} {{}}", pl.col("text").str.head(100)).alias("text"),
                )
            )
            taken: list[tuple[dt.date, Decimal]] = (
                told.filter(pl.col("good") & pl.col("when").is_not_null() & (pl.col("value") != none))
                .select("when", "value")
                .rows()
            )
            found += [(symbol, day, kind, value) for day, value in taken]
    return found, pl.concat(refused)


def _parts(path: Path) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Read a file as text: columns by their lower-case names, the first one as ``when``; and lines of no such shape."""
    try:
        header = read_header(path, _SEPARATOR)
        names = [name.strip().lower() for name in header]
        if not header:
            return
        missing = [name for name in (*PRICES, "volume") if name not in names[1:]]
        if missing or len(set(names)) < len(names):
            raise SchemaDriftError(
                f"the columns are {', '.join(header)}, expected a date and open, high, low, close, volume, each once",
                where=str(path),
                next_step="name the columns in the first line",
            )
        for chunk in read_lines(path, header, _SEPARATOR):
            fields = chunk.fields.select(FILE_LINE, *header).rename(dict(zip(header, [WHEN, *names[1:]], strict=True)))
            unfit = chunk.unfit.select(pl.col(FILE_LINE).alias(LINE), "reason", "text")
            yield fields, unfit
    except OSError as error:
        raise SourceError(f"the file cannot be read: {error.strerror}", where=str(path)) from error


def _price(name: str, decimals: int | None) -> pl.Expr:
    # Blanks around are not part of a number.
    text = pl.col(name).str.strip_chars()
    if decimals is None:
        return text
    rounded = text.cast(_WIDE, strict=False).round(decimals, mode="half_to_even").cast(AMOUNT, strict=False)
    return pl.when(text.str.contains(_LONG)).then(rounded.cast(pl.String)).otherwise(text).alias(name)


def _days() -> pl.Expr:
    return pl.col(WHEN).str.strip_chars().str.extract(_DATE).str.to_date("%Y-%m-%d", strict=False)


def _instants() -> pl.Expr:
    text = pl.col(WHEN).str.strip_chars()
    plain = pl.when(text.str.contains(_STAMP)).then(text).str.replace(" ", "T").str.replace("Z$", "+0000")
    zoned = pl.when(plain.str.contains(r"[+-][0-9]{2}:?[0-9]{2}$")).then(plain).otherwise(plain + "+0000")
    tries = [zoned.str.to_datetime(form, time_unit="us", strict=False) for form in _FORMATS]
    return pl.coalesce(tries).cast(TIMESTAMP)
