"""The prices of a partition as one frame, for checks that compare a row with those around it.

Prices are floats here: they are compared with scales and tolerances, and none of them is stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.quality.day import IN_DAY
from pipeline_defs.schema.columns import TIMESTAMP

if TYPE_CHECKING:
    from pipeline_defs.quality.day import Day

# A tick without volume repeats the last price beside a new quote; of an index, every tick is one.
_SERIES: Final = f"""
SELECT o.instrument_id, o."timestamp", o.bar_seconds, o.sequence, o.open, o.high, o.low, o.close
FROM {{table}} AS o
WHERE {IN_DAY} AND o.open IS NOT NULL AND o.high IS NOT NULL AND o.low IS NOT NULL
    AND (o.bar_seconds > 0 OR o.volume IS NULL OR o.volume > 0
         OR o.instrument_id IN (SELECT instrument_id FROM instruments WHERE kind = 'SPOT'))
"""

SERIES_SCHEMA: Final[dict[str, pl.DataType]] = {
    "instrument_id": pl.Int32(),
    "timestamp": TIMESTAMP,
    "bar_seconds": pl.Int32(),
    "sequence": pl.Int32(),
    "open": pl.Float64(),
    "high": pl.Float64(),
    "low": pl.Float64(),
    "close": pl.Float64(),
}

ORDER: Final = ("bar_seconds", "instrument_id", "timestamp", "sequence")


def read_series(day: Day) -> pl.DataFrame:
    """Read what traded.

    Parameters
    ----------
    day : Day
        The partition.

    Returns
    -------
    polars.DataFrame
        `SERIES_SCHEMA` with ``kind``, ``tick_size`` and ``class``, the number of the class in which the instrument's
        moves are measured; in `ORDER`.

    """
    series = day.read(_SERIES, SERIES_SCHEMA)
    # Bars mostly come as they were stored, by time; a stable sort of one number is then a quarter of the work.
    if (series["sequence"] != 0).any() or not series["timestamp"].is_sorted():
        series = series.sort("timestamp", "sequence")
    series = series.sort(pl.col("bar_seconds").cast(pl.Int64) * 2**32 + pl.col("instrument_id"), maintain_order=True)
    return series.join(_classes(day.instruments), on="instrument_id", how="left", maintain_order="left")


def _classes(instruments: pl.DataFrame) -> pl.DataFrame:
    """Give each instrument the number of its class: options by underlying, expiry, side; any other one its own."""
    own = pl.when(pl.col("kind") != "OPT").then("instrument_id")
    return instruments.select(
        "instrument_id",
        "kind",
        "tick_size",
        pl.struct("underlying", "expiry", "option_type", own).rank("dense").cast(pl.Int32).alias("class"),
    )


def within_series(name: str, step: int) -> pl.Expr:
    """Give the value of a column so many rows before (or after, when negative); null beyond the instrument's own.

    The frame must be in `ORDER`.
    """
    same = (pl.col("instrument_id").shift(step) == pl.col("instrument_id")) & (
        pl.col("bar_seconds").shift(step) == pl.col("bar_seconds")
    )
    return pl.when(same).then(pl.col(name).shift(step))
