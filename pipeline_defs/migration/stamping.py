"""When a bar of an old store was complete: a day's bar when its session closed, a minute's at its end.

Daily bars carry the session's date alone. Minutes carry a stamp, and which end of the minute it names depends on who
wrote it:

- zipline's own minute bars (bcolz) are labelled with their end: the first of a New York day is 09:31.
- rustybt's Parquet bundles hold what the adapter was given. Exchanges (CCXT) and Yahoo stamp the beginning.
- A CSV file stamps as its maker did. Where the market closes, the data tell: a bar stamped at the very open of a
  session can only begin there, one stamped at the very close can only end there.

What the data tell goes first, then what is known of the writer; where neither decides, somebody must say it.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, Literal

import polars as pl

from pipeline_defs.errors import MarketRuleError
from pipeline_defs.schema.columns import TIMESTAMP
from pipeline_defs.schema.day_batches import DAY_COLUMN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline_defs.markets.market import Market
    from pipeline_defs.migration.plan import BundlePlan

type Stamps = Literal["start", "end"]

_MINUTE: Final = dt.timedelta(minutes=1)
_INSTANT: Final = dt.timedelta(microseconds=1)
_DAY: Final = dt.timedelta(days=1)

STAMPS_START: Final = frozenset({"ccxt", "yfinance", "yahoo", "alpaca", "polygon", "alphavantage"})
"""Writers that stamp the beginning of a bar."""

CALENDAR_SCHEMA: Final[dict[str, pl.DataType]] = {
    DAY_COLUMN: pl.Date(),
    "closed": pl.String(),
    "opens": TIMESTAMP,
    "closes": TIMESTAMP,
    "early": TIMESTAMP,
    "late": TIMESTAMP,
}


def stamps_of(plan: BundlePlan, calendar: Market) -> Stamps | None:
    """Tell which end of a minute the stamps of a bundle name.

    Parameters
    ----------
    plan : BundlePlan
        Of which the first and last stamps of each symbol were found.
    calendar : Market
        Whose sessions.

    Returns
    -------
    {"start", "end"} or None
        None where neither the data nor the writer tells.

    """
    minutes = [series for series in plan.series if isinstance(series.first, dt.datetime)]
    begins = any(_opens_at(calendar, aware(series.first)) for series in minutes)
    ends = any(_closes_at(calendar, aware(series.last)) for series in minutes)
    if begins != ends:
        return "start" if begins else "end"
    if plan.bundle.kind == "bcolz":
        return "end"
    return "start" if (plan.bundle.source_type or "").lower() in STAMPS_START else None


def aware(stamp: dt.date) -> dt.datetime:
    """Give a stamp as stored, which is UTC whether it says so or not, with its zone."""
    if not isinstance(stamp, dt.datetime):
        raise TypeError(f"{stamp!r} is no stamp")
    return stamp if stamp.tzinfo is not None else stamp.replace(tzinfo=dt.UTC)


def _opens_at(calendar: Market, stamp: dt.datetime) -> bool:
    return (
        _trades(calendar, day := calendar.trade_date(stamp)) and calendar.open(day) == stamp != calendar.bounds(day)[0]
    )


def _closes_at(calendar: Market, stamp: dt.datetime) -> bool:
    day = calendar.trade_date(stamp, is_close=True)
    return _trades(calendar, day) and calendar.close(day) == stamp != calendar.bounds(day)[1]


def _trades(calendar: Market, day: dt.date) -> bool:
    try:
        return calendar.closed_reason(day) is None
    except MarketRuleError:
        return False


def with_instants(rows: pl.DataFrame, calendar: Market, bar_seconds: int, stamps: Stamps | None) -> pl.DataFrame:
    """Give each minute bar the instant at which it was complete, and each bar its trade date.

    Parameters
    ----------
    rows : polars.DataFrame
        `DAILY_SCHEMA` or `MINUTE_SCHEMA`.
    calendar : Market
        Whose days are meant.
    bar_seconds : int
        Length of the bars.
    stamps : {"start", "end"} or None
        Which end the stamps of minutes name; None of daily bars.

    Returns
    -------
    polars.DataFrame
        With `DAY_COLUMN` and ``stamp`` (the text as stored); ``timestamp`` of daily bars is not known yet.

    """
    if "date" in rows.columns:
        return rows.rename({"date": DAY_COLUMN}).with_columns(
            stamp=pl.col(DAY_COLUMN).cast(pl.String), timestamp=pl.lit(None, TIMESTAMP)
        )
    shift = dt.timedelta(seconds=bar_seconds) if stamps == "start" else dt.timedelta()
    close = pl.col("timestamp") + shift
    return rows.with_columns(
        stamp=pl.col("timestamp").dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        timestamp=close,
        **{DAY_COLUMN: (close - _INSTANT).dt.convert_time_zone(calendar.zone).dt.date()},
    )


def tabulate_days(calendar: Market, days: Iterable[dt.date]) -> pl.DataFrame:
    """Say of each day whether it was a session, and from when to when.

    Parameters
    ----------
    calendar : Market
        Whose.
    days : iterable of datetime.date
        Any.

    Returns
    -------
    polars.DataFrame
        `CALENDAR_SCHEMA`; ``closed`` is ``not_a_session`` or ``outside_calendar``, null of a session. ``early`` and
        ``late`` bound what is ordinary outside of it.

    """
    rows: list[tuple[object, ...]] = []
    for day in days:
        try:
            closed = None if calendar.closed_reason(day) is None else "not_a_session"
        except MarketRuleError:
            closed = "outside_calendar"
        if closed is None:
            rows.append((day, None, calendar.open(day), calendar.close(day), *calendar.extended_hours(day)))
        else:
            rows.append((day, closed, None, None, None, None))
    return pl.DataFrame(rows, schema=CALENDAR_SCHEMA, orient="row")
