"""What a frame of bars or ticks must be before a byte of it is written.

The engine does not look: it returns unsorted files unsorted, plays bars whose high lies below their
low, and rounds prices finer than the declared precision. So everything is refused here, once, for
whole frames. No encoding here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.schema.columns import PRICE_SCALE

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

PRICES: Final = ("open", "high", "low", "close")
REQUIRED: Final = ("instrument_id", "timestamp", *PRICES, "volume")

TICK_PRICES: Final = ("price", "bid_price", "ask_price")
TICK_SIZES: Final = ("size", "bid_size", "ask_size")

MAX_VOLUME: Final = 34_028_236_692_093
"""Largest quantity of Nautilus' 16-byte fixed point."""

COMMON_DECIMALS: Final = 2
"""Paise: the coarsest precision that is told apart."""


def check_bars(bars: pl.DataFrame, schema: Mapping[str, pl.DataType], start: dt.datetime, end: dt.datetime) -> None:
    """Refuse a frame of bars that Nautilus would misread.

    Parameters
    ----------
    bars : polars.DataFrame
        The frame.
    schema : mapping
        `MarketSlice.bar_schema`.
    start, end : datetime.datetime
        Bounds of the partition: the first open and the last close, UTC.

    Raises
    ------
    ExportError
        If columns or types differ from `schema`; a required value is null; rows are not strictly
        ascending by instrument and time; a high or low does not enclose the other prices; a volume
        is negative or too large; or a stamp lies outside the bounds.

    """
    _refuse_other_columns(bars, schema, "bars")
    shown = (*PRICES, "volume")
    _refuse(bars, "a required value is missing", pl.any_horizontal(pl.col(REQUIRED).is_null()), shown)
    time = pl.col("timestamp")
    encloses = (pl.col("high") >= pl.max_horizontal("open", "low", "close")) & (
        pl.col("low") <= pl.min_horizontal("open", "close")
    )
    rules = {
        "bars are not sorted by instrument and time, or one is there twice": ~_ascends("timestamp"),
        "high and low do not enclose the prices": ~encloses,
        f"the volume is not between 0 and {MAX_VOLUME}": ~pl.col("volume").is_between(0, MAX_VOLUME),
        f"the close stamp lies outside the sessions, {start.isoformat()} to {end.isoformat()}": (
            (time <= start) | (time > end)
        ),
    }
    _refuse_any(bars, rules, shown)


def check_ticks(ticks: pl.DataFrame, schema: Mapping[str, pl.DataType], start: dt.datetime, end: dt.datetime) -> None:
    """Refuse a frame of ticks that Nautilus would misread.

    Parameters
    ----------
    ticks : polars.DataFrame
        The frame.
    schema : mapping
        `MarketSlice.tick_schema`.
    start, end : datetime.datetime
        Bounds of the partition: the first open and the last close, UTC.

    Raises
    ------
    ExportError
        If columns or types differ from `schema`; an instrument, a time or a sequence is null; rows are not strictly
        ascending by instrument, time and sequence; a trade has no price; a size is negative or too large; or a stamp
        lies outside the bounds.

    """
    _refuse_other_columns(ticks, schema, "ticks")
    shown = ("sequence", *TICK_PRICES, *TICK_SIZES)
    keys = pl.col("instrument_id", "timestamp", "sequence")
    _refuse(ticks, "a required value is missing", pl.any_horizontal(keys.is_null()), shown)
    in_range = pl.all_horizontal(pl.col(name).is_between(0, MAX_VOLUME).fill_null(value=True) for name in TICK_SIZES)
    rules = {
        "ticks are not sorted by instrument, time and sequence, or one is there twice": ~_ascends(
            "timestamp", "sequence"
        ),
        "a trade has no price": pl.col("price").is_null() & (pl.col("size").fill_null(0) > 0),
        f"a size is not between 0 and {MAX_VOLUME}": ~in_range,
        f"the stamp lies outside the sessions, {start.isoformat()} to {end.isoformat()}": (
            ~pl.col("timestamp").is_between(start, end)
        ),
    }
    _refuse_any(ticks, rules, shown)


