"""GDFL's text layouts: minute bars and one-second snapshots of derivatives, indices and shares.

Turns the numbers of a `market.MarketDay` into the vendor's words, dates and clock: minute rows are
stamped HH:MM:59, the end of the minute, and snapshots HH:MM:SS, both Indian time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.samples.delivery import Delivery, shortest_text
from pipeline_defs.samples.market import MarketDay, random_for
from pipeline_defs.samples.ticks import snapshots
from pipeline_defs.samples.underlyings import UNDERLYINGS

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.samples.prices import Integers

INDIA: Final = ZoneInfo("Asia/Kolkata")
MINUTE_HEADER: Final = "Ticker,Date,Time,Open,High,Low,Close,Volume,Open Interest"
MINUTE_FIELDS: Final = ("ticker", "date", "time", "open", "high", "low", "close", "volume", "open_interest")
TICK_HEADER: Final = "Ticker,Date,Time,LTP,BuyPrice,BuyQty,SellPrice,SellQty,LTQ,OpenInterest"
TICK_FIELDS: Final = (
    *("ticker", "date", "time", "last_price", "bid_price", "bid_size", "ask_price", "ask_size"),
    *("last_size", "open_interest"),
)
_PRICE_FIELDS: Final = ("open", "high", "low", "close", "last_price", "bid_price", "ask_price")
_INDEX_QUOTE_FIELDS: Final = ("bid_price", "bid_size", "ask_price", "ask_size", "last_size", "open_interest")


def derivatives_minute(day: MarketDay) -> Delivery:
    """Lay all derivatives of a day out in one file.

    Parameters
    ----------
    day : MarketDay
        The day.

    Returns
    -------
    Delivery

    """
    rows = _minute_text(day, day.bars.drop("contract"), _derivative_tickers(day).gather(day.bars["contract"]))
    return Delivery(
        product="gdfl_fo_minute",
        names=(f"GFDLNFO_BACKADJUSTED_{day.trade_date:%d%m%Y}.csv",),
        header=MINUTE_HEADER,
        fields=MINUTE_FIELDS,
        rows=rows.with_columns(file=pl.lit(0, pl.UInt32)),
        bar_seconds=60,
    )


def derivatives_minute_folder(day: MarketDay, most_files: int | None = None) -> Delivery:
    """Lay one file per contract out in a folder.

    Parameters
    ----------
    day : MarketDay
        The day.
    most_files : int, optional
        Contracts in excess share the last file, which stands beside the folder; default is no limit.

    Returns
    -------
    Delivery

    Raises
    ------
    ConfigurationError
        If `most_files` is below 1.

    """
    if most_files is not None and most_files < 1:
        raise ConfigurationError(f"a folder of {most_files} files holds nothing", next_step="ask for at least one file")
    tickers = _derivative_tickers(day)
    traded = day.bars["contract"].unique(maintain_order=True)
    date = f"{day.trade_date:%d%m%Y}"
    names = [f"GFDLNFO_BACKADJUSTED_{date}/{tickers[contract]}.csv" for contract in traded]
    if most_files is not None and len(names) > most_files:
        names[most_files - 1 :] = [f"GFDLNFO_OPTIONS_{date}.csv"]
    file_of_contract = np.zeros(len(tickers), dtype=np.uint32)
    file_of_contract[traded.to_numpy()] = np.minimum(np.arange(len(traded)), len(names) - 1)
    rows = _minute_text(day, day.bars.drop("contract"), tickers.gather(day.bars["contract"]))
    return Delivery(
        product="gdfl_fo_minute",
        names=tuple(names),
        header=MINUTE_HEADER,
        fields=MINUTE_FIELDS,
        rows=rows.with_columns(pl.Series("file", file_of_contract[day.bars["contract"].to_numpy()])),
        bar_seconds=60,
    )


def derivatives_ticks(day: MarketDay, contracts: int | None, seed: int) -> Delivery:
    """Lay snapshots out in a zip within a zip, one member per contract.

    Parameters
    ----------
    day : MarketDay
        The day.
    contracts : int or None
        How many: those of the nearest expiry and nearest the money; None is all that traded.
    seed : int
        Seed of the day.

    Returns
    -------
    Delivery

    """
    date = f"{day.trade_date:%d%m%Y}"
    ticks = ticks_of(day, contracts, seed)
    tickers = _derivative_tickers(day)
    chosen = ticks["contract"].unique(maintain_order=True)
    folders = day.contracts.select(
        pl.when(pl.col("kind") == "FUT")
        .then(pl.format("Futures/-{}/", pl.lit("I").repeat_by(pl.col("rank")).list.join("")))
        .otherwise(pl.lit("Options/"))
    ).to_series()
    members = [f"GFDLNFO_TICK_{date}/{folders[contract]}{tickers[contract]}.csv" for contract in chosen]
    file_of_contract = np.zeros(len(tickers), dtype=np.uint32)
    file_of_contract[chosen.to_numpy()] = np.arange(len(chosen))
    rows = _tick_text(day, ticks.drop("contract"), tickers.gather(ticks["contract"]))
    return Delivery(
        product="gdfl_fo_tick",
        names=tuple(members),
        header=TICK_HEADER,
        fields=TICK_FIELDS,
        rows=rows.with_columns(pl.Series("file", file_of_contract[ticks["contract"].to_numpy()])),
        bar_seconds=0,
        archives=(f"GFDLNFO_TICK_{date}.zip", f"GFDLNFO_TICK_{date}.zip"),
        newline="\r\n",
    )


def index_minute(day: MarketDay) -> Delivery:
    """Lay minute bars of all indices out in one file, without volume."""
    return _spot_minute(day, "SPOT", "gdfl_index_minute", f"GFDLCM_INDICES_{day.trade_date:%d%m%Y}.csv")


def shares_minute(day: MarketDay) -> Delivery:
    """Lay minute bars of all shares out in one file."""
    return _spot_minute(day, "EQ", "gdfl_cash_minute", f"GFDLCM_STOCK_{day.trade_date:%d%m%Y}.CSV")


def index_ticks(day: MarketDay) -> Delivery:
    """Lay one value a second of each index out in a zip, one member per index."""
    date = f"{day.trade_date:%d%m%Y}"
    symbols = [symbol for symbol in day.spot_paths if UNDERLYINGS[symbol].kind == "SPOT"]
    seconds = day.hours.cash_seconds
    tickers = [f"{UNDERLYINGS[symbol].index_name}.NSE_IDX" for symbol in symbols]
    file = np.repeat(np.arange(len(symbols), dtype=np.uint32), len(seconds))
    values = pl.DataFrame(
        {
            "second": np.tile(seconds, len(symbols)),
            "last_price": np.concatenate([day.spot_paths[symbol][seconds] for symbol in symbols]),
        }
    ).with_columns(pl.lit(0).alias(name) for name in _INDEX_QUOTE_FIELDS)
    rows = _tick_text(day, values, pl.Series(tickers).gather(file))
    return Delivery(
        product="gdfl_index_tick",
        names=tuple(f"GFDLCM_INDICES_TICK_{date}/{ticker}.csv" for ticker in tickers),
        header=TICK_HEADER,
        fields=TICK_FIELDS,
        rows=rows.with_columns(pl.Series("file", file)),
        bar_seconds=0,
        archives=(f"GFDLCM_INDICES_TICK_{date}.zip",),
        newline="\r\n",
    )


def ticks_of(day: MarketDay, contracts: int | None, seed: int) -> pl.DataFrame:
    """Draw snapshots of the contracts of the nearest expiry and nearest the money, in the order of the chain."""
    traded = day.contracts.join(day.bars.select("contract").unique(), on="contract", how="semi")
    spots = pl.DataFrame({"underlying": list(day.spot_paths), "spot_e4": [int(p[0]) for p in day.spot_paths.values()]})
    chosen = (
        traded.join(spots, on="underlying", how="left", maintain_order="left")
        .sort("rank", (pl.col("strike_e4") / pl.col("spot_e4")).log().abs().fill_null(0), "contract")
        .head(contracts if contracts is not None else traded.height)
        .select("contract", "lot_size")
    )
    bars = day.bars.join(chosen, on="contract", how="inner", maintain_order="left")
    return snapshots(bars, random_for(seed, day.trade_date, "ticks"))


def _spot_minute(day: MarketDay, kind: str, product: str, name: str) -> Delivery:
    tickers = {
        symbol: f"{UNDERLYINGS[symbol].index_name}.NSE_IDX" if kind == "SPOT" else f"{symbol}.NSE"
        for symbol in day.spot_paths
        if UNDERLYINGS[symbol].kind == kind
    }
    bars = day.spot_bars.filter(pl.col("symbol").is_in(list(tickers))).with_columns(open_interest=pl.lit(0))
    rows = _minute_text(day, bars.drop("symbol"), bars["symbol"].replace_strict(tickers, return_dtype=pl.String))
    return Delivery(
        product=product,
        names=(name,),
        header=MINUTE_HEADER,
        fields=MINUTE_FIELDS,
        rows=rows.with_columns(file=pl.lit(0, pl.UInt32)),
        bar_seconds=60,
    )


def _derivative_tickers(day: MarketDay) -> pl.Series:
    return day.contracts["ticker"] + ".NFO"


def _minute_text(day: MarketDay, bars: pl.DataFrame, tickers: pl.Series) -> pl.DataFrame:
    minutes = bars["minute"].to_numpy()
    stamps = np.arange(1, day.hours.derivative_minutes + 1) * 60
    return _text(day, bars.drop("minute"), tickers, last_seconds=stamps - 1, complete_seconds=stamps, index=minutes)


def _tick_text(day: MarketDay, ticks: pl.DataFrame, tickers: pl.Series) -> pl.DataFrame:
    stamps = np.arange(day.hours.derivative_minutes * 60)
    seconds = ticks["second"].to_numpy()
    return _text(day, ticks.drop("second"), tickers, last_seconds=stamps, complete_seconds=stamps, index=seconds)


def _text(
    day: MarketDay,
    values: pl.DataFrame,
    tickers: pl.Series,
    *,
    last_seconds: Integers,
    complete_seconds: Integers,
    index: Integers,
) -> pl.DataFrame:
    """Write numbers as text; clock texts are made once per distinct instant and looked up."""
    opening = day.hours.derivative_open
    clock = instants(opening, last_seconds).dt.convert_time_zone(INDIA.key).dt.to_string("%H:%M:%S")
    return values.select(
        tickers.alias("ticker"),
        pl.lit(f"{day.trade_date:%d/%m/%Y}").alias("date"),
        clock.gather(index).alias("time"),
        instants(opening, complete_seconds).gather(index).alias("timestamp"),
        *(
            shortest_text(values[name]).alias(name) if name in _PRICE_FIELDS else pl.col(name).cast(pl.String)
            for name in values.columns
        ),
    )


def instants(opening: dt.datetime, seconds: Integers) -> pl.Series:
    """Give the instants (UTC) some seconds after the open."""
    offsets = pl.Series(seconds * 1_000_000).cast(pl.Duration("us"))
    return pl.select(pl.lit(opening, dtype=pl.Datetime("us", "UTC")) + offsets).to_series()
