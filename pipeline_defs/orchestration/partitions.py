"""The two ways in which work is cut: one trading session, and one month of one underlying.

Which days are sessions is decided in `pipeline_defs.markets`; here they only become partition keys. A partition's time
window is never used as trading hours: those come from the session itself.
"""

from __future__ import annotations

import calendar
import datetime as dt
import os
import re
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

import dagster as dg

from pipeline_defs.errors import ConfigurationError, MarketRuleError
from pipeline_defs.markets.market import Market, market
from pipeline_defs.markets.session_tables import session_calendar

FIRST_DATE_VARIABLE: Final = "PIPELINE_FIRST_DATE"
UNDERLYINGS_VARIABLE: Final = "PIPELINE_UNDERLYINGS"

DEFAULT_FIRST_DATE: Final = "2019-01-01"
DEFAULT_UNDERLYINGS: Final = "NIFTY,BANKNIFTY,FINNIFTY,MIDCPNIFTY,NIFTYNXT50"
"""The index options of the NSE."""

MONTH: Final = "month"
UNDERLYING: Final = "underlying"
"""Dimensions of a catalog's key. Dagster sorts them by name, so that a key reads ``2025-08|NIFTY``."""

MARKET_ZONE: Final = "Asia/Kolkata"
IST: Final = ZoneInfo(MARKET_ZONE)

_WEEKEND: Final = (5, 6)
_CRON_WEEKEND: Final = (6, 0)
"""Saturday and Sunday as Python and as cron count weekdays."""

_UNDERLYING_NAME: Final = re.compile(r"[A-Z0-9][A-Z0-9&-]{0,63}")


def first_partition_date() -> dt.date:
    """Read the first date that gets a partition.

    Returns
    -------
    datetime.date
        From ``PIPELINE_FIRST_DATE``; default 2019-01-01.

    Raises
    ------
    ConfigurationError
        If the variable does not hold a date as YYYY-MM-DD, or one outside the session calendar.

    """
    text = os.environ.get(FIRST_DATE_VARIABLE) or DEFAULT_FIRST_DATE
    try:
        first = dt.date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"{text!r} is not a date",
            where=FIRST_DATE_VARIABLE,
            next_step=f"write YYYY-MM-DD, e.g. {DEFAULT_FIRST_DATE}",
        ) from None
    covered = session_calendar()
    if not covered.first <= first <= covered.last:
        raise ConfigurationError(
            f"{first} lies outside the session calendar, {covered.first} to {covered.last}", where=FIRST_DATE_VARIABLE
        )
    return first


def exported_underlyings() -> list[str]:
    """Read which underlyings get catalogs.

    Returns
    -------
    list of str
        From ``PIPELINE_UNDERLYINGS``, separated by commas, in the order written; default the NSE's index options.

    Raises
    ------
    ConfigurationError
        If a name is no exchange symbol, or stands there twice.

    """
    text = os.environ.get(UNDERLYINGS_VARIABLE) or DEFAULT_UNDERLYINGS
    names = [name.strip() for name in text.split(",")]
    for position, name in enumerate(names):
        if _UNDERLYING_NAME.fullmatch(name) is None:
            raise ConfigurationError(
                f"{name!r} is not an underlying, expected capitals, digits, '&' and '-'",
                where=UNDERLYINGS_VARIABLE,
                next_step="write the exchange's symbols, separated by commas, e.g. NIFTY,BANKNIFTY,M&M",
            )
        if name in names[:position]:
            raise ConfigurationError(f"{name!r} stands there twice", where=UNDERLYINGS_VARIABLE)
    return names


def session_partitions(first: dt.date | None = None, market_name: str = "NSE") -> dg.TimeWindowPartitionsDefinition:
    """Make one partition per trading session of a market, keyed ``YYYY-MM-DD``.

    The schedule is every day, weekends too, and every day without a session is taken out: with a weekday schedule a
    special Saturday could never be a partition. A session is a key from midnight of its own day, since the next
    session may be days away; whether it is over is asked of the session (`refuse_unfinished`). After the last day the
    calendar speaks about there are no keys: a holiday is never invented into a session.

    Parameters
    ----------
    first : datetime.date, optional
        First possible key; default `first_partition_date`.
    market_name : str, default "NSE"
        As in `pipeline_defs.markets.market`; days are those of its zone.

    Returns
    -------
    dagster.TimeWindowPartitionsDefinition

    """
    return _session_partitions(first_partition_date() if first is None else first, market_name)


@cache
def _session_partitions(first: dt.date, market_name: str) -> dg.TimeWindowPartitionsDefinition:
    """Make them once: dozens of assets and checks share them."""
    of = market(market_name)
    last = min(of.covered[1], session_calendar().last)
    return dg.TimeWindowPartitionsDefinition(
        start=_midnight(first, of.zone),
        end=_midnight(last + dt.timedelta(days=1), of.zone),
        fmt="%Y-%m-%d",
        cron_schedule="0 0 * * *",
        timezone=of.zone,
        exclusions=_closed_days(of, first, last),
        end_offset=1,
    )


def has_session_partition(trade_date: dt.date, market_name: str = "NSE") -> bool:
    """Tell whether a day is one of `session_partitions`: Dagster's own answer takes many times as long.

    Parameters
    ----------
    trade_date : datetime.date
        Any day.
    market_name : str, default "NSE"
        Whose.

    Returns
    -------
    bool

    """
    of = market(market_name)
    last = min(of.covered[1], session_calendar().last)
    return first_partition_date() <= trade_date <= last and of.closed_reason(trade_date) is None


