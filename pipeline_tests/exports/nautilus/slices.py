"""Slices made in memory, one underlying with a future and options over two sessions, and damage to their files."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow.parquet as pq

from pipeline_defs.schema.columns import PRICE
from pipeline_defs.schema.exports import BAR_SCHEMA, INSTRUMENT_SCHEMA, BuiltExport, MarketSlice

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


def file_of(built: BuiltExport, class_folder: str = "bar", identifier: str = OPTION_BARS) -> Path:
    """Find the one file of an identifier."""
    (file,) = (built.root / "data" / class_folder / identifier).iterdir()
    return file


def rewrite(file: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Change values in place, as sound Parquet with the same schema and metadata."""
    table = pq.read_table(file)
    changed = change(pl.DataFrame(table)).to_arrow().cast(table.schema)
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), file)
