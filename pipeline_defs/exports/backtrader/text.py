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

if TYPE_CHECKING:
    from collections.abc import Iterator

COLUMNS: Final = ("datetime", "open", "high", "low", "close", "volume", "openinterest")
HEADER: Final = ",".join(COLUMNS)
STAMP_FORMAT: Final = "%Y-%m-%d %H:%M:%S"


def csv_files(bars: pl.DataFrame, zone: str) -> Iterator[tuple[int, bytes]]:
    """Give the whole text of each instrument's file.

    Parameters
    ----------
    bars : polars.DataFrame
        `MarketSlice.bar_schema`, checked. A null volume or open interest is written as 0.
    zone : str
        Zone of exchange time.

    Yields
    ------
    tuple of int and bytes
        `instrument_id`, and the file: header, one line per bar, exactly one newline at the end (with a
        blank line Backtrader does not load the file).

    """
    lines = bars.select(
        "instrument_id",
        line=pl.concat_str(
            exchange_time("timestamp", zone).dt.to_string(STAMP_FORMAT),
            *(plain_decimal(price) for price in PRICES),
            number("volume", bars.schema["volume"]),
            number("open_interest", bars.schema["open_interest"]),
            separator=",",
        ),
    )
    texts = lines.group_by("instrument_id", maintain_order=True).agg(pl.col("line").str.join("\n"))
    for instrument_id, text in texts.iter_rows():
        yield instrument_id, f"{HEADER}\n{text}\n".encode("ascii")


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
