"""Slices made in memory: an Indian market with ticks, a further resolution and changing terms, and a crypto pair."""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl

from pipeline_defs.schema.columns import PRICE, SIZE
from pipeline_defs.schema.exports import (
    ACTION_SCHEMA,
    BAR_SCHEMA,
    INSTRUMENT_SCHEMA,
    SETTLEMENT_SCHEMA,
    TERM_PERIOD_SCHEMA,
    TICK_SCHEMA,
    MarketSlice,
    TickSlice,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.schema.exports import BarReader

SESSIONS = (dt.date(2025, 8, 13), dt.date(2025, 8, 14))
WEEKLY, MONTHLY = SESSIONS[1], dt.date(2025, 8, 28)
DAYS = (dt.date(2018, 5, 1), dt.date(2018, 5, 2))
_COUNTS = ("first_timestamp", "last_timestamp", "row_count")


def open_of(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(3, 45), dt.UTC)


def close_of(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(10, 0), dt.UTC)


def instrument(instrument_id: int, kind: str, symbol: str, **terms: Any) -> dict[str, Any]:
    expiry = terms.get("expiry")
    defaults: dict[str, Any] = {
        "instrument_id": instrument_id,
        "kind": kind,
        "symbol": symbol,
        "underlying": "NIFTY",
        "venue": "NSE",
        "currency": "INR",
        "expiry_close": None if expiry is None else close_of(expiry),
    }
    if kind in {"OPT", "FUT"}:
        defaults |= {"lot_size": 75, "tick_size": Decimal("0.05")}
    return dict.fromkeys(INSTRUMENT_SCHEMA) | defaults | terms


def walk(
    instrument_id: int, stamps: list[dt.datetime], start: str, step: str, *, fractional: bool = False, **columns: Any
) -> pl.DataFrame:
    """Make bars whose prices walk by steps."""
    index = pl.int_range(len(stamps), eager=True)
    frame = pl.DataFrame({"timestamp": stamps}).with_columns(
        instrument_id=pl.lit(instrument_id),
        close=((index * 7919) % 23).cast(PRICE) * pl.lit(Decimal(step), PRICE) + pl.lit(Decimal(start), PRICE),
        volume=(index * 75) % 4500,
        open_interest=pl.lit(None, pl.Int64),
    )
    frame = frame.with_columns(open=pl.col("close").shift().fill_null(pl.lit(Decimal(start), PRICE)))
    frame = frame.with_columns(high=pl.max_horizontal("open", "close"), low=pl.min_horizontal("open", "close"))
    schema = BAR_SCHEMA | ({"volume": SIZE} if fractional else {})
    return frame.with_columns(**columns).select(pl.col(name).cast(schema[name]) for name in BAR_SCHEMA)


def minutes(count: int, every: int = 1) -> list[dt.datetime]:
    """Close stamps of both sessions' first bars."""
    return [open_of(day) + dt.timedelta(minutes=every * (k + 1)) for day in SESSIONS for k in range(count)]


def in_halves(rows: pl.DataFrame) -> BarReader:
    """Make a reader that gives the rows in two frames, so that whatever is done per frame is done more than once."""

    def read(instrument_ids: list[int] | None = None) -> Iterator[pl.DataFrame]:
        wanted = rows if instrument_ids is None else rows.filter(pl.col("instrument_id").is_in(instrument_ids))
        ids = wanted["instrument_id"].unique(maintain_order=True)
        for half in (ids.head(ids.len() // 2), ids.tail(ids.len() - ids.len() // 2)):
            yield wanted.filter(pl.col("instrument_id").is_in(half.implode()))

    return read


def described(instruments: list[dict[str, Any]], rows: pl.DataFrame) -> pl.DataFrame:
    """Give instruments the counts of their rows."""
    counted = rows.group_by("instrument_id").agg(
        first_timestamp=pl.col("timestamp").min(),
        last_timestamp=pl.col("timestamp").max(),
        row_count=pl.len().cast(pl.Int64),
    )
    terms = pl.DataFrame(instruments, schema=INSTRUMENT_SCHEMA).drop(_COUNTS)
    return terms.join(counted, on="instrument_id", how="inner").select(list(INSTRUMENT_SCHEMA))


def market_of(
    instruments: list[dict[str, Any]], bars: pl.DataFrame, *, bar_seconds: int = 60, **changes: Any
) -> MarketSlice:
    sessions = pl.DataFrame(
        {"session_date": SESSIONS, "open": map(open_of, SESSIONS), "close": map(close_of, SESSIONS)},
        schema={"session_date": pl.Date, "open": BAR_SCHEMA["timestamp"], "close": BAR_SCHEMA["timestamp"]},
    )
    market = MarketSlice(
        underlying="NIFTY",
        start_date=SESSIONS[0],
        end_date=SESSIONS[-1],
        bar_seconds=bar_seconds,
        sessions=sessions,
        instruments=described(instruments, bars),
        read_bars=in_halves(bars),
        load_ids=(1, 7),
        known_at=close_of(SESSIONS[-1]),
    )
    return dataclasses.replace(market, **changes)


INSTRUMENTS = [
    instrument(1, "SPOT", "NIFTY 50.NSE_IDX"),
    instrument(2, "FUT", "NIFTY28AUG25FUT.NFO", expiry=MONTHLY),
    instrument(
        10, "OPT", "NIFTY14AUG2524500CE.NFO", expiry=WEEKLY, strike=Decimal(24500), option_type="CE", lot_size=None
    ),
    instrument(11, "OPT", "NIFTY14AUG2524650.5PE.NFO", expiry=WEEKLY, strike=Decimal("24650.5"), option_type="PE"),
    instrument(20, "OPT", 'only, "ticks"', expiry=MONTHLY, strike=Decimal(25000), option_type="CE"),
]


def nifty_bars(stamps: list[dt.datetime]) -> pl.DataFrame:
    interest = pl.int_range(pl.len()) * 75
    return pl.concat(
        [
            walk(1, stamps, "24580.35", "1.25", volume=0),
            walk(2, stamps, "24600.05", "1.25", open_interest=interest),
            walk(10, stamps, "90.05", "0.15", open_interest=interest),
            walk(11, stamps, "0.00000001", "0.00000003"),
        ]
    )


def nifty_ticks() -> pl.DataFrame:
    """Two trades in one second, one with microseconds, and updates of one side of the quote alone."""
    second = open_of(SESSIONS[0])
    rows = [
        (2, second, 0, "24600.05", 75, 1500, "24600", 75, "24600.1", 150),
        (2, second, 1, "24600.1", 0, 1500, None, None, "24600.15", 75),
        (20, second + dt.timedelta(seconds=1, microseconds=250), 0, "12.35", 150, None, "12.3", 75, None, None),
        (20, close_of(SESSIONS[1]), 0, "123456789012.12345678", 75, 0, None, None, None, None),
    ]
    text = pl.DataFrame(rows, schema={name: _textual(dtype) for name, dtype in TICK_SCHEMA.items()}, orient="row")
    return text.cast(pl.Schema(TICK_SCHEMA))


def _textual(dtype: pl.DataType) -> pl.DataType:
    return pl.String() if isinstance(dtype, pl.Decimal) else dtype


def nifty_slice() -> MarketSlice:
    """Minutes with derived five-minute bars, ticks, settlements, and a future whose lot and name change."""
    bars, ticks = nifty_bars(minutes(30)), nifty_ticks()
    periods = [
        (1, None, None, "NIFTY 50.NSE_IDX", "NIFTY", None, None, None, None, Decimal(1)),
        (2, None, SESSIONS[1], "NIFTY28AUG25F.NFO", "NIFTY", MONTHLY, None, 50, Decimal("0.05"), Decimal(1)),
        (2, SESSIONS[1], None, "NIFTY28AUG25FUT.NFO", "NIFTY", MONTHLY, None, 75, Decimal("0.05"), Decimal(1)),
    ]
    settlements = [(10, WEEKLY, Decimal("131.05"), Decimal("24631.05")), (11, WEEKLY, Decimal("19.45"), None)]
    market = market_of(
        INSTRUMENTS,
        bars,
        ticks=TickSlice(described(INSTRUMENTS, ticks), in_halves(ticks)),
        term_periods=pl.DataFrame(periods, schema=TERM_PERIOD_SCHEMA, orient="row"),
        settlements=pl.DataFrame(settlements, schema=SETTLEMENT_SCHEMA, orient="row"),
        actions=pl.DataFrame([(1, SESSIONS[1], "dividend", Decimal("1.5"))], schema=ACTION_SCHEMA, orient="row"),
    )
    five = market_of(INSTRUMENTS, nifty_bars(minutes(6, 5)), bar_seconds=300, term_periods=market.term_periods)
    return dataclasses.replace(market, resolutions=(five,))


def daily_slice() -> MarketSlice:
    """Stored daily bars with the exchange's settlements on the day of expiry."""
    stamps = [close_of(day) for day in SESSIONS]
    settlements = [
        (10, WEEKLY, Decimal("131.05"), Decimal("24631.05")),
        (2, WEEKLY, Decimal("24632.4"), None),
    ]
    return market_of(
        INSTRUMENTS,
        nifty_bars(stamps),
        bar_seconds=86_400,
        settlements=pl.DataFrame(settlements, schema=SETTLEMENT_SCHEMA, orient="row"),
    )


def pair_slice() -> MarketSlice:
    """BTC/USDT by the hour over two UTC days, with fractional volumes."""
    start = dt.datetime.combine(DAYS[0], dt.time(), dt.UTC)
    stamps = [start + dt.timedelta(hours=k + 1) for k in range(48)]
    bars = walk(
        5,
        stamps,
        "9246.01",
        "0.00000001",
        fractional=True,
        volume=pl.lit(Decimal("0.00000001"), PRICE) + pl.col("close"),
    )
    midnights = [dt.datetime.combine(day, dt.time(), dt.UTC) for day in DAYS]
    pair = instrument(
        *(5, "PAIR", "BTC/USDT"), underlying="BTCUSDT", venue="BINANCE", currency="USDT", base_currency="BTC"
    )
    return MarketSlice(
        underlying="BTCUSDT",
        start_date=DAYS[0],
        end_date=DAYS[-1],
        bar_seconds=3_600,
        sessions=pl.DataFrame(
            {"session_date": DAYS, "open": midnights, "close": [m + dt.timedelta(days=1) for m in midnights]},
            schema={"session_date": pl.Date, "open": BAR_SCHEMA["timestamp"], "close": BAR_SCHEMA["timestamp"]},
        ),
        instruments=described([pair], bars),
        read_bars=in_halves(bars),
        load_ids=(3,),
        known_at=start,
        timezone="UTC",
        fractional=True,
    )
