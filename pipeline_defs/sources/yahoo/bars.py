"""A chart's bars to the rows of an answer, whole columns at a time; no row is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.schema.columns import TIMESTAMP
from pipeline_defs.schema.tables import DAY
from pipeline_defs.sources.asking.exact import prices_of, shortest_texts, sizes_of
from pipeline_defs.sources.asking.questions import ANSWER_SCHEMA, answer_rows
from pipeline_defs.sources.yahoo.checking import zone_of

if TYPE_CHECKING:
    from pipeline_defs.markets.market import Market
    from pipeline_defs.sources.asking.questions import Question

NO_TRADE: Final = "no_trade"
"""A bar without any price: Yahoo lists minutes in which nothing traded."""
MISSING_PRICE: Final = "missing_price"
"""A bar of which some prices are null."""
SUPERSEDED: Final = "superseded"
"""The day as it was before the last row, which Yahoo appends while the market is open, told it anew."""

_PRICES: Final = ("open", "high", "low", "close")
_LATEST: Final = 4_102_444_800
"""Seconds, the year 2100: later ones are no times."""


def rows_of(chart: dict[str, Any] | None, question: Question, market: Market) -> pl.DataFrame:
    """Give the bars of a chart.

    Parameters
    ----------
    chart : dict or None
        As `pipeline_defs.sources.yahoo.replies.chart_of` gives it.
    question : Question
        What was asked.
    market : Market
        Whose sessions close daily bars.

    Returns
    -------
    polars.DataFrame
        `ANSWER_SCHEMA`. Prices are the shortest decimals that mean Yahoo's 32-bit floats; an index has no volume.

    """
    if chart is None or "timestamp" not in chart:
        return pl.DataFrame(schema=ANSWER_SCHEMA)
    quote = chart["indicators"]["quote"][0]
    seconds = pl.Series("start", chart["timestamp"], dtype=pl.Float64, strict=False)
    # A part of a second is no begin of a bar: cut off, its bar would be known before it is over.
    no_time = ~seconds.is_finite() | (seconds < 0) | (seconds >= _LATEST) | (seconds % 1 != 0)
    starts = seconds.set(no_time, None).cast(pl.Int64)
    frame = pl.DataFrame(
        [
            pl.from_epoch(starts, time_unit="s").cast(pl.Datetime("us")).dt.replace_time_zone("UTC").alias("start"),
            *(prices_of(_texts(quote, name)).alias(name) for name in _PRICES),
            sizes_of(_texts(quote, "volume")).alias("volume"),
            *(pl.Series(f"told_{name}", quote[name], dtype=pl.String, strict=False) for name in (*_PRICES, "volume")),
        ]
    )
    if question.listed.kind == "SPOT":
        frame = frame.with_columns(volume=None, told_volume=None)
    is_daily = question.dataset.bar_seconds == DAY
    frame = _closing_days(frame, question, market, chart) if is_daily else _closing_bars(frame, question)
    columns = frame.select(
        "timestamp",
        *_PRICES,
        pl.col("volume").cast(ANSWER_SCHEMA["volume"]),
        reason=_reason(),
        text=pl.when(_reason().is_not_null()).then(_text()),
    )
    return answer_rows({column.name: column for column in columns})


def _texts(quote: dict[str, Any], name: str) -> pl.Series:
    # A null stays null here, and so does what is no number: the text beside it tells them apart.
    return shortest_texts(pl.Series(name, quote[name], dtype=pl.Float64, strict=False), narrow=name != "volume")


def _closing_bars(frame: pl.DataFrame, question: Question) -> pl.DataFrame:
    ends = pl.col("start") + pl.duration(seconds=question.dataset.bar_seconds)
    return frame.with_columns(timestamp=ends.cast(TIMESTAMP), is_superseded=pl.lit(value=False))


def _closing_days(frame: pl.DataFrame, question: Question, market: Market, chart: dict[str, Any]) -> pl.DataFrame:
    """Stamp each day with the close of its session; a day without one keeps its own stamp, and is refused for it."""
    day = pl.col("start").dt.convert_time_zone(zone_of(chart["meta"]).key).dt.date()
    sessions = market.sessions(question.window.first, question.window.last)
    closes = pl.DataFrame(
        {"day": sessions, "close_of_session": [market.close(session) for session in sessions]},
        schema={"day": pl.Date(), "close_of_session": TIMESTAMP},
    )
    is_older = pl.col("start") < pl.col("start").last()
    return (
        frame.with_columns(day=day)
        .join(closes, on="day", how="left", maintain_order="left")
        .with_columns(
            timestamp=pl.coalesce("close_of_session", pl.col("start").cast(TIMESTAMP)),
            is_superseded=((pl.col("day") == pl.col("day").last()) & is_older).fill_null(value=False),
        )
    )


def _reason() -> pl.Expr:
    told = {name: pl.col(f"told_{name}") for name in (*_PRICES, "volume")}
    unread = pl.any_horizontal(told[name].is_not_null() & pl.col(name).is_null() for name in _PRICES)
    return (
        pl.when(pl.col("start").is_null())
        .then(pl.lit("bad_time"))
        .when(pl.all_horizontal(told[name].is_null() for name in _PRICES))
        .then(pl.lit(NO_TRADE))
        .when(unread)
        .then(pl.lit("bad_price"))
        .when(pl.any_horizontal(pl.col(name).is_null() for name in _PRICES))
        .then(pl.lit(MISSING_PRICE))
        .when(told["volume"].is_not_null() & pl.col("volume").is_null())
        .then(pl.lit("bad_quantity"))
        .when(pl.col("is_superseded"))
        .then(pl.lit(SUPERSEDED))
    )


def _text() -> pl.Expr:
    stamp = pl.col("start").dt.strftime("%Y-%m-%dT%H:%M:%SZ").fill_null("?")
    told = (pl.col(f"told_{name}").fill_null("null") for name in (*_PRICES, "volume"))
    return pl.concat_str(stamp, *told, separator=",")
