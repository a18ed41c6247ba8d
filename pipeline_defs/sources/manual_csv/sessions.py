"""Trade dates of rows, and when the venues whose calendar is known were open.

A calendar is known of the Indian exchanges, and of pairs, whose sessions are the UTC days. Rows of other venues are
dated in the exchange zone that the warehouse partitions by, and their hours are not judged.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

import polars as pl

from pipeline_defs.markets.sessions import first_covered_date, last_covered_date, sessions_between
from pipeline_defs.schema.columns import MARKET_ZONE, TIMESTAMP

VENUES: Final = ("NSE", "BSE")
"""Exchanges whose sessions are known."""

SEGMENTS: Final = {"OPT": "FO", "FUT": "FO", "CONT": "FO", "SPOT": "CM", "EQ": "CM"}
"""Segment in which a kind of instrument trades."""

INSTANT: Final = dt.timedelta(microseconds=1)

_BOUNDS: Final[dict[str, pl.DataType]] = {
    "trade_date": pl.Date(),
    "segment": pl.String(),
    "session_open": TIMESTAMP,
    "session_close": TIMESTAMP,
}


def trade_date(instant: pl.Expr, is_pair: pl.Expr, is_bar: pl.Expr) -> pl.Expr:
    """Give the trade date of an observation.

    Parameters
    ----------
    instant : polars.Expr
        When it was complete, UTC.
    is_pair : polars.Expr
        Whether it is of a pair: the UTC day in which its bar began.
    is_bar : polars.Expr
        Whether it is a bar, which belongs to the day before when it ends at midnight.

    Returns
    -------
    polars.Expr
        Date.

    """
    inside = pl.when(is_bar).then(instant - INSTANT).otherwise(instant)
    return pl.when(is_pair).then(inside.dt.date()).otherwise(inside.dt.convert_time_zone(MARKET_ZONE).dt.date())


def with_sessions(rows: pl.DataFrame) -> pl.DataFrame:
    """Add the session of each row's trade date.

    Parameters
    ----------
    rows : polars.DataFrame
        With `trade_date`, and `segment`: null where no calendar is known.

    Returns
    -------
    polars.DataFrame
        With `session_open` and `session_close`, null on a day on which the segment was closed; and `is_judged`,
        whether the calendar speaks about the day.

    """
    days = rows["trade_date"].drop_nulls()
    start, end = (days.min(), days.max()) if days.len() else (None, None)
    bounds = [pl.DataFrame(schema=_BOUNDS)]
    if isinstance(start, dt.date) and isinstance(end, dt.date):
        start, end = max(start, first_covered_date()), min(end, last_covered_date())
        if start <= end:
            bounds += [
                sessions_between(start, end, segment).select(
                    pl.col("session_date").alias("trade_date"),
                    "segment",
                    session_open="open",
                    session_close="close",
                )
                for segment in sorted(set(SEGMENTS.values()))
            ]
    is_judged = pl.col("segment").is_not_null() & pl.col("trade_date").is_between(
        first_covered_date(), last_covered_date()
    )
    return rows.join(pl.concat(bounds), on=["trade_date", "segment"], how="left", maintain_order="left").with_columns(
        is_judged=is_judged.fill_null(value=False)
    )
