"""Slices made in memory for LEAN: an index with derivatives, resolutions and ticks; a share; a pair."""

from __future__ import annotations

import datetime as dt
import zipfile
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl

from pipeline_defs.schema.columns import PRICE, SIZE
from pipeline_defs.schema.exports import (
    ACTION_SCHEMA,
    BAR_SCHEMA,
    INSTRUMENT_SCHEMA,
    TICK_SCHEMA,
    MarketSlice,
    TickSlice,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SESSIONS = (dt.date(2025, 8, 13), dt.date(2025, 8, 14))
WEEKLY, MONTHLY = SESSIONS[1], dt.date(2025, 8, 28)
OPEN, CLOSE = dt.time(3, 45), dt.time(10, 0)
HOUR, DAY = 3_600, 86_400


def at(day: dt.date, clock: dt.time) -> dt.datetime:
    return dt.datetime.combine(day, clock, dt.UTC)


def session_frame(days: tuple[dt.date, ...] = SESSIONS, opens: dt.time = OPEN, closes: dt.time = CLOSE) -> pl.DataFrame:
    return pl.DataFrame(
        {"session_date": days, "open": [at(day, opens) for day in days], "close": [at(day, closes) for day in days]},
        schema={"session_date": pl.Date, "open": BAR_SCHEMA["timestamp"], "close": BAR_SCHEMA["timestamp"]},
    )


def stamps_of(sessions: pl.DataFrame, seconds: int, last: int | None = None) -> list[dt.datetime]:
    """Give the closes of all bars of the sessions, or of the last ones of each."""
    stamps: list[dt.datetime] = []
    for opens, closes in sessions.select("open", "close").iter_rows():
        count = -(-int((closes - opens).total_seconds()) // seconds)
        ends = [min(opens + dt.timedelta(seconds=seconds * (at + 1)), closes) for at in range(count)]
        stamps += ends if last is None else ends[-last:]
    return stamps


def bars_of(
    instrument_id: int, stamps: list[dt.datetime], start: str, step: str = "0.05", **columns: Any
) -> pl.DataFrame:
    index = pl.int_range(len(stamps), eager=True)
    first = pl.lit(Decimal(start), PRICE)
    frame = pl.DataFrame({"timestamp": stamps}).with_columns(
        instrument_id=pl.lit(instrument_id),
        close=((index * 7919) % 23).cast(PRICE) * pl.lit(Decimal(step), PRICE) + first,
        volume=(index * 75) % 4500,
        open_interest=pl.lit(None, pl.Int64),
    )
    frame = frame.with_columns(open=pl.col("close").shift().fill_null(first))
    frame = frame.with_columns(high=pl.max_horizontal("open", "close"), low=pl.min_horizontal("open", "close"))
    return frame.with_columns(**columns).select(list(BAR_SCHEMA))


def instrument(instrument_id: int, kind: str, **terms: Any) -> dict[str, Any]:
    expiry = terms.get("expiry")
    defaults = {
        "instrument_id": instrument_id,
        "kind": kind,
        "symbol": f"{kind}{instrument_id}",
        "underlying": "NIFTY",
        "venue": "NSE",
        "currency": "INR",
        "expiry_close": None if expiry is None else at(expiry, CLOSE),
    }
    if kind in {"OPT", "FUT"}:
        defaults |= {"lot_size": 75, "tick_size": Decimal("0.05")}
    return dict.fromkeys(INSTRUMENT_SCHEMA) | defaults | terms


def option(instrument_id: int, strike: str, right: str, expiry: dt.date = WEEKLY, **terms: Any) -> dict[str, Any]:
    return instrument(instrument_id, "OPT", strike=Decimal(strike), option_type=right, expiry=expiry, **terms)


def make_slice(
    instruments: list[dict[str, Any]], frames: list[pl.DataFrame], *, bar_seconds: int = 60, **more: Any
) -> MarketSlice:
    fractional = more.get("fractional", False)
    schema = {**BAR_SCHEMA, "volume": SIZE} if fractional else BAR_SCHEMA
    cast = [frame.select(pl.col(name).cast(kind) for name, kind in schema.items()) for frame in frames]
    bars = pl.concat([pl.DataFrame(schema=schema), *cast]).sort("instrument_id", maintain_order=True)
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
            if not half.is_empty():
                yield wanted.filter(pl.col("instrument_id").is_in(half.implode()))

    sessions = more.pop("sessions", session_frame())
    return MarketSlice(
        underlying=more.pop("underlying", "NIFTY"),
        start_date=sessions["session_date"][0],
        end_date=sessions["session_date"][-1],
        bar_seconds=bar_seconds,
        sessions=sessions,
        instruments=terms.join(counted, on="instrument_id", how="left").select(list(INSTRUMENT_SCHEMA)),
        read_bars=read_bars,
        load_ids=(1, 7),
        known_at=sessions["close"][-1],
        **more,
    )


def nifty_instruments() -> list[dict[str, Any]]:
    options = [
        option(10, "24500", "CE"),
        option(11, "24500", "PE"),
        option(12, "24600", "CE"),
        option(13, "24650.5", "PE"),
        option(14, "24500", "CE", MONTHLY),
        option(15, "24500", "PE", MONTHLY),
    ]
    return [instrument(1, "SPOT"), instrument(2, "FUT", expiry=MONTHLY), *options]


def nifty_frames(stamps: list[dt.datetime]) -> list[pl.DataFrame]:
    interest = pl.int_range(pl.len()) * 75
    return [
        bars_of(1, stamps, "24580.35", "1.25", volume=0),
        bars_of(2, stamps, "24600.05", "1.25", open_interest=interest),
        *(bars_of(of, stamps, f"{80 + of}.05", "0.15", open_interest=interest) for of in range(10, 16)),
    ]


def nifty_slice(
    minutes: int = 30, *, resolutions: tuple[int, ...] = (HOUR, DAY), with_ticks: bool = True
) -> MarketSlice:
    """The index, a future and six options, four of which expire on the second day; ticks of two of them."""
    sessions = session_frame()
    parts = tuple(
        make_slice(nifty_instruments(), nifty_frames(stamps_of(sessions, seconds)), bar_seconds=seconds)
        for seconds in resolutions
    )
    market = make_slice(nifty_instruments(), nifty_frames(stamps_of(sessions, 60, minutes)), resolutions=parts)
    return replace(market, ticks=ticks_of(nifty_instruments(), (2, 10))) if with_ticks else market


def ticks_of(instruments: list[dict[str, Any]], ids: tuple[int, ...]) -> TickSlice:
    """Make four ticks a minute in the last five minutes of each session; of the first minute there is no ask."""
    stamps = [at(day, CLOSE) - dt.timedelta(seconds=15 * step) for day in SESSIONS for step in reversed(range(20))]
    index = pl.int_range(pl.len())
    frames = []
    for instrument_id in ids:
        frame = pl.DataFrame({"timestamp": stamps}).with_columns(
            instrument_id=pl.lit(instrument_id),
            sequence=pl.lit(0),
            price=pl.lit(Decimal(90), PRICE),
            size=index % 3 * 75,
            open_interest=pl.lit(None, pl.Int64),
            bid_price=(index % 7).cast(PRICE) * pl.lit(Decimal("0.05"), PRICE) + pl.lit(Decimal(89), PRICE),
            bid_size=index * 75,
            ask_price=pl.when(index % 20 >= 5).then(pl.lit(Decimal("90.05"), PRICE)),
            ask_size=pl.when(index % 20 >= 5).then(index * 25),
        )
        frames.append(frame.select(pl.col(name).cast(kind) for name, kind in TICK_SCHEMA.items()))
    ticks = pl.concat(frames)
    counted = ticks.group_by("instrument_id").agg(
        first_timestamp=pl.col("timestamp").min(),
        last_timestamp=pl.col("timestamp").max(),
        row_count=pl.len().cast(pl.Int64),
    )
    rows = [row for row in instruments if row["instrument_id"] in ids]
    terms = pl.DataFrame(rows, schema=INSTRUMENT_SCHEMA).drop("first_timestamp", "last_timestamp", "row_count")

    def read(instrument_ids: list[int] | None = None) -> Iterator[pl.DataFrame]:
        wanted = ticks if instrument_ids is None else ticks.filter(pl.col("instrument_id").is_in(instrument_ids))
        if not wanted.is_empty():
            yield wanted

    return TickSlice(terms.join(counted, on="instrument_id").select(list(INSTRUMENT_SCHEMA)), read)


def share_slice(**more: Any) -> MarketSlice:
    """A share at minutes and days, with an option of its own, and a split and a dividend on the second day."""
    sessions = session_frame()
    named: dict[str, Any] = {"underlying": "M&M"}
    rows = [
        instrument(1, "EQ", series="EQ", **named),
        instrument(2, "EQ", series="BE", **named),
        option(3, "700", "CE", MONTHLY, **named),
    ]
    minutes, days = stamps_of(sessions, 60, 3), stamps_of(sessions, DAY)
    daily = make_slice(rows, [bars_of(1, days, "1400"), bars_of(2, days, "1401")], bar_seconds=DAY, **named)
    actions = pl.DataFrame(
        {
            "instrument_id": [1, 1],
            "ex_date": [SESSIONS[1]] * 2,
            "kind": ["dividend", "split"],
            "value": [Decimal(14), Decimal(2)],
        },
        schema=ACTION_SCHEMA,
    )
    frames = [bars_of(1, minutes, "1400"), bars_of(2, minutes, "1401"), bars_of(3, minutes, "12.3")]
    return make_slice(rows, frames, resolutions=(daily,), actions=actions, **named, **more)


def pair_slice() -> MarketSlice:
    """BTC/USDT on Binance over two UTC days: hours and days, fractional volumes, eight decimals."""
    days = (dt.date(2024, 12, 31), dt.date(2025, 1, 1))
    sessions = session_frame(days, dt.time(0), dt.time(0)).with_columns(pl.col("close") + pl.duration(days=1))
    row = instrument(
        1, "PAIR", underlying="BTCUSDT", symbol="BTC/USDT", venue="binance", currency="USDT", base_currency="BTC"
    )
    common: dict[str, Any] = {
        "sessions": sessions,
        "underlying": "BTCUSDT",
        "timezone": "UTC",
        "fractional": True,
    }
    volume = (pl.int_range(pl.len()).cast(SIZE) * pl.lit(Decimal("0.00000001"), SIZE)) + pl.lit(Decimal("1.5"), SIZE)
    parts = [
        make_slice(
            [row],
            [bars_of(1, stamps_of(sessions, seconds), "42000.1", "0.00000001", volume=volume)],
            bar_seconds=seconds,
            **common,
        )
        for seconds in (HOUR, DAY)
    ]
    return replace(parts[0], resolutions=(parts[1],))


def entries(zip_file: Path) -> dict[str, str]:
    with zipfile.ZipFile(zip_file) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}