def check_whole_sizes(frame: pl.DataFrame, precisions: pl.DataFrame, sizes: Sequence[str]) -> None:
    """Refuse fractions of a unit of instruments that are counted in whole ones.

    Parameters
    ----------
    frame : polars.DataFrame
        Bars or ticks with decimal sizes.
    precisions : polars.DataFrame
        `instrument_id` and `size_precision`.
    sizes : sequence of str
        Columns of the frame.

    Raises
    ------
    ExportError
        If an instrument whose `size_precision` is 0 has a fraction; names the first such row.

    """
    whole = precisions.filter(pl.col("size_precision") == 0)["instrument_id"]
    broken = pl.any_horizontal(
        (pl.col(name).to_physical() % 10**PRICE_SCALE != 0).fill_null(value=False) for name in sizes
    )
    is_bad = pl.col("instrument_id").is_in(whole.implode()) & broken
    _refuse(frame, "a size is a fraction, but Nautilus counts this class in whole units", is_bad, sizes)


def decimals_needed(frame: pl.DataFrame, prices: Sequence[str] = PRICES) -> pl.DataFrame:
    """Find how many decimals each instrument's prices need.

    Parameters
    ----------
    frame : polars.DataFrame
        Bars or ticks, checked.
    prices : sequence of str, default PRICES
        Its price columns; nulls need none.

    Returns
    -------
    polars.DataFrame
        `instrument_id` and `decimals`, from `COMMON_DECIMALS` to `PRICE_SCALE`.

    """
    ids = frame.select(pl.col("instrument_id").unique(maintain_order=True))
    # Most frames hold nothing finer than two decimals; then one pass over the prices is all.
    finer = frame.filter(~_fits(COMMON_DECIMALS, prices))
    needed = finer.group_by("instrument_id").agg(
        decimals=pl.max_horizontal(
            pl.when(~_fits(decimals, prices).all()).then(pl.lit(decimals + 1, pl.UInt8))
            for decimals in range(COMMON_DECIMALS, PRICE_SCALE)
        )
    )
    return ids.join(needed, on="instrument_id", how="left", maintain_order="left").with_columns(
        pl.col("decimals").fill_null(COMMON_DECIMALS)
    )


def check_precision(frame: pl.DataFrame, precisions: pl.DataFrame, prices: Sequence[str] = PRICES) -> None:
    """Refuse prices finer than the precision that their instrument declares.

    Parameters
    ----------
    frame : polars.DataFrame
        Bars or ticks.
    precisions : polars.DataFrame
        `instrument_id`, `engine_id`, `price_precision` and `decimals` of the frame's instruments.
    prices : sequence of str, default PRICES
        Its price columns.

    Raises
    ------
    ExportError
        If a price has more decimals than its instrument's precision; names the first such row.

    """
    wrong = precisions.filter(pl.col("decimals") > pl.col("price_precision")).head(1)
    if wrong.height > 0:
        _refuse(
            frame.filter(pl.col("instrument_id") == wrong.item(0, "instrument_id")),
            "a price of {engine_id} has more than the {price_precision} decimals of its tick".format(
                **wrong.row(0, named=True)
            ),
            ~_fits(int(wrong.item(0, "price_precision")), prices),
            prices,
        )


def _ascends(*names: str) -> pl.Expr:
    """Tell whether a row comes strictly after the one before: by instrument, then by the named columns."""
    later: pl.Expr = pl.lit(value=False)
    for name in reversed(("instrument_id", *names)):
        column = pl.col(name)
        later = (column > column.shift()) | ((column == column.shift()) & later)
    return later


def _fits(decimals: int, prices: Sequence[str]) -> pl.Expr:
    """Tell whether no price of a row has more decimals."""
    unit = 10 ** (PRICE_SCALE - decimals)
    return pl.all_horizontal((pl.col(name).to_physical() % unit == 0).fill_null(value=True) for name in prices)


def _refuse_other_columns(frame: pl.DataFrame, schema: Mapping[str, pl.DataType], what: str) -> None:
    if dict(frame.schema) != schema:
        raise ExportError(f"{what} came with the columns {dict(frame.schema)}, expected {schema}")


def _refuse_any(frame: pl.DataFrame, rules: Mapping[str, pl.Expr], shown: Sequence[str]) -> None:
    """Look at all rules in one pass, and again only for one that was broken."""
    verdicts = frame.select(is_bad.any().alias(what) for what, is_bad in rules.items())
    for what, is_bad in rules.items():
        if verdicts.item(0, what):
            _refuse(frame, what, is_bad, shown)


def _refuse(frame: pl.DataFrame, what: str, is_bad: pl.Expr, shown: Sequence[str]) -> None:
    """Raise for the first bad row; a frame without one passes."""
    for row in frame.filter(is_bad).head(1).iter_rows(named=True):
        values = ", ".join(f"{name} {row[name]}" for name in shown)
        raise ExportError(
            f"{what}: {values}",
            where=f"instrument {row['instrument_id']} at {row['timestamp']}",
            next_step="correct the import of that day, then export again",
        )
