"""TrueData's text layout: headerless snapshots, the instrument only in the member's name.

Quotes stand after the open interest here and before it at GDFL, which is what makes a reader that
goes by position swap them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.samples.delivery import Delivery, two_decimals
from pipeline_defs.samples.layouts import INDIA, instants, ticks_of
from pipeline_defs.samples.prices import PRICE_SCALE
from pipeline_defs.samples.underlyings import UNDERLYINGS

if TYPE_CHECKING:
    from pipeline_defs.samples.market import MarketDay

INDEX_FIELDS: Final = ("date", "time", "last_price", "last_size", "open_interest")
TICK_FIELDS: Final = (
    *("date", "time", "last_price", "last_size", "open_interest"),
    *("bid_price", "bid_size", "ask_price", "ask_size"),
)


def truedata_ticks(day: MarketDay, contracts: int | None, seed: int) -> list[Delivery]:
    """Snapshots of indices, futures and options, a zip for each, one member per instrument.

    Parameters
    ----------
    day : MarketDay
        The day.
    contracts : int or None
        How many contracts, those nearest the money; None is all that traded.
    seed : int
        Seed of the day.

    Returns
    -------
    list of Delivery
        Without those that would hold nothing.

    """
    ticks = ticks_of(day, contracts, seed).join(
        day.contracts.select("contract", "kind", "exchange_symbol", "date_symbol"),
        on="contract",
        how="left",
        maintain_order="left",
    )
    futures = ticks.filter(pl.col("kind") == "FUT").with_columns(
        name=pl.format("Contract Futures/{}.csv", "exchange_symbol")
    )
    options = ticks.filter(pl.col("kind") == "OPT").with_columns(name=pl.format("{}.csv", "date_symbol"))
    segments = [("IDX", INDEX_FIELDS, _index_values(day)), ("FUT", TICK_FIELDS, futures), ("OPT", TICK_FIELDS, options)]
    return [_delivery(day, segment, fields, values) for segment, fields, values in segments if not values.is_empty()]


def _index_values(day: MarketDay) -> pl.DataFrame:
    """One value a second of each index that prints paise."""
    seconds = day.hours.cash_seconds
    paise = PRICE_SCALE // 100
    frames = [
        pl.DataFrame({"second": seconds, "last_price": path[seconds]}).with_columns(
            name=pl.lit(f"{symbol}.csv"), last_size=pl.lit(0), open_interest=pl.lit(0)
        )
        for symbol, path in day.spot_paths.items()
        if UNDERLYINGS[symbol].kind == "SPOT" and UNDERLYINGS[symbol].tick_e4 % paise == 0
    ]
    return pl.concat(frames) if frames else pl.DataFrame()


def _delivery(day: MarketDay, segment: str, fields: tuple[str, ...], values: pl.DataFrame) -> Delivery:
    names = values["name"].unique(maintain_order=True)
    file_of_name = dict(zip(names, range(len(names)), strict=True))
    stamps = instants(day.hours.derivative_open, values["second"].to_numpy())
    rows = values.select(
        values["name"].replace_strict(file_of_name, return_dtype=pl.UInt32).alias("file"),
        pl.lit(f"{day.trade_date:%Y%m%d}").alias("date"),
        stamps.dt.convert_time_zone(INDIA.key).dt.to_string("%H:%M:%S").alias("time"),
        stamps.alias("timestamp"),
        *(
            two_decimals(values[name]).alias(name) if name.endswith("price") else pl.col(name).cast(pl.String)
            for name in fields[2:]
        ),
    )
    return Delivery(
        product="truedata",
        names=tuple(names),
        header="",
        fields=fields,
        rows=rows,
        bar_seconds=0,
        archives=(f"NSE_{segment}_TICK_{day.trade_date:%Y%m%d}.zip",),
    )