def catalog_partitions() -> dg.MultiPartitionsDefinition:
    """Make one partition per month and underlying, keyed ``YYYY-MM|UNDERLYING``; the running month is one of them."""
    first = first_partition_date()
    months = dg.MonthlyPartitionsDefinition(
        start_date=_midnight(first.replace(day=1)), fmt="%Y-%m", timezone=MARKET_ZONE, end_offset=1
    )
    return dg.MultiPartitionsDefinition(
        {MONTH: months, UNDERLYING: dg.StaticPartitionsDefinition(exported_underlyings())}
    )


def month_dates(key: str) -> tuple[dt.date, dt.date]:
    """Give the first and last calendar day of a month key such as ``2025-08``."""
    try:
        first = dt.date.fromisoformat(f"{key}-01")
    except ValueError:
        raise ConfigurationError(f"{key!r} is no month, expected YYYY-MM, e.g. 2025-08") from None
    return first, first.replace(day=calendar.monthrange(first.year, first.month)[1])


def session_close(trade_date: dt.date, market_name: str = "NSE") -> dt.datetime:
    """Find when the last segment of a market closed.

    Parameters
    ----------
    trade_date : datetime.date
        A session.
    market_name : str, default "NSE"
        Whose.

    Returns
    -------
    datetime.datetime
        UTC.

    Raises
    ------
    MarketRuleError
        If nothing traded on that day.

    """
    return market(market_name).close(trade_date)


def refuse_unfinished(trade_date: dt.date, now: dt.datetime, market_name: str = "NSE") -> None:
    """Refuse a session that is not over: what a source holds of it now is not the whole day.

    Parameters
    ----------
    trade_date : datetime.date
        A session.
    now : datetime.datetime
        With a zone.
    market_name : str, default "NSE"
        Whose.

    Raises
    ------
    MarketRuleError
        If nothing traded on that day, or its close lies after `now`.

    """
    close = session_close(trade_date, market_name)
    if now < close:
        local = close.astimezone(ZoneInfo(market(market_name).zone))
        raise MarketRuleError(
            f"the session of {trade_date} is not over before {local:%Y-%m-%d %H:%M %Z}",
            next_step="run the partition again after the close",
        )


def finished_sessions(month: str, now: dt.datetime) -> list[dt.date]:
    """List the sessions of a month that are over.

    Parameters
    ----------
    month : str
        ``YYYY-MM``.
    now : datetime.datetime
        With a zone.

    Returns
    -------
    list of datetime.date
        Ascending, not empty.

    Raises
    ------
    MarketRuleError
        If none is over, or the month lies outside the calendar.

    """
    from pipeline_defs.markets.sessions import session_dates  # noqa: PLC0415 -- imports polars

    first, last = month_dates(month)
    sessions = [trade_date for trade_date in session_dates(first, last) if session_close(trade_date) <= now]
    if not sessions:
        raise MarketRuleError(
            f"no session of {month} is over at {now.astimezone(IST):%Y-%m-%d %H:%M} IST",
            next_step="choose an earlier month, or wait for the first close",
        )
    return sessions


def split_catalog_key(key: str) -> tuple[str, str]:
    """Take a catalog's key apart.

    Parameters
    ----------
    key : str
        ``YYYY-MM|UNDERLYING``.

    Returns
    -------
    tuple of (str, str)
        Month and underlying.

    """
    month, _, underlying = key.partition("|")
    month_dates(month)
    if _UNDERLYING_NAME.fullmatch(underlying) is None:
        raise ConfigurationError(f"{key!r} is no partition of a catalog, expected e.g. 2025-08|NIFTY")
    return month, underlying


def _midnight(day: dt.date, zone: str = MARKET_ZONE) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), ZoneInfo(zone))


def _closed_days(of: Market, first: dt.date, last: dt.date) -> list[str | dt.datetime] | None:
    """List the days without a session, most weekends as cron strings.

    Dagster writes the whole list into an event of every check of every run: a thousand dates were 100 kB each. A
    weekend day is told by month, weekday and number in the month; where none was ever a session, a rule covers all.
    """
    sessions = set(of.sessions(first, last))
    if len(sessions) == (last - first).days + 1:
        return None
    days = [first + dt.timedelta(days=offset) for offset in range((last - first).days + 1)]
    special = {_place_in_month(day) for day in sessions if day.weekday() in _WEEKEND}
    rules = [
        f"0 0 * {','.join(map(str, months))} {weekday}#{number}"
        for weekday in _CRON_WEEKEND
        for number in range(1, 6)
        if (months := [month for month in range(1, 13) if (month, weekday, number) not in special])
    ]
    dates = [
        _midnight(day, of.zone)
        for day in days
        if day not in sessions and (day.weekday() not in _WEEKEND or _place_in_month(day) in special)
    ]
    return [*rules, *dates]


def _place_in_month(day: dt.date) -> tuple[int, int, int]:
    """Give month, weekday as cron counts it (Sunday 0), and which such weekday of the month it is."""
    return day.month, day.isoweekday() % 7, (day.day - 1) // 7 + 1
