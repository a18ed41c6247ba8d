"""Old bars to good rows and refused lines: every bar in exactly one, with the first reason that applies.

The reasons are those of live sources wherever they mean the same. A refused bar keeps its values in its text, so that
sums over what was stored and what was refused can be held against the old files to the last digit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.schema.batches import HARMLESS_REASONS
from pipeline_defs.schema.columns import PRICE_PRECISION, PRICE_SCALE
from pipeline_defs.schema.day_batches import DAY_COLUMN
from pipeline_defs.schema.tables import DAY
from pipeline_defs.warehouse.loading import MAX_DAMAGED_FRACTION, MIN_ROWS_TO_JUDGE

if TYPE_CHECKING:
    from collections.abc import Collection

REASONS: Final[dict[str, str]] = {
    "no_trade": "All prices and the volume are zero: how zipline marks a day without a trade.",
    "outside_calendar": "The market's calendar does not reach that far, so nobody can say whether it was a session.",
    "not_a_session": "The market was closed on that day.",
    "bad_price": "A price beyond what the warehouse holds: 12 digits before and 8 after the point.",
    "non_positive_price": "A price of zero or below.",
    "high_below_low": "The high is below the low.",
    "price_outside_range": "Open or close lies outside low to high.",
    "bad_quantity": "A volume below zero, beyond 18 digits, or of parts of a unit where whole units trade.",
    "extended_hours": "Traded before the open or after the close, as the market allows.",
    "before_open": "Before the session's open.",
    "after_close": "After the session's close.",
    "conflicting_duplicate": "Several bars of one instrument and time with different values; all are refused.",
    "duplicate": "The same bar again; the first one is kept.",
    "damaged_partition": "Right in itself, on a day of which more than half was refused: nothing of it is stored.",
}
"""Why a bar of an old store is refused, in the order in which it is tried."""

_PRICES: Final = ("open", "high", "low", "close")
_VALUES: Final = (*_PRICES, "volume")
_MOST_UNITS: Final = 10**18
_MOST_PRICE: Final = 10 ** (PRICE_PRECISION - PRICE_SCALE)


def judge(rows: pl.DataFrame, calendar: pl.DataFrame, bar_seconds: int, *, fractional: Collection[int]) -> pl.DataFrame:
    """Judge bars.

    Parameters
    ----------
    rows : polars.DataFrame
        As `with_instants` gave them, with ``contract_key``; all bars of every trade date in it.
    calendar : polars.DataFrame
        As `tabulate_days` gave it, of every trade date in `rows`.
    bar_seconds : int
        Length of the bars.
    fractional : collection of int
        Contract keys of instruments of which parts of a unit trade.

    Returns
    -------
    polars.DataFrame
        The same, ordered by trade date, file and line, with ``reason``: null of what is good. Daily bars have the
        close of their session as timestamp.

    """
    is_daily = bar_seconds >= DAY
    rows = rows.join(calendar, on=DAY_COLUMN, how="left", maintain_order="left")
    if is_daily:
        rows = rows.with_columns(timestamp="closes")
    nothing = pl.all_horizontal(pl.col(name).fill_null(0) == 0 for name in _VALUES)
    high, low, volume = pl.col("high"), pl.col("low"), pl.col("volume")
    outside = pl.any_horizontal((pl.col(name) > high) | (pl.col(name) < low) for name in ("open", "close"))
    parts = (volume % 1 != 0) & ~pl.col("contract_key").is_in(sorted(fractional))
    reason = (
        pl.when(nothing)
        .then(pl.lit("no_trade"))
        .when(pl.col("closed").is_not_null())
        .then("closed")
        .when(pl.any_horizontal(pl.col(name).is_null() | (pl.col(name).abs() >= _MOST_PRICE) for name in _PRICES))
        .then(pl.lit("bad_price"))
        .when(pl.any_horizontal(pl.col(name) <= 0 for name in _PRICES))
        .then(pl.lit("non_positive_price"))
        .when(high < low)
        .then(pl.lit("high_below_low"))
        .when(outside)
        .then(pl.lit("price_outside_range"))
        .when(((volume < 0) | (volume >= _MOST_UNITS) | parts).fill_null(value=False))
        .then(pl.lit("bad_quantity"))
        .otherwise(pl.lit(None, pl.String()) if is_daily else _out_of_hours(bar_seconds))
    )
    return _without_duplicates(rows.with_columns(reason=reason).drop("closed", "opens", "closes", "early", "late"))


def _out_of_hours(bar_seconds: int) -> pl.Expr:
    begins, ends = pl.col("timestamp") - pl.duration(seconds=bar_seconds), pl.col("timestamp")
    before, after = begins < pl.col("opens"), ends > pl.col("closes")
    ordinary = (begins >= pl.col("early")) & (ends <= pl.col("late"))
    return (
        pl.when((before | after) & ordinary)
        .then(pl.lit("extended_hours"))
        .when(before)
        .then(pl.lit("before_open"))
        .when(after)
        .then(pl.lit("after_close"))
    )


def _without_duplicates(rows: pl.DataFrame) -> pl.DataFrame:
    rows = rows.sort(DAY_COLUMN, "file_index", "line")
    key = ("contract_key", "timestamp")
    is_good = pl.col("reason").is_null()
    good = rows.filter(is_good)
    if not good.select(pl.struct(key).is_duplicated().any()).item():
        return rows
    differ = pl.any_horizontal((pl.col(name).n_unique() > 1).over(key) for name in _VALUES)
    good = good.with_columns(
        reason=pl.when(differ)
        .then(pl.lit("conflicting_duplicate"))
        .when(~pl.struct(key).is_first_distinct())
        .then(pl.lit("duplicate"))
    )
    return pl.concat([good, rows.filter(~is_good)]).sort(DAY_COLUMN, "file_index", "line")


def damaged_days(good: pl.DataFrame, refused: pl.DataFrame) -> pl.Series:
    """Name the days of which the import path would store nothing though some bars are good: their bars are refused too.

    Parameters
    ----------
    good, refused : polars.DataFrame
        With `DAY_COLUMN`, `refused` with ``reason``; of one table and length of bars.

    Returns
    -------
    polars.Series
        Trade dates.

    """
    harmful = refused.filter(~pl.col("reason").is_in(list(HARMLESS_REASONS))).group_by(DAY_COLUMN).agg(harmful=pl.len())
    read = pl.concat([good.select(DAY_COLUMN), refused.select(DAY_COLUMN)]).group_by(DAY_COLUMN).agg(read=pl.len())
    of_day = read.join(harmful, on=DAY_COLUMN, how="inner")
    is_damaged = (pl.col("read") >= MIN_ROWS_TO_JUDGE) & (pl.col("harmful") > MAX_DAMAGED_FRACTION * pl.col("read"))
    return of_day.filter(is_damaged)[DAY_COLUMN]


def _shown(name: str) -> pl.Expr:
    """Write a decimal without zeros at its end; there are always 8 places to take them from."""
    text = pl.col(name).cast(pl.String)
    return text.str.strip_chars_end("0").str.strip_chars_end(".").fill_null("none")


TEXT: Final = pl.concat_str(
    pl.format("at={}", "stamp"),
    *(pl.format(f"{name}={{}}", _shown(name)) for name in _VALUES),
    pl.format("symbol={}", "symbol"),
    separator=" ",
)
"""The text under which a refused bar is listed; the view ``migrated_refusals`` reads it."""
