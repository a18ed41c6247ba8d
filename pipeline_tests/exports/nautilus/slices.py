"""Slices made in memory, of contracts over two sessions and of a pair over two UTC days, and damage to their files."""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow.parquet as pq

from pipeline_defs.schema.columns import PRICE, SIZE
from pipeline_defs.schema.exports import (
    BAR_SCHEMA,
    INSTRUMENT_SCHEMA,
    SETTLEMENT_SCHEMA,
    TICK_SCHEMA,
    BuiltExport,
    MarketSlice,
    TickSlice,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SESSIONS = (dt.date(2025, 8, 13), dt.date(2025, 8, 14))
WEEKLY = SESSIONS[-1]
MONTHLY = dt.date(2025, 8, 28)
OPTION_BARS = "NIFTY250814C24500.NSE-1-MINUTE-LAST-EXTERNAL"


def open_of(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(3, 45), dt.UTC)


def close_of(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(10, 0), dt.UTC)


def bars_of(instrument_id: int, start: Decimal, step: Decimal, minutes: int = 375, **columns: Any) -> pl.DataFrame:
    """Make one-minute bars of both sessions whose prices walk up and down by steps."""
    stamps = [open_of(day) + dt.timedelta(minutes=minute + 1) for day in SESSIONS for minute in range(minutes)]
    index = pl.int_range(len(stamps), eager=True)
    move = ((index * 7919) % 23).cast(pl.Int64)
    frame = pl.DataFrame({"timestamp": stamps}).with_columns(
        instrument_id=pl.lit(instrument_id),
        close=move.cast(PRICE) * pl.lit(step, PRICE) + pl.lit(start, PRICE),
        volume=(index * 75) % 4500,
        open_interest=pl.lit(None, pl.Int64),
    )
    frame = frame.with_columns(
        open=pl.col("close").shift().fill_null(pl.lit(start, PRICE)),
    ).with_columns(
        high=pl.max_horizontal("open", "close") + pl.lit(step, PRICE),
        low=pl.min_horizontal("open", "close"),
    )
    return frame.with_columns(**columns).select(pl.col(name).cast(kind) for name, kind in BAR_SCHEMA.items())


def instrument(instrument_id: int, kind: str, symbol: str, **terms: Any) -> dict[str, Any]:
    """Fill the terms of an instrument; bars decide the counts."""
    expiry = terms.get("expiry")
    defaults = {
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


def make_slice(
    instruments: list[dict[str, Any]], frames: list[pl.DataFrame], *, bar_seconds: int = 60, underlying: str = "NIFTY"
) -> MarketSlice:
    """Put instruments and their bars together."""
    bars = pl.concat(frames)
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
                "session_date": SESSIONS,
                "open": [open_of(day) for day in SESSIONS],
                "close": [close_of(day) for day in SESSIONS],
            },
            schema={"session_date": pl.Date, "open": BAR_SCHEMA["timestamp"], "close": BAR_SCHEMA["timestamp"]},
        ),
        instruments=terms.join(counted, on="instrument_id", how="left").select(list(INSTRUMENT_SCHEMA)),
        read_bars=read_bars,
        load_ids=(1,),
        known_at=close_of(SESSIONS[-1]),
    )


def nifty_slice() -> MarketSlice:
    """The index, a future and six options, four of which expire on the second day."""
    options = [
        (10 + number, expiry, Decimal(strike), right)
        for number, (expiry, strike, right) in enumerate(
            [
                (WEEKLY, "24500", "CE"),
                (WEEKLY, "24500", "PE"),
                (WEEKLY, "24600", "CE"),
                (WEEKLY, "24650.5", "PE"),
                (MONTHLY, "24500", "CE"),
                (MONTHLY, "24500", "PE"),
            ]
        )
    ]
    instruments = [
        instrument(1, "SPOT", "NIFTY 50.NSE_IDX"),
        instrument(2, "FUT", "NIFTY28AUG25FUT.NFO", expiry=MONTHLY),
        *(
            instrument(
                number,
                "OPT",
                f"NIFTY{expiry:%d%b%y}".upper() + f"{strike}{right}.NFO",
                expiry=expiry,
                strike=strike,
                option_type=right,
            )
            for number, expiry, strike, right in options
        ),
    ]
    interest = pl.int_range(pl.len()) * 75
    frames = [
        bars_of(1, Decimal("24580.35"), Decimal("1.25"), volume=0),
        bars_of(2, Decimal("24600.05"), Decimal("1.25"), open_interest=interest),
        *(
            bars_of(number, Decimal("80.05") + number, Decimal("0.15"), open_interest=interest)
            for number, *_ in options
        ),
    ]
    return make_slice(instruments, frames)


