"""A month of sessions as a source hands it to the warehouse: batches, not files.

For trying what watches over stored data: a small chain on NIFTY with its futures, minutes of indices and shares, daily
rows of the shares, and on some days ticks with quotes. One session is the Muhurat hour. Nothing in it is wrong.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.samples.chain import ChainSpec
from pipeline_defs.samples.hours import session_dates
from pipeline_defs.samples.market import CALM, DayState, MarketDay, Weather, random_for, trade_one_day
from pipeline_defs.samples.prices import PRICE_SCALE
from pipeline_defs.samples.ticks import snapshots
from pipeline_defs.samples.underlyings import UNDERLYINGS
from pipeline_defs.schema.batches import (
    CONTRACT_SCHEMA,
    FILE_SCHEMA,
    OBSERVATION_SCHEMA,
    REJECT_SCHEMA,
    ImportBatch,
)
from pipeline_defs.schema.columns import PRICE, TIMESTAMP
from pipeline_defs.schema.tables import DAY, MINUTE, TICK

if TYPE_CHECKING:
    from collections.abc import Iterator

_E4: Final = pl.Decimal(20, 4)
_PRICES: Final = ("open", "high", "low", "close")


CHAIN: Final = ChainSpec("NIFTY", strikes_each_side=2, strike_every=8, monthlies=2, futures=2)


@dataclass(frozen=True)
class MonthSpec:
    """What month to invent.

    Parameters
    ----------
    start_date, end_date : datetime.date
        First and last day; the default holds twenty sessions, the Muhurat hour of 2025-10-21 among them.
    seed : int, default 7
        Same seed, same month.
    chain : ChainSpec
        Options and futures that are listed.
    symbols : tuple of str
        Further indices and shares.
    activity : float
        Trading relative to the sample market's normal.
    weather : dict of datetime.date to Weather
        Of the days that are not as the month is.
    usual_weather : Weather
        Of all others.
    tick_dates : tuple of datetime.date
        Days with ticks of options.
    tick_contracts : int
        So many of them, those that trade most, have ticks.

    """

    start_date: dt.date = dt.date(2025, 10, 1)
    end_date: dt.date = dt.date(2025, 10, 30)
    seed: int = 7
    chain: ChainSpec = CHAIN
    symbols: tuple[str, ...] = ("BANKNIFTY", "RELIANCE", "M&M")
    activity: float = 0.03
    weather: dict[dt.date, Weather] = field(default_factory=dict)
    usual_weather: Weather = CALM
    tick_dates: tuple[dt.date, ...] = (dt.date(2025, 10, 9), dt.date(2025, 10, 16))
    tick_contracts: int = 3


def month_batches(spec: MonthSpec) -> Iterator[tuple[dt.date, list[ImportBatch]]]:
    """Invent a month, session by session.

    Parameters
    ----------
    spec : MonthSpec
        Which.

    Yields
    ------
    tuple of (datetime.date, list of ImportBatch)
        A session, and one batch for each table and resolution.

    """
    state, before = DayState(), None
    for trade_date in session_dates(spec.start_date, spec.end_date):
        day = trade_one_day(
            trade_date,
            (spec.chain,),
            seed=spec.seed,
            nights=0 if before is None else (trade_date - before).days,
            state=state,
            extra_symbols=spec.symbols,
            activity=spec.activity,
            weather=spec.weather.get(trade_date, spec.usual_weather),
        )
        state, before = day.state, trade_date
        yield trade_date, _batches(day, spec)


def _batches(day: MarketDay, spec: MonthSpec) -> list[ImportBatch]:
    bars = day.bars.join(day.contracts.select("contract", "kind", "lot_size"), on="contract", maintain_order="left")
    batches = [
        _derivatives(day, bars.filter(pl.col("kind") == "OPT"), "options_ticks", MINUTE),
        _derivatives(day, bars.filter(pl.col("kind") == "FUT"), "futures_ticks", MINUTE),
        _spot(day),
        _shares(day),
    ]
    if day.trade_date in spec.tick_dates:
        listed = bars.filter(pl.col("kind") == "OPT")
        chosen = listed["contract"].value_counts().sort(["count", "contract"], descending=[True, False])["contract"]
        ticks = snapshots(
            listed.filter(pl.col("contract").is_in(chosen.head(spec.tick_contracts).implode())),
            random_for(spec.seed, day.trade_date, "ticks"),
        )
        batches.append(_ticks(day, ticks))
    return batches


def _derivatives(day: MarketDay, rows: pl.DataFrame, table: str, bar_seconds: int) -> ImportBatch:
    keys = rows.select("contract").unique(maintain_order=True).with_row_index("contract_key")
    contracts = keys.join(day.contracts, on="contract", maintain_order="left").select(
        "contract_key",
        "kind",
        "underlying",
        "expiry",
        "option_type",
        "lot_size",
        symbol=pl.col("exchange_symbol"),
        strike=_price("strike_e4"),
        tick_size=pl.lit("0.05").cast(PRICE),
        venue=pl.lit("NSE"),
        currency=pl.lit("INR"),
    )
    observations = rows.join(keys, on="contract", maintain_order="left").with_columns(
        _minute_close(day), *(_price(name).alias(name) for name in _PRICES)
    )
    return _batch(day, table, bar_seconds, contracts, observations)


def _ticks(day: MarketDay, ticks: pl.DataFrame) -> ImportBatch:
    last = _price("last_price")
    rows = ticks.with_columns(
        last.alias("price"),
        _price("bid_price"),
        _price("ask_price"),
        volume=pl.col("last_size"),
        sequence=pl.int_range(pl.len(), dtype=pl.Int32).over("contract", "second"),
        timestamp=_instant(day) + pl.duration(seconds=pl.col("second")),
    )
    batch = _derivatives(day, rows.with_columns(minute=0, **dict.fromkeys(_PRICES, 1)), "options_ticks", TICK)
    exact = batch.observations.with_columns(
        rows["timestamp"].cast(TIMESTAMP), *(rows["price"].cast(PRICE).alias(name) for name in _PRICES)
    )
    return replace(batch, observations=exact)


def _spot(day: MarketDay) -> ImportBatch:
    contracts = _cash_contracts([*dict.fromkeys(day.spot_bars["symbol"])])
    rows = (
        day.spot_bars.join(contracts.select("contract_key", symbol="underlying"), on="symbol", maintain_order="left")
        .with_columns(_minute_close(day), *(_price(name).alias(name) for name in _PRICES))
        .with_columns(volume=pl.when(pl.col("symbol").is_in(_shares_of(day))).then("volume"))
    )
    return _batch(day, "spot_prices", MINUTE, contracts, rows)


def _shares(day: MarketDay) -> ImportBatch:
    contracts = _cash_contracts(_shares_of(day)).with_columns(series=pl.lit("EQ"))
    rows = (
        day.spot_bars.join(contracts.select("contract_key", symbol="underlying"), on="symbol", how="inner")
        .group_by("contract_key", maintain_order=True)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume").sum(),
            pl.col("minute").max(),
        )
        .with_columns(_minute_close(day), *(_price(name).alias(name) for name in _PRICES))
    )
    return _batch(day, "equity_daily", DAY, contracts, rows)


def _shares_of(day: MarketDay) -> list[str]:
    return [symbol for symbol in day.spot_paths if UNDERLYINGS[symbol].kind == "EQ"]


def _cash_contracts(symbols: list[str]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "kind": [UNDERLYINGS[symbol].kind for symbol in symbols],
            "symbol": symbols,
            "underlying": symbols,
            "isin": [UNDERLYINGS[symbol].isin or None for symbol in symbols],
        },
        schema_overrides={"isin": pl.String},
    ).select(
        pl.int_range(pl.len(), dtype=pl.UInt32).alias("contract_key"),
        pl.all(),
        venue=pl.lit("NSE"),
        currency=pl.lit("INR"),
    )


def _batch(day: MarketDay, table: str, bar_seconds: int, contracts: pl.DataFrame, rows: pl.DataFrame) -> ImportBatch:
    """Put frames into the shape of the import port; what they do not have is null."""
    ordered = rows if "sequence" in rows.columns else rows.with_columns(sequence=pl.lit(0))
    named = f"{table}_{bar_seconds}_{day.trade_date}.csv"
    observations = ordered.with_columns(
        file_index=pl.lit(0), line=pl.int_range(2, ordered.height + 2) if ordered.height else pl.lit(2)
    )
    files = {
        "file_index": 0,
        "path": f"samples/{named}",
        "member": None,
        "logical_name": named,
        "sha256": "0" * 64,
        "size_bytes": rows.height,
        "layout": "sample_month",
    }
    return ImportBatch(
        table=table,
        bar_seconds=bar_seconds,
        trade_date=day.trade_date,
        contracts=_shaped(contracts, CONTRACT_SCHEMA),
        observations=_shaped(observations, OBSERVATION_SCHEMA),
        rejects=pl.DataFrame(schema=REJECT_SCHEMA),
        files=pl.DataFrame([files], schema=FILE_SCHEMA),
    )


def _shaped(frame: pl.DataFrame, schema: dict[str, pl.DataType]) -> pl.DataFrame:
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in schema.items()
    )


def _price(name: str) -> pl.Expr:
    """Rupees, exact, from 1/10,000 rupee."""
    return (pl.col(name).cast(_E4) / pl.lit(PRICE_SCALE).cast(_E4)).cast(PRICE)


def _instant(day: MarketDay) -> pl.Expr:
    return pl.lit(day.hours.derivative_open).cast(TIMESTAMP)


def _minute_close(day: MarketDay) -> pl.Expr:
    return (_instant(day) + pl.duration(minutes=pl.col("minute") + 1)).alias("timestamp")
