"""Rows of answers to good ones and refused ones; every row in exactly one, with the first reason that applies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.schema.columns import TIMESTAMP
from pipeline_defs.schema.tables import DAY, TICK
from pipeline_defs.sources.asking.questions import ANSWER_SCHEMA

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Sequence

    from pipeline_defs.markets.market import Market
    from pipeline_defs.sources.asking.questions import Answer, Dataset, Question

REASONS: Final[dict[str, str]] = {
    "bad_time": "No instant can be read.",
    "bad_price": "There is no last price, or it is no decimal of at most 12 digits before and 8 after the point.",
    "outside_window": "Stamped outside the days that were asked for.",
    "not_a_session": "The market was closed on that day.",
    "non_positive_price": "A price of zero or below.",
    "high_below_low": "The high is below the low.",
    "price_outside_range": "Open or close lies outside low to high.",
    "bad_quantity": "A volume, size or open interest below zero, or of parts of a unit where whole units trade.",
    "extended_hours": "Traded before the open or after the close, as the market allows; exports hold the session.",
    "before_open": "Before the session's open.",
    "after_close": "After the session's close.",
    "running_bar": "Not complete yet, or too young for the source's answer to be final.",
    "conflicting_duplicate": "Several rows for one instrument and time with different values; all are refused.",
    "duplicate": "The same row again; the first one is kept.",
}
"""Why rows are refused, in the order in which it is tried; adapters add their own. See ``docs/universe.md``."""

MEASURES: Final = tuple(name for name in ANSWER_SCHEMA if name not in {"timestamp", "reason", "text"})
_PRICES: Final = ("open", "high", "low", "close", "bid_price", "ask_price")
_SIZES: Final = ("volume", "open_interest", "bid_size", "ask_size")

GATHERED: Final = ("file_index", "line", "trade_date", *ANSWER_SCHEMA)


def gather(asked: Sequence[tuple[Question, Answer]], market: Market) -> pl.DataFrame:
    """Put the rows of all answers of a window into one frame, each with its trade date.

    Parameters
    ----------
    asked : sequence of (Question, Answer)
        Of one dataset and window; position k becomes file index k.
    market : Market
        Whose days are meant.

    Returns
    -------
    polars.DataFrame
        `GATHERED`. A row that belongs to none of the window's sessions stands under the first of them, with the reason.

    """
    if not asked:
        return pl.DataFrame(
            schema={"file_index": pl.UInt32(), "line": pl.UInt32(), "trade_date": pl.Date(), **ANSWER_SCHEMA}
        )
    question = asked[0][0]
    window, is_bar = question.window, question.dataset.bar_seconds > TICK
    rows = pl.concat(
        [
            answer.rows.with_row_index("line", offset=1).with_columns(file_index=pl.lit(index, pl.UInt32()))
            for index, (_, answer) in enumerate(asked)
        ]
    )
    instant = pl.duration(microseconds=1 if is_bar else 0)
    day = (pl.col("timestamp") - instant).dt.convert_time_zone(market.zone).dt.date()
    sessions = market.sessions(window.first, window.last)
    rows = rows.with_columns(trade_date=day)
    reason = (
        pl.when(pl.col("reason").is_not_null())
        .then("reason")
        .when(pl.col("timestamp").is_null())
        .then(pl.lit("bad_time"))
        .when(~pl.col("trade_date").is_between(window.first, window.last))
        .then(pl.lit("outside_window"))
        .when(~pl.col("trade_date").is_in(sessions))
        .then(pl.lit("not_a_session"))
    )
    belongs = pl.col("trade_date").is_in(sessions).fill_null(value=False)
    return rows.with_columns(
        reason=reason, trade_date=pl.when(belongs).then("trade_date").otherwise(pl.lit(window.first))
    ).select(GATHERED)


def judge(
    rows: pl.DataFrame, dataset: Dataset, day: dt.date, market: Market, now: dt.datetime, *, fractional: Collection[int]
) -> pl.DataFrame:
    """Judge the rows of one trade date.

    Parameters
    ----------
    rows : polars.DataFrame
        `GATHERED`.
    dataset : Dataset
        What they are.
    day : datetime.date
        A session.
    market : Market
        Whose.
    now : datetime.datetime
        UTC: what completes later is not complete.
    fractional : collection of int
        ``file_index`` of the answers about instruments of which parts of a unit trade.

    Returns
    -------
    polars.DataFrame
        The same with ``sequence``, and with a reason where the row is refused; ordered by file and line.

    """
    rows = _clipped(rows, dataset, day, market)
    negative = pl.any_horizontal((pl.col(name) < 0).fill_null(value=False) for name in _SIZES)
    parts = pl.any_horizontal((pl.col(name) % 1 != 0).fill_null(value=False) for name in _SIZES)
    high, low = pl.col("high"), pl.col("low")
    outside = pl.any_horizontal(
        ((pl.col(name) > high) | (pl.col(name) < low)).fill_null(value=False) for name in ("open", "close")
    )
    reason = (
        pl.when(pl.col("reason").is_not_null())
        .then("reason")
        .when(pl.col("close").is_null())
        .then(pl.lit("bad_price"))
        .when(pl.any_horizontal((pl.col(name) <= 0).fill_null(value=False) for name in _PRICES))
        .then(pl.lit("non_positive_price"))
        .when((high < low).fill_null(value=False))
        .then(pl.lit("high_below_low"))
        .when(outside)
        .then(pl.lit("price_outside_range"))
        .when(negative | (parts & ~pl.col("file_index").is_in(sorted(fractional))))
        .then(pl.lit("bad_quantity"))
        .when(pl.lit(value=False))
        .then(pl.lit(""))
        .otherwise(_out_of_hours(dataset, day, market))
    )
    judged = rows.with_columns(reason=reason).with_columns(
        reason=pl.when(pl.col("reason").is_not_null())
        .then("reason")
        .when(pl.col("timestamp") > pl.lit(now).cast(TIMESTAMP))
        .then(pl.lit("running_bar"))
    )
    return _without_duplicates(judged, dataset).sort("file_index", "line")


def _clipped(rows: pl.DataFrame, dataset: Dataset, day: dt.date, market: Market) -> pl.DataFrame:
    """Let a bar that begins within the session be complete when the session closes, however long it was to be."""
    if dataset.bar_seconds <= TICK or dataset.bar_seconds >= DAY:
        return rows
    close = pl.lit(market.close(day)).cast(TIMESTAMP)
    begins = pl.col("timestamp") - pl.duration(seconds=dataset.bar_seconds)
    return rows.with_columns(
        timestamp=pl.when((pl.col("timestamp") > close) & (begins < close)).then(close).otherwise("timestamp")
    )


def _out_of_hours(dataset: Dataset, day: dt.date, market: Market) -> pl.Expr:
    if dataset.bar_seconds >= DAY:
        return pl.lit(None, pl.String())
    opens, closes = (pl.lit(instant).cast(TIMESTAMP) for instant in (market.open(day), market.close(day)))
    early, late = (pl.lit(instant).cast(TIMESTAMP) for instant in market.extended_hours(day))
    begins = pl.col("timestamp") - pl.duration(seconds=dataset.bar_seconds)
    before, after = begins < opens, pl.col("timestamp") > closes
    ordinary = (begins >= early) & (pl.col("timestamp") <= late)
    # A bar cut at the close begins where it began, so only the stamp of its end is compared with the close.
    before = before & (pl.col("timestamp") <= opens) if dataset.bar_seconds else before
    return (
        pl.when((before | after) & ordinary)
        .then(pl.lit("extended_hours"))
        .when(before)
        .then(pl.lit("before_open"))
        .when(after)
        .then(pl.lit("after_close"))
    )


def _without_duplicates(rows: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    rows = rows.sort("file_index", "line")
    if dataset.bar_seconds == TICK:
        # Several ticks of one instant are several trades: their order is all that tells them apart.
        order = pl.col("line").cum_count().over("file_index", "timestamp", pl.col("reason").is_null())
        return rows.with_columns(sequence=(order - 1).cast(pl.Int32))
    is_good = pl.col("reason").is_null()
    key = ("file_index", "timestamp")
    good = rows.filter(is_good)
    if not good.select(pl.struct(key).is_duplicated().any()).item():
        return rows.with_columns(sequence=pl.lit(0, pl.Int32()))
    differ = pl.any_horizontal((pl.col(name).n_unique() > 1).over(key) for name in MEASURES)
    good = good.with_columns(
        reason=pl.when(differ)
        .then(pl.lit("conflicting_duplicate"))
        .when(~pl.struct(key).is_first_distinct())
        .then(pl.lit("duplicate"))
    )
    return pl.concat([good, rows.filter(~is_good)]).with_columns(sequence=pl.lit(0, pl.Int32()))