def at_resolution(market: MarketSlice, bar_seconds: int) -> MarketSlice:
    """Aggregate a slice's bars in buckets that start at the open of each session."""
    sessions = market.sessions.select(opened="open", closed="close").sort("opened")
    bars = (
        pl.concat(market.read_bars())
        .sort("timestamp")
        .join_asof(sessions, left_on="timestamp", right_on="opened", strategy="backward", allow_exact_matches=False)
        .sort("instrument_id", "timestamp")
    )
    since = (pl.col("timestamp") - pl.col("opened")).dt.total_seconds()
    bucket = ((since - 1) // bar_seconds + 1) * bar_seconds
    stamp = pl.min_horizontal("closed", pl.col("opened") + pl.duration(seconds=bucket))
    coarse = (
        bars.with_columns(stamp=stamp)
        .group_by("instrument_id", "stamp", maintain_order=True)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume").sum(),
            pl.col("open_interest").last(),
        )
        .rename({"stamp": "timestamp"})
        .select(pl.col(name).cast(kind) for name, kind in market.bar_schema.items())
    )
    terms = market.instruments.drop("first_timestamp", "last_timestamp", "row_count").rows(named=True)
    known = [dict.fromkeys(INSTRUMENT_SCHEMA) | row for row in terms]
    part = make_slice(known, [coarse], bar_seconds=bar_seconds, underlying=market.underlying)
    return dataclasses.replace(part, sessions=market.sessions, timezone=market.timezone, fractional=market.fractional)


