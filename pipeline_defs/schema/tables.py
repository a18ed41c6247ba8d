"""The observation tables: every source writes these, every export reads these.

A new observation table is one `Table` here plus its migration in ``sql/``. Dimension and
bookkeeping tables (instruments, sessions, loads) are plain SQL and are not described here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import polars as pl

from pipeline_defs.schema.columns import PRICE, SIZE, TIMESTAMP, Column, Table

OBSERVATION_KEY: Final = ("timestamp", "instrument_id", "bar_seconds", "sequence", "source")
"""Time first: rows arrive a day at a time and sorted so, which loads fastest."""

MEASUREMENT_COLUMNS: Final = (
    Column("open", PRICE, "numeric", "First price; null when nothing traded.", nullable=True),
    Column("high", PRICE, "numeric", "Highest price; null when nothing traded.", nullable=True),
    Column("low", PRICE, "numeric", "Lowest price; null when nothing traded.", nullable=True),
    Column("close", PRICE, "numeric", "Last price, or the exchange's close when nothing traded."),
    Column("volume", pl.Int64(), "bigint", "Units traded, never lots; null when unknown.", nullable=True),
    Column("open_interest", pl.Int64(), "bigint", "Units open; null when unknown.", nullable=True),
    Column("bid_price", PRICE, "numeric", "Best bid of a tick.", nullable=True),
    Column("bid_size", pl.Int64(), "bigint", "Units at the best bid.", nullable=True),
    Column("ask_price", PRICE, "numeric", "Best ask of a tick.", nullable=True),
    Column("ask_size", pl.Int64(), "bigint", "Units at the best ask.", nullable=True),
    Column(
        "settlement_price",
        PRICE,
        "numeric",
        "The exchange's settlement; on expiry day of an option the underlying's.",
        nullable=True,
    ),
)
"""What was measured. Two observations are the same when all of these are equal."""

OBSERVATION_COLUMNS: Final = (
    Column(
        "timestamp",
        TIMESTAMP,
        "timestamp with time zone",
        "When the observation was complete: tick time or bar close, UTC.",
    ),
    Column("instrument_id", pl.Int32(), "integer", "Row of `instruments`."),
    Column("bar_seconds", pl.Int32(), "integer", "Length of the bar in seconds; 0 is a tick, 86400 a session."),
    Column("sequence", pl.Int32(), "integer", "Order among ticks of one instrument and second; 0 for bars."),
    Column("source", pl.String(), "text", "Adapter that said so; sources never overwrite each other."),
    *MEASUREMENT_COLUMNS,
    Column("load_id", pl.Int64(), "bigint", "Row of `loads` that wrote this version."),
)


SIZES: Final = ("volume", "open_interest", "bid_size", "ask_size")
"""Columns that count units."""

FRACTIONAL_KINDS: Final = ("PAIR", "EQ")
"""Kinds of which some market trades parts of a unit; which one does, `pipeline_defs.markets.market` says."""

_FRACTIONAL_COLUMNS: Final = tuple(
    replace(column, dtype=SIZE, sql="numeric") if column.name in SIZES else column for column in OBSERVATION_COLUMNS
)


def _observation_table(name: str, meaning: str, columns: tuple[Column, ...] = OBSERVATION_COLUMNS) -> Table:
    return Table(name=name, meaning=meaning, columns=columns, key=OBSERVATION_KEY)


OPTIONS_TICKS: Final = _observation_table("options_ticks", "An observation of one option contract.")
FUTURES_TICKS: Final = _observation_table(
    "futures_ticks", "An observation of one future or of a continuous (rolling) future."
)
SPOT_PRICES: Final = _observation_table(
    "spot_prices", "An observation of an index, of a share within the day, or of a pair.", _FRACTIONAL_COLUMNS
)
EQUITY_DAILY: Final = _observation_table(
    "equity_daily", "One session of one share or security, by series.", _FRACTIONAL_COLUMNS
)

OBSERVATION_TABLES: Final = {table.name: table for table in (OPTIONS_TICKS, FUTURES_TICKS, SPOT_PRICES, EQUITY_DAILY)}

KIND_TABLES: Final = {
    "OPT": "options_ticks",
    "FUT": "futures_ticks",
    "CONT": "futures_ticks",
    "SPOT": "spot_prices",
    "EQ": "spot_prices",
    "PAIR": "spot_prices",
}
"""Instrument kind to table; daily bars of kind EQ go to `equity_daily` instead."""

TICK: Final = 0
MINUTE: Final = 60
DAY: Final = 86_400


def table_for(kind: str, bar_seconds: int) -> str:
    """Name the table that holds an instrument kind at a resolution.

    Parameters
    ----------
    kind : str
        ``OPT``, ``FUT``, ``CONT``, ``SPOT``, ``EQ`` or ``PAIR``.
    bar_seconds : int
        Bar length in seconds, 0 for ticks.

    Returns
    -------
    str

    """
    return "equity_daily" if kind == "EQ" and bar_seconds == DAY else KIND_TABLES[kind]
