"""Slices made in memory: one underlying, futures and options over two sessions, with prices that walk by steps."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl

from pipeline_defs.schema.columns import PRICE, SIZE, TIMESTAMP
from pipeline_defs.schema.exports import BAR_SCHEMA, INSTRUMENT_SCHEMA, MarketSlice

if TYPE_CHECKING:
    from collections.abc import Iterator

SESSIONS = (dt.date(2025, 8, 13), dt.date(2025, 8, 14))
WEEKLY, MONTHLY = SESSIONS[1], dt.date(2025, 8, 28)


def close_of(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(10, 0), dt.UTC)


def open_of(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(3, 45), dt.UTC)


def bars_of(instrument_id: int, start: str, step: str = "0.05", *, minutes: int = 375, **columns: Any) -> pl.DataFrame:
    """Make the last one-minute bars of both sessions, so that the last one ends with the session."""
    stamps = [close_of(day) - dt.timedelta(minutes=minute) for day in SESSIONS for minute in reversed(range(minutes))]
    index = pl.int_range(len(stamps), eager=True)
    frame = pl.DataFrame({"timestamp": stamps}).with_columns(
        instrument_id=pl.lit(instrument_id),
        close=((index * 7919) % 23).cast(PRICE) * pl.lit(Decimal(step), PRICE) + pl.lit(Decimal(start), PRICE),
        volume=(index * 75) % 4500,
        open_interest=pl.lit(None, pl.Int64),
    )
    frame = frame.with_columns(open=pl.col("close").shift().fill_null(pl.lit(Decimal(start), PRICE)))
    frame = frame.with_columns(high=pl.max_horizontal("open", "close"), low=pl.min_horizontal("open", "close"))
    return frame.with_columns(**columns).select(pl.col(name).cast(kind) for name, kind in BAR_SCHEMA.items())


def instrument(instrument_id: int, kind: str, **terms: Any) -> dict[str, Any]:
    expiry = terms.get("expiry")
    defaults = {
        "instrument_id": instrument_id,
        "kind": kind,
        "symbol": f"{kind}{instrument_id}",
        "underlying": "NIFTY",
        "venue": "NSE",
        "currency": "INR",
        "expiry_close": None if expiry is None else close_of(expiry),
    }
    if kind in {"OPT", "FUT"}:
        defaults |= {"lot_size": 75, "tick_size": Decimal("0.05")}
    return dict.fromkeys(INSTRUMENT_SCHEMA) | defaults | terms


def option(instrument_id: int, strike: str, right: str, expiry: dt.date = WEEKLY, **terms: Any) -> dict[str, Any]:
    return instrument(instrument_id, "OPT", strike=Decimal(strike), option_type=right, expiry=expiry, **terms)


def make_slice(
    instruments: list[dict[str, Any]],
    frames: list[pl.DataFrame],
    *,
    bar_seconds: int = 60,
    underlying: str = "NIFTY",
    sessions: tuple[dt.date, ...] = SESSIONS,
    **further: Any,
) -> MarketSlice:
    bars = pl.concat(frames) if frames else pl.DataFrame(schema=BAR_SCHEMA)
    counted = bars.group_by("instrument_id").agg(
        first_timestamp=pl.col("timestamp").min(),
        last_timestamp=pl.col("timestamp").max(),
        row_count=pl.len().cast(pl.Int64),
    )
    terms = pl.DataFrame(instruments, schema=INSTRUMENT_SCHEMA).drop("first_timestamp", "last_timestamp", "row_count")

    def read_bars(instrument_ids: list[int] | None = None) -> Iterator[pl.DataFrame]:
        wanted = bars if instrument_ids is None else bars.filter(pl.col("instrument_id").is_in(instrument_ids))
        ids = wanted["instrument_id"].unique(maintain_order=True)
        # Two pieces, so that whatever is done per frame is done more than once.
        for half in (ids.head(ids.len() // 2), ids.tail(ids.len() - ids.len() // 2)):
            yield wanted.filter(pl.col("instrument_id").is_in(half.implode()))

    return MarketSlice(
        underlying=underlying,
        start_date=SESSIONS[0],
        end_date=SESSIONS[-1],
        bar_seconds=bar_seconds,
        sessions=pl.DataFrame(
            {
                "session_date": sessions,
                "open": [open_of(day) for day in sessions],
                "close": [close_of(day) for day in sessions],
            },
            schema={"session_date": pl.Date, "open": BAR_SCHEMA["timestamp"], "close": BAR_SCHEMA["timestamp"]},
        ),
        instruments=terms.join(counted, on="instrument_id", how="left").select(list(INSTRUMENT_SCHEMA)),
        read_bars=read_bars,
        load_ids=(1, 7),
        known_at=close_of(SESSIONS[-1]),
        **further,
    )


def with_resolutions(market: MarketSlice, *bar_seconds: int) -> MarketSlice:
    """Add longer bars, in buckets that start at the open of each session and end with it at the latest."""
    return replace(market, resolutions=tuple(_longer(market, seconds) for seconds in bar_seconds))


def _longer(market: MarketSlice, bar_seconds: int) -> MarketSlice:
    sessions = market.sessions.select(opens="open", closes="close").sort("closes")
    elapsed = (pl.col("timestamp") - pl.col("opens")).dt.total_seconds()
    buckets = -(-elapsed // bar_seconds)
    bars = (
        pl.concat(market.read_bars())
        .sort("timestamp")
        .join_asof(sessions, left_on="timestamp", right_on="closes", strategy="forward", coalesce=False)
        .with_columns(
            timestamp=pl.min_horizontal(pl.col("opens") + pl.duration(seconds=buckets * bar_seconds), "closes")
        )
        .group_by("instrument_id", "timestamp", maintain_order=True)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume").sum(),
            pl.col("open_interest").last(),
        )
        .sort("instrument_id", "timestamp")
        .select(pl.col(name).cast(kind) for name, kind in market.bar_schema.items())
    )
    made = make_slice(market.instruments.to_dicts(), [bars], bar_seconds=bar_seconds)
    return replace(market, bar_seconds=bar_seconds, instruments=made.instruments, read_bars=made.read_bars)


def nifty_slice(minutes: int = 30) -> MarketSlice:
    """The index, a future and six options, four of which expire on the second day."""
    options = [
        option(10, "24500", "CE"),
        option(11, "24500", "PE"),
        option(12, "24600", "CE"),
        option(13, "24650.5", "PE"),
        option(14, "24500", "CE", MONTHLY),
        option(15, "24500", "PE", MONTHLY),
    ]
    interest = pl.int_range(pl.len()) * 75
    return make_slice(
        [instrument(1, "SPOT"), instrument(2, "FUT", expiry=WEEKLY), *options],
        [
            bars_of(1, "24580.35", "1.25", minutes=minutes, volume=0),
            bars_of(2, "24600.05", "1.25", minutes=minutes, open_interest=interest),
            *(
                bars_of(row["instrument_id"], f"{80 + row['instrument_id']}.05", "0.15", minutes=minutes)
                for row in options
            ),
        ],
    )


def utc_day(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def crypto_slice(minutes: int = 60) -> MarketSlice:
    """A pair that trades fractions around the clock, the last minutes of two UTC days, and an option on it."""
    sizes = [Decimal(text) for text in ("0.00000001", "12.5", "0", "1234.00096", "7")]
    days = [utc_day(day + dt.timedelta(days=1)) for day in SESSIONS]
    stamps = [end - dt.timedelta(minutes=minute) for end in days for minute in reversed(range(minutes))]
    sized = pl.Series(sizes * len(stamps), dtype=SIZE).head(len(stamps))
    frames = [
        bars_of(number, start, "0.01", minutes=minutes)
        .with_columns(timestamp=pl.Series(stamps, dtype=TIMESTAMP), volume=sized)
        .cast({"volume": SIZE})
        for number, start in ((1, "117345.12345678"), (2, "1200.5"))
    ]
    crypto: dict[str, Any] = {"underlying": "BTCUSDT", "venue": "BINANCE", "currency": "USDT"}
    market = make_slice(
        [
            instrument(1, "PAIR", symbol="BTC/USDT", base_currency="BTC", tick_size=Decimal("0.01"), **crypto),
            option(2, "117000", "CE", expiry_close=days[1], **crypto | {"lot_size": None, "tick_size": None}),
        ],
        frames,
        underlying="BTCUSDT",
        timezone="UTC",
        fractional=True,
    )
    sessions = pl.DataFrame(
        {"session_date": SESSIONS, "open": [utc_day(day) for day in SESSIONS], "close": days},
        schema=market.sessions.schema,
    )
    return replace(market, sessions=sessions)
