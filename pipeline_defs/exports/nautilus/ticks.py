"""What of a tick becomes a trade, what a quote, and how a trade is called. Polars only; no encoding here."""

from __future__ import annotations

from typing import Final

import polars as pl

IS_TRADE: Final = pl.col("size").fill_null(0) > 0
"""Ticks that tell of a trade."""

IS_QUOTE: Final = pl.col("bid_price").is_not_null() & pl.col("ask_price").is_not_null()
"""Ticks with both sides of the book, without which Nautilus has no quote."""

LACKS_SIZE: Final = pl.col("bid_size").is_null() | pl.col("ask_size").is_null()
"""Quotes of which the source gave prices alone; 0 is written in the size's place."""


def trades_of(ticks: pl.DataFrame) -> pl.DataFrame:
    """Select the trades and name them.

    Parameters
    ----------
    ticks : polars.DataFrame
        `TICK_SCHEMA`, checked.

    Returns
    -------
    polars.DataFrame
        With `trade_id`: nanoseconds of the time and place among the ticks of that instant. At most 31 characters
        (Nautilus takes 36), unique for each instrument, the same in every export.

    """
    name = pl.format("{}-{}", pl.col("timestamp").dt.epoch("ns"), "sequence")
    return ticks.filter(IS_TRADE).with_columns(trade_id=name)


def quotes_of(ticks: pl.DataFrame) -> pl.DataFrame:
    """Select the quotes.

    Parameters
    ----------
    ticks : polars.DataFrame
        `TICK_SCHEMA`, checked.

    Returns
    -------
    polars.DataFrame
        With no nulls in prices and sizes.

    """
    return ticks.filter(IS_QUOTE).with_columns(pl.col("bid_size", "ask_size").fill_null(0))