def ticks_of(instrument_id: int, trades: int, **columns: Any) -> pl.DataFrame:
    """Make ticks of the first session, two at each instant: a trade, and a change of the quote without one."""
    index = pl.int_range(2 * trades, eager=True)
    frame = pl.DataFrame({"index": index}).with_columns(
        instrument_id=pl.lit(instrument_id),
        timestamp=pl.lit(open_of(SESSIONS[0])) + pl.duration(milliseconds=pl.col("index") // 2 * 250),
        sequence=pl.col("index") % 2,
        price=(pl.lit("80.05").cast(PRICE) + (pl.col("index") % 7).cast(PRICE) * pl.lit("0.05").cast(PRICE)),
        size=(1 - pl.col("index") % 2) * 75,
        open_interest=pl.lit(None, pl.Int64),
        bid_price=pl.when(pl.col("index") > 2).then(pl.lit("80.00").cast(PRICE)),
        bid_size=pl.when(pl.col("index") > 5).then(150),
        ask_price=pl.lit("80.50").cast(PRICE),
        ask_size=pl.lit(300),
    )
    return frame.with_columns(**columns).select(pl.col(name).cast(kind) for name, kind in TICK_SCHEMA.items())


def tick_slice(market: MarketSlice, ticks: pl.DataFrame, further: list[dict[str, Any]] | None = None) -> TickSlice:
    """Put ticks beside a slice; `further` instruments have ticks alone."""
    counted = ticks.group_by("instrument_id").agg(
        first_timestamp=pl.col("timestamp").min(),
        last_timestamp=pl.col("timestamp").max(),
        row_count=pl.len().cast(pl.Int64),
    )
    terms = pl.concat([market.instruments, pl.DataFrame(further or [], schema=INSTRUMENT_SCHEMA)])
    terms = terms.drop("first_timestamp", "last_timestamp", "row_count")

    def read(instrument_ids: list[int] | None = None) -> Iterator[pl.DataFrame]:
        wanted = ticks if instrument_ids is None else ticks.filter(pl.col("instrument_id").is_in(instrument_ids))
        yield from wanted.partition_by("instrument_id", maintain_order=True)

    return TickSlice(terms.join(counted, on="instrument_id").select(list(INSTRUMENT_SCHEMA)), read)


def rich_slice() -> MarketSlice:
    """`nifty_slice` at four resolutions, with ticks (one contract has nothing else) and settlement prices."""
    market = nifty_slice()
    quoted = instrument(16, "OPT", "NIFTY14AUG2524700CE", expiry=WEEKLY, strike=Decimal(24700), option_type="CE")
    only_quotes = ticks_of(16, 5, size=pl.lit(0))
    ticks = pl.concat([ticks_of(1, 4, bid_price=None, ask_price=None), ticks_of(10, 400), only_quotes])
    settlements = pl.DataFrame(
        {
            "instrument_id": [10, 11, 12],
            "session_date": [WEEKLY] * 3,
            "settlement_price": [Decimal("108.4"), Decimal(0), Decimal("8.35")],
            "underlying_price": [Decimal("24608.4")] * 3,
        },
        schema=SETTLEMENT_SCHEMA,
    )
    return dataclasses.replace(
        market,
        resolutions=tuple(at_resolution(market, seconds) for seconds in (300, 3_600, 86_400)),
        ticks=tick_slice(market, ticks, [quoted]),
        settlements=settlements,
    )


def share_slice() -> MarketSlice:
    """A share with an option and a future that expire on the second day, in minutes and days."""
    terms = {"underlying": "RELIANCE"}
    market = make_slice(
        [
            instrument(1, "EQ", "RELIANCE", series="EQ", **terms),
            instrument(10, "OPT", "O", expiry=WEEKLY, strike=Decimal(1_400), option_type="CE", **terms),
            instrument(11, "FUT", "F", expiry=WEEKLY, **terms),
        ],
        [bars_of(number, Decimal("1400.05"), Decimal("0.05")) for number in (1, 10, 11)],
        underlying="RELIANCE",
    )
    return dataclasses.replace(market, resolutions=(at_resolution(market, 86_400),))


def pair_slice(**terms: Any) -> MarketSlice:
    """BTC/USDT, and a pair of a currency that nobody knows, over two UTC days, with fractions of a unit."""
    common = {"venue": "binance", "currency": "USDT", "expiry_close": None}
    instruments = [
        instrument(1, "PAIR", "BTC/USDT", **(common | {"underlying": "BTCUSDT", "base_currency": "BTC"} | terms)),
        instrument(2, "PAIR", "FOOBAR/USDT", underlying="FOOBARUSDT", base_currency="FOOBAR", **common),
    ]
    days = [dt.datetime.combine(day, dt.time(), dt.UTC) for day in SESSIONS]
    volume = ((pl.int_range(pl.len()) % 97).cast(SIZE) * pl.lit("0.01234567").cast(SIZE)).cast(SIZE)
    shift = pl.lit(open_of(SESSIONS[0]) - days[0])
    frames = [
        bars_of(1, Decimal("117000.01"), Decimal("1.07"), timestamp=pl.col("timestamp") - shift),
        bars_of(2, Decimal("0.00001234"), Decimal("0.00000001"), timestamp=pl.col("timestamp") - shift),
    ]
    schema = BAR_SCHEMA | {"volume": SIZE}
    market = make_slice(
        instruments,
        [frame.with_columns(volume=volume).cast(pl.Schema(schema)) for frame in frames],
        underlying="BTCUSDT",
    )
    ticks = ticks_of(
        1,
        30,
        price=pl.lit("117000.01").cast(PRICE),
        bid_price=pl.lit("117000").cast(PRICE),
        ask_price=pl.lit("117000.02"),
    ).with_columns(
        size=pl.col("size").cast(SIZE) * pl.lit("0.00000123").cast(SIZE),
        bid_size=pl.lit("1.5").cast(SIZE),
        ask_size=pl.lit("0.00000001").cast(SIZE),
        timestamp=pl.col("timestamp") - shift,
    )
    sessions = pl.DataFrame(
        {"session_date": SESSIONS, "open": days, "close": [day + dt.timedelta(days=1) for day in days]},
        schema=market.sessions.schema,
    )
    market = dataclasses.replace(market, sessions=sessions, timezone="UTC", fractional=True)
    ticks = ticks.select(pl.col(name).cast(kind) for name, kind in market.tick_schema.items())
    return dataclasses.replace(market, resolutions=(at_resolution(market, 86_400),), ticks=tick_slice(market, ticks))


def file_of(built: BuiltExport, class_folder: str = "bar", identifier: str = OPTION_BARS) -> Path:
    """Find the one file of an identifier."""
    (file,) = (built.root / "data" / class_folder / identifier).iterdir()
    return file


def rewrite(file: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Change values in place, as sound Parquet with the same schema and metadata."""
    table = pq.read_table(file)
    changed = change(pl.DataFrame(table)).to_arrow().cast(table.schema)
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), file)


def bytes_as_nautilus_writes(file: Path, scratch: Path) -> bytes:
    """Write the table of a file of ours again, with the options of Nautilus 1.231's own writer."""
    rewritten = scratch / "rewritten.parquet"
    pq.write_table(pq.read_table(file), rewritten, row_group_size=5_000)
    return rewritten.read_bytes()
