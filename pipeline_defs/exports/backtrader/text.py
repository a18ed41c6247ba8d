"""Frames of bars to the text of the files: one file per instrument, all formatted at once.

The columns, their order and the form of the stamp are those that ``GenericCSVData`` expects by default.
A stamp is the close of its bar in naive exchange time: Backtrader converts offsets to UTC and resamples
bars with a start stamp wrongly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.exports.backtrader.checks import PRICES
from pipeline_defs.exports.backtrader.naming import plain_decimal
from pipeline_defs.exports.joined_greeks import join_greeks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.schema.exports import GreeksReader

COLUMNS: Final = ("datetime", "open", "high", "low", "close", "volume", "openinterest")
HEADER: Final = ",".join(COLUMNS)
GREEKS_COLUMNS: Final = ("implied_volatility", "delta", "gamma", "vega", "theta", "rho")
"""Further columns of an option's file, where Greeks are exported; empty where a bar has none."""
GREEKS_HEADER: Final = ",".join((*COLUMNS, *GREEKS_COLUMNS))
STAMP_FORMAT: Final = "%Y-%m-%d %H:%M:%S"


def csv_files(bars: pl.DataFrame, zone: str) -> Iterator[tuple[int, bytes]]:
    """Give the whole text of each instrument's file.

    Parameters
    ----------
    bars : polars.DataFrame
        `MarketSlice.bar_schema`, checked. A null volume or open interest is written as 0. With `GREEKS_COLUMNS` and
        `is_option`, the files of options have these columns, too.
    zone : str
        Zone of exchange time.

    Yields
    ------
    tuple of int and bytes
        `instrument_id`, and the file: header, one line per bar, exactly one newline at the end (with a
        blank line Backtrader does not load the file).

    """
    # The contracts of a chain share their stamps: each is formatted once, a third of the work.
    stamps = bars.select(pl.col("timestamp").unique()).with_columns(
        text=exchange_time("timestamp", zone).dt.to_string(STAMP_FORMAT)
    )
    line = pl.concat_str(
        pl.col("timestamp").replace_strict(stamps["timestamp"], stamps["text"], return_dtype=pl.String),
        *(plain_decimal(price) for price in PRICES),
        number("volume", bars.schema["volume"]),
        number("open_interest", bars.schema["open_interest"]),
        separator=",",
    )
    has_greeks = pl.lit(value=False)
    if "is_option" in bars.columns:
        has_greeks = pl.col("is_option")
        greeks = (pl.col(name).cast(pl.String).fill_null("") for name in GREEKS_COLUMNS)
        line = pl.when(has_greeks).then(pl.concat_str(line, *greeks, separator=",")).otherwise(line)
    lines = bars.select("instrument_id", has_greeks=has_greeks, line=line)
    texts = lines.group_by("instrument_id", maintain_order=True).agg(
        pl.col("has_greeks").first(), pl.col("line").str.join("\n")
    )
    for instrument_id, with_greeks, text in texts.iter_rows():
        yield instrument_id, f"{GREEKS_HEADER if with_greeks else HEADER}\n{text}\n".encode("ascii")


def with_greeks(bars: pl.DataFrame, read_greeks: GreeksReader | None, options: pl.Series) -> pl.DataFrame:
    """Add the columns that `csv_files` writes into the files of options.

    Parameters
    ----------
    bars : polars.DataFrame
        Of any instruments.
    read_greeks : GreeksReader or None
        Of these bars; None leaves them as they are.
    options : polars.Series
        Ids of the options.

    Returns
    -------
    polars.DataFrame
        With `GREEKS_COLUMNS`, in the units of the warehouse, and `is_option`.

    """
    if read_greeks is None:
        return bars
    joined = join_greeks(bars, read_greeks, {name: pl.col(name) for name in GREEKS_COLUMNS})
    return joined.with_columns(is_option=pl.col("instrument_id").is_in(options.implode()))


def number(column: str, dtype: pl.DataType) -> pl.Expr:
    """Write a volume or an open interest: exact, plain, without zeros at the end of a fraction.

    Parameters
    ----------
    column : str
        Its column.
    dtype : polars.DataType
        Of the column: an integer, or a Decimal where the market trades fractions.

    Returns
    -------
    polars.Expr
        Null as 0.

    """
    text = plain_decimal(column) if dtype.is_decimal() else pl.col(column).cast(pl.String)
    return text.fill_null("0")


def exchange_time(column: str, zone: str) -> pl.Expr:
    """Turn an instant into naive exchange time.

    Parameters
    ----------
    column : str
        Column of UTC instants.
    zone : str
        Zone of exchange time, e.g. `MarketSlice.timezone`.

    Returns
    -------
    polars.Expr
        Datetimes without a zone.

    """
    return pl.col(column).dt.convert_time_zone(zone).dt.replace_time_zone(None)
