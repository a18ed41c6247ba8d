"""Slices made in memory: Indian shares over ordinary and special sessions, an index, a US share, and a pair."""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import polars as pl

from pipeline_defs.schema.columns import SIZE
from pipeline_defs.schema.exports import ACTION_SCHEMA, BAR_SCHEMA, MarketSlice
from pipeline_tests.exports.generic.slices import described, in_halves, instrument, walk

if TYPE_CHECKING:
    from collections.abc import Callable

INDIA = ZoneInfo("Asia/Kolkata")
DAYS = (dt.date(2024, 10, 31), dt.date(2024, 11, 1), dt.date(2024, 11, 4), dt.date(2024, 11, 9))
"""A Thursday, the evening of Muhurat trading on a holiday, a Monday, and a Saturday made into a session."""

SPLIT_DAY = DAYS[2]

_HOURS = {DAYS[1]: (dt.time(18, 0), dt.time(19, 0))}
_USUAL = (dt.time(9, 15), dt.time(15, 30))


def hours_of(day: dt.date) -> tuple[dt.datetime, dt.datetime]:
    opens, closes = _HOURS.get(day, _USUAL)
    return tuple(dt.datetime.combine(day, time, INDIA).astimezone(dt.UTC) for time in (opens, closes))  # type: ignore[return-value]


def sessions_of(days: tuple[dt.date, ...], hours: Callable[[dt.date], tuple[dt.datetime, dt.datetime]]) -> pl.DataFrame:
    opens, closes = zip(*map(hours, days), strict=True)
    schema: dict[str, pl.DataType] = {
        "session_date": pl.Date(),
        "open": BAR_SCHEMA["timestamp"],
        "close": BAR_SCHEMA["timestamp"],
    }
    return pl.DataFrame({"session_date": days, "open": opens, "close": closes}, schema=schema)


def make(
    instruments: list[dict[str, Any]],
    bars: pl.DataFrame,
    bar_seconds: int,
    *,
    hours: Callable[[dt.date], tuple[dt.datetime, dt.datetime]] = hours_of,
    days: tuple[dt.date, ...] = DAYS,
    **changes: Any,
) -> MarketSlice:
    market = MarketSlice(
        underlying="RELIANCE",
        start_date=days[0],
        end_date=days[-1],
        bar_seconds=bar_seconds,
        sessions=sessions_of(days, hours),
        instruments=described(instruments, bars),
        read_bars=in_halves(bars),
        load_ids=(1, 7),
        known_at=hours(days[-1])[1],
    )
    return dataclasses.replace(market, **changes)


SHARES = [
    instrument(7, "EQ", "RELIANCE", underlying="RELIANCE", series="EQ"),
    instrument(3, "EQ", "RELIANCE-BE", underlying="RELIANCE", series="BE"),
]


def minutes(day: dt.date, count: int) -> list[dt.datetime]:
    """The closes of the first minutes of a session, and that of its last."""
    opens, closes = hours_of(day)
    return [*(opens + dt.timedelta(minutes=k + 1) for k in range(count)), closes]


def share_bars(stamps: Callable[[dt.date], list[dt.datetime]]) -> pl.DataFrame:
    """The one share in every session; the other has none on the first two."""
    whole = [stamp for day in DAYS for stamp in stamps(day)]
    part = [stamp for day in DAYS[2:] for stamp in stamps(day)]
    return pl.concat([walk(3, part, "2900.005", "0.05"), walk(7, whole, "2800.05", "0.15")])


def share_slice() -> MarketSlice:
    """Minutes and days of two shares, with a split and a dividend of the second."""
    market = make(SHARES, share_bars(lambda day: minutes(day, 12)), 60)
    daily = make(SHARES, share_bars(lambda day: [hours_of(day)[1]]), 86_400)
    actions = [(3, SPLIT_DAY, "split", Decimal(2)), (7, SPLIT_DAY, "dividend", Decimal("9.5"))]
    return dataclasses.replace(
        market, resolutions=(daily,), actions=pl.DataFrame(actions, schema=ACTION_SCHEMA, orient="row")
    )


def index_slice() -> MarketSlice:
    """Days of an index, without any volume."""
    bars = walk(1, [hours_of(day)[1] for day in DAYS], "24205.35", "1.25", volume=0)
    return make([instrument(1, "SPOT", "NIFTY 50.NSE_IDX")], bars, 86_400, underlying="NIFTY")


def pair_slice() -> MarketSlice:
    """BTC/USDT by the minute over two UTC days, a Saturday and a Sunday, with parts of a unit."""
    days = (dt.date(2024, 11, 9), dt.date(2024, 11, 10))
    start = dt.datetime.combine(days[0], dt.time(), dt.UTC)
    # The last minute closes at midnight, on the date after the session's.
    stamps = [start + dt.timedelta(minutes=k + 1) for k in (0, 1, 2, 1438, 1439, 1440, 2879)]
    bars = walk(5, stamps, "76000.00000001", "0.01", fractional=True, volume=pl.lit(Decimal("0.00012345"), SIZE))
    pair = instrument(
        *(5, "PAIR", "BTC/USDT"), underlying="BTCUSDT", venue="BINANCE", currency="USDT", base_currency="BTC"
    )

    def whole_day(day: dt.date) -> tuple[dt.datetime, dt.datetime]:
        midnight = dt.datetime.combine(day, dt.time(), dt.UTC)
        return midnight, midnight + dt.timedelta(days=1)

    return make([pair], bars, 60, hours=whole_day, days=days, underlying="BTCUSDT", timezone="UTC", fractional=True)


def us_slice(volume: str = "65242000") -> MarketSlice:
    """Days of a US share around the change of the clocks, one of them a half day."""
    zone = ZoneInfo("America/New_York")
    days = (dt.date(2024, 11, 1), dt.date(2024, 11, 4), dt.date(2024, 11, 27), dt.date(2024, 11, 29))

    def hours(day: dt.date) -> tuple[dt.datetime, dt.datetime]:
        closes = dt.time(13, 0) if day == days[3] else dt.time(16, 0)
        return (
            dt.datetime.combine(day, dt.time(9, 30), zone).astimezone(dt.UTC),
            dt.datetime.combine(day, closes, zone).astimezone(dt.UTC),
        )

    share = instrument(2, "EQ", "AAPL", underlying="AAPL", venue="NASDAQ", currency="USD")
    bars = walk(
        2, [hours(day)[1] for day in days], "222.91", "0.01", fractional=True, volume=pl.lit(Decimal(volume), SIZE)
    )
    return make(
        *([share], bars, 86_400),
        hours=hours,
        days=days,
        underlying="AAPL",
        timezone="America/New_York",
        fractional=True,
    )
