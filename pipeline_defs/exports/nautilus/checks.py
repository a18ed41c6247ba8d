"""What a frame of bars must be before a byte of it is written.

The engine does not look: it returns unsorted files unsorted, plays bars whose high lies below their
low, and rounds prices finer than the declared precision. So everything is refused here, once, for
whole frames. No encoding here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.schema.columns import PRICE_SCALE
from pipeline_defs.schema.exports import BAR_SCHEMA

if TYPE_CHECKING:
    import datetime as dt

PRICES: Final = ("open", "high", "low", "close")
REQUIRED: Final = ("instrument_id", "timestamp", *PRICES, "volume")

MAX_VOLUME: Final = 34_028_236_692_093
"""Largest quantity of Nautilus' 16-byte fixed point."""

COMMON_DECIMALS: Final = 2
"""Paise: the coarsest precision that is told apart."""


def check_bars(bars: pl.DataFrame, start: dt.datetime, end: dt.datetime) -> None:
    """Refuse a frame that Nautilus would misread.

    Parameters
    ----------
    bars : polars.DataFrame
        `BAR_SCHEMA`.
    start, end : datetime.datetime
        Bounds of the partition: the first open and the last close, UTC.

    Raises
    ------
    ExportError
        If columns or types differ from `BAR_SCHEMA`; a required value is null; rows are not strictly
        ascending by instrument and time; a high or low does not enclose the other prices; a volume
        is negative or too large; or a stamp lies outside the bounds.

    """
    if dict(bars.schema) != BAR_SCHEMA:
        raise ExportError(f"bars came with the columns {dict(bars.schema)}, expected {BAR_SCHEMA}")
    _refuse(bars, "a required value is missing", pl.any_horizontal(pl.col(REQUIRED).is_null()))
    instrument, time = pl.col("instrument_id"), pl.col("timestamp")
    ascends = (instrument > instrument.shift()) | ((instrument == instrument.shift()) & (time > time.shift()))
    encloses = (pl.col("high") >= pl.max_horizontal("open", "low", "close")) & (
        pl.col("low") <= pl.min_horizontal("open", "close")
    )
    rules = {
        "bars are not sorted by instrument and time, or one is there twice": ~ascends,
        "high and low do not enclose the prices": ~encloses,
        f"the volume is not between 0 and {MAX_VOLUME}": ~pl.col("volume").is_between(0, MAX_VOLUME),
        f"the close stamp lies outside the sessions, {start.isoformat()} to {end.isoformat()}": (
            (time <= start) | (time > end)
        ),
    }
    verdicts = bars.select(is_bad.any().alias(what) for what, is_bad in rules.items())
    for what, is_bad in rules.items():
        if verdicts.item(0, what):
            _refuse(bars, what, is_bad)


def decimals_needed(bars: pl.DataFrame) -> pl.DataFrame:
    """Find how many decimals each instrument's prices need.

    Parameters
    ----------
    bars : polars.DataFrame
        `BAR_SCHEMA`, checked.

    Returns
    -------
    polars.DataFrame
        `instrument_id` and `decimals`, from `COMMON_DECIMALS` to `PRICE_SCALE`.

    """
    ids = bars.select(pl.col("instrument_id").unique(maintain_order=True))
    # Most frames hold nothing finer than two decimals; then one pass over the prices is all.
    finer = bars.filter(~_fits(COMMON_DECIMALS))
    needed = finer.group_by("instrument_id").agg(
        decimals=pl.max_horizontal(
            pl.when(~_fits(decimals).all()).then(pl.lit(decimals + 1, pl.UInt8))
            for decimals in range(COMMON_DECIMALS, PRICE_SCALE)
        )
    )
    return ids.join(needed, on="instrument_id", how="left", maintain_order="left").with_columns(
        pl.col("decimals").fill_null(COMMON_DECIMALS)
    )


def check_precision(bars: pl.DataFrame, precisions: pl.DataFrame) -> None:
    """Refuse prices finer than the precision that their instrument declares.

    Parameters
    ----------
    bars : polars.DataFrame
        `BAR_SCHEMA`.
    precisions : polars.DataFrame
        `instrument_id`, `engine_id`, `price_precision` and `decimals` of the frame's instruments.

    Raises
    ------
    ExportError
        If a price has more decimals than its instrument's precision; names the first such bar.

    """
    wrong = precisions.filter(pl.col("decimals") > pl.col("price_precision")).head(1)
    if wrong.height > 0:
        _refuse(
            bars.filter(pl.col("instrument_id") == wrong.item(0, "instrument_id")),
            "a price of {engine_id} has more than the {price_precision} decimals of its tick".format(
                **wrong.row(0, named=True)
            ),
            ~_fits(int(wrong.item(0, "price_precision"))),
        )


def _fits(decimals: int) -> pl.Expr:
    """Tell whether no price of a row has more decimals."""
    unit = 10 ** (PRICE_SCALE - decimals)
    return pl.all_horizontal(pl.col(name).to_physical() % unit == 0 for name in PRICES)


def _refuse(bars: pl.DataFrame, what: str, is_bad: pl.Expr) -> None:
    """Raise for the first bad bar; a frame without one passes."""
    for row in bars.filter(is_bad).head(1).iter_rows(named=True):
        values = ", ".join(f"{name} {row[name]}" for name in (*PRICES, "volume"))
        raise ExportError(
            f"{what}: {values}",
            where=f"instrument {row['instrument_id']} at {row['timestamp']}",
            next_step="correct the import of that day, then export again",
        )
