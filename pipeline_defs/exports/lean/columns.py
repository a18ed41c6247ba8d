"""Whole columns to the bytes of the entries: every line of a frame is formatted at once, then cut.

What a line looks like is said by `lines`, whose text this module's is, byte for byte. Numbers go through Polars' own
CSV writer, the fastest there is; cutting is a look at where the lines end.
"""

from __future__ import annotations

import io
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from pipeline_defs.exports.lean.checks import MINOR_UNITS, PRICES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.exports.lean.kinds import Resolution

QUOTE_PRICES: Final = (
    "bid_open",
    "bid_high",
    "bid_low",
    "bid_close",
    "ask_open",
    "ask_high",
    "ask_low",
    "ask_close",
)

_NEW_LINE: Final = ord("\n")


def trade_lines(bars: pl.DataFrame, resolution: Resolution, timezone: str, *, is_scaled: bool) -> pl.DataFrame:
    """Give the fields of trade bars.

    Parameters
    ----------
    bars : polars.DataFrame
        Bars with `session_date` and `start`.
    resolution : Resolution
        Decides on the form of the time.
    timezone : str
        Zone of the data in LEAN.
    is_scaled : bool
        Whether prices are whole numbers of 1 / 10,000.

    Returns
    -------
    polars.DataFrame
        One column a field, in order.

    """
    return bars.select(
        time_field("start", resolution, timezone),
        *(price_field(name, is_scaled=is_scaled) for name in PRICES),
        number_field("volume", bars.schema["volume"]),
    )


def quote_lines(bars: pl.DataFrame, resolution: Resolution, timezone: str, *, is_scaled: bool) -> pl.DataFrame:
    """Give the fields of quote bars; a side without prices is empty, with size 0.

    Parameters
    ----------
    bars : polars.DataFrame
        With `session_date`, `start`, `QUOTE_PRICES`, `bid_size` and `ask_size`.
    resolution, timezone, is_scaled
        See `trade_lines`.

    Returns
    -------
    polars.DataFrame
        One column a field, in order.

    """
    fields = {name: price_field(name, is_scaled=is_scaled) for name in QUOTE_PRICES}
    return bars.select(
        time_field("start", resolution, timezone),
        *(fields[name] for name in QUOTE_PRICES[:4]),
        number_field("bid_size", bars.schema["bid_size"]),
        *(fields[name] for name in QUOTE_PRICES[4:]),
        number_field("ask_size", bars.schema["ask_size"]),
    )


def interest_lines(bars: pl.DataFrame, resolution: Resolution, timezone: str) -> pl.DataFrame:
    """Give the fields of open interest.

    Parameters
    ----------
    bars : polars.DataFrame
        With `session_date`, `known` (when it is known, UTC) and `open_interest`.
    resolution, timezone
        See `trade_lines`.

    Returns
    -------
    polars.DataFrame
        One column a field, in order.

    """
    return bars.select(time_field("known", resolution, timezone), number_field("open_interest", pl.Int64()))


def cut(fields: pl.DataFrame, keys: pl.DataFrame) -> Iterator[tuple[int, memoryview]]:
    """Write the lines and give those of each run of equal keys.

    Parameters
    ----------
    fields : polars.DataFrame
        One column a field.
    keys : polars.DataFrame
        As many rows; rows of one key follow one another.

    Yields
    ------
    tuple of int and memoryview
        Index of the first row of a run, and its lines, each with its end.

    """
    if fields.is_empty():
        return
    buffer = io.BytesIO()
    fields.write_csv(buffer, include_header=False, quote_style="never")
    text = buffer.getbuffer()
    ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == _NEW_LINE) + 1
    changes = keys.select(pl.any_horizontal(pl.all().ne_missing(pl.all().shift())).alias("starts"))["starts"]
    starts = np.flatnonzero(changes.to_numpy())
    if starts.size == 0 or starts[0] != 0:
        starts = np.concatenate(([0], starts))
    bounds = np.append(starts, len(ends))
    for first, after in pairwise(bounds.tolist()):
        yield first, text[(ends[first - 1] if first > 0 else 0) : ends[after - 1]]


def time_field(column: str, resolution: Resolution, timezone: str) -> pl.Expr:
    """Write a time: milliseconds since the day's midnight, or date and time for hour and daily data."""
    local = pl.col(column).dt.convert_time_zone(timezone).dt.replace_time_zone(None)
    if resolution.is_coarse:
        return local.dt.to_string("%Y%m%d %H:%M").alias("time")
    midnight = pl.col("session_date").cast(pl.Datetime("us"))
    return (local - midnight).dt.total_milliseconds().alias("time")


def price_field(column: str, *, is_scaled: bool) -> pl.Expr:
    """Write a price: a whole number of 1 / 10,000, or the shortest exact decimal."""
    if is_scaled:
        scaled: pl.Expr = (pl.col(column).to_physical() // MINOR_UNITS).cast(pl.Int64)
        return scaled
    return plain_decimal(column)


def number_field(column: str, dtype: pl.DataType) -> pl.Expr:
    """Write a volume or size; null is 0."""
    if isinstance(dtype, pl.Decimal):
        return plain_decimal(column).fill_null("0").alias(column)
    return pl.col(column).fill_null(0)


def plain_decimal(column: str) -> pl.Expr:
    """Write a decimal column as its shortest exact text."""
    return pl.col(column).cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
