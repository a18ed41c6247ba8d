"""Market hours as LEAN keeps them: an entry written from our sessions, and the hours of a day read from an entry.

LEAN knows hours by weekday, holidays, and days that close early or open late. That is enough for any calendar: a
weekday takes the widest hours it ever has, days with narrower ones close early or open late, and days without trading
are holidays. So a special Saturday opens all Saturdays, of which all others are holidays.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.exports.lean.kinds import LeanFormatError, SecurityType
from pipeline_defs.markets.session_tables import SEGMENTS
from pipeline_defs.markets.sessions import IST, first_covered_date, last_covered_date, sessions_between

if TYPE_CHECKING:
    from collections.abc import Mapping

HOURS_PATH: Final = "market-hours/market-hours-database.json"

DATABASE_NAMES: Final = {
    SecurityType.EQUITY: "Equity",
    SecurityType.INDEX: "Index",
    SecurityType.OPTION: "Option",
    SecurityType.INDEX_OPTION: "IndexOption",
    SecurityType.FUTURE: "Future",
    SecurityType.FUTURE_OPTION: "FutureOption",
    SecurityType.CRYPTO: "Crypto",
    SecurityType.CRYPTO_FUTURE: "CryptoFuture",
    SecurityType.FOREX: "Forex",
    SecurityType.CFD: "Cfd",
}
"""Security type to its name in the keys of LEAN's databases."""

_MOST_DAYS: Final = 1
WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_WHOLE_DAY: Final = {"start": "00:00:00", "end": "1.00:00:00", "state": "market"}
_REGULAR_DAYS: Final = 5

type Hours = tuple[dt.timedelta, dt.timedelta]


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a day in one state, from midnight."""

    start: dt.timedelta
    end: dt.timedelta
    state: str


def always_open(timezone: str) -> dict[str, Any]:
    """Write the entry of a market that never closes.

    Parameters
    ----------
    timezone : str
        Zone of its days.

    Returns
    -------
    dict

    """
    return {
        "dataTimeZone": timezone,
        "exchangeTimeZone": timezone,
        **{name: [_WHOLE_DAY] for name in WEEKDAYS},
        "holidays": [],
    }


def hours_entry(sessions: Mapping[dt.date, Hours], timezone: str) -> dict[str, Any]:
    """Write the entry of an exchange.

    Parameters
    ----------
    sessions : dict
        Day to its open and close, from midnight of the zone. What lies between its first and last day and is not in it
        is a holiday; outside, the hours of the weekday hold.
    timezone : str
        Of the exchange and of the data.

    Returns
    -------
    dict
        As in the ``entries`` of LEAN's database; read with the rules of `segments_on` it gives exactly `sessions`.

    """
    widest: dict[int, Hours] = {}
    for day, (opens, closes) in sessions.items():
        was = widest.get(day.weekday(), (opens, closes))
        widest[day.weekday()] = (min(was[0], opens), max(was[1], closes))
    first, last = min(sessions), max(sessions)
    days = [first + dt.timedelta(days=offset) for offset in range((last - first).days + 1)]
    return {
        "dataTimeZone": timezone,
        "exchangeTimeZone": timezone,
        **{
            name: [{"start": _clock(widest[at][0]), "end": _clock(widest[at][1]), "state": "market"}]
            if at in widest
            else []
            for at, name in enumerate(WEEKDAYS)
        },
        "holidays": [_day(day) for day in days if day not in sessions and day.weekday() in widest],
        "earlyCloses": {
            _day(day): _clock(sessions[day][1])
            for day in sorted(sessions)
            if sessions[day][1] != widest[day.weekday()][1]
        },
        "lateOpens": {
            _day(day): _clock(sessions[day][0])
            for day in sorted(sessions)
            if sessions[day][0] != widest[day.weekday()][0]
        },
    }


def indian_sessions(own: Mapping[dt.date, Hours], segments: tuple[str, ...] = SEGMENTS) -> dict[dt.date, Hours]:
    """Give the hours of the Indian market that an entry is made from.

    Parameters
    ----------
    own : dict
        Hours of the sessions that there are data of; they count where the calendar says otherwise.
    segments : tuple of str, default SEGMENTS
        Of the calendar; the widest of their hours.

    Returns
    -------
    dict
        Day to open and close, for all that the calendar covers: its weekdays within their regular hours everywhere, and
        special sessions outside of those (weekends, evenings) only between the first and last of `own`. Elsewhere they
        would open every Saturday and every evening for the sake of a day that there are no data of.

    """
    calendar = _calendar_hours(segments)
    start, end = min(own), max(own)
    usual = [
        hours for day, hours in {**calendar, **own}.items() if start <= day <= end and day.weekday() < _REGULAR_DAYS
    ]
    regular = max(sorted(set(usual)), key=usual.count) if usual else next(iter(own.values()))
    known = {
        day: (max(opens, regular[0]), min(closes, regular[1]))
        for day, (opens, closes) in calendar.items()
        if day.weekday() < _REGULAR_DAYS and opens < regular[1] and closes > regular[0]
    }
    inside = {day: hours for day, hours in calendar.items() if start <= day <= end}
    return dict(sorted({**known, **inside, **own}.items()))


def oddity_of(entry: object) -> str | None:
    """Say what keeps an entry of the database from being read; None if nothing does."""
    if not isinstance(entry, dict):
        return "it is no object"
    for weekday in WEEKDAYS:
        parts = entry.get(weekday) or []
        if not isinstance(parts, list) or not all(
            isinstance(part, dict) and all(isinstance(part.get(name), str) for name in ("start", "end", "state"))
            for part in parts
        ):
            return f"{weekday} is no list of start, end and state"
    if not isinstance(entry.get("holidays", []), list):
        return "holidays is no list"
    for name in ("earlyCloses", "lateOpens"):
        days = entry.get(name, {})
        if not isinstance(days, dict) or not all(isinstance(clock, str | None) for clock in days.values()):
            return f"{name} is no object of days and times"
    return None


def segments_on(entry: Mapping[str, Any], day: dt.date) -> list[Segment]:
    """Give the hours of a day as LEAN reads them from an entry.

    Parameters
    ----------
    entry : dict
        One of the database's ``entries``.
    day : datetime.date
        In the zone of the exchange.

    Returns
    -------
    list of Segment
        Empty on a holiday and on weekdays without hours.

    """
    if _day(day) in entry.get("holidays", []):
        return []
    segments = [
        Segment(read_clock(part["start"]), read_clock(part["end"]), part["state"])
        for part in entry.get(WEEKDAYS[day.weekday()]) or []
    ]
    close = entry.get("earlyCloses", {}).get(_day(day))
    late = entry.get("lateOpens", {}).get(_day(day))
    closes = None if close is None else read_clock(close)
    opens = None if late is None else read_clock(late)
    if closes is not None and opens is not None and closes <= opens:
        return _until(segments, closes) + _from(segments, opens)
    if closes is not None:
        segments = _until(segments, closes)
    return segments if opens is None else _from(segments, opens)


def read_clock(text: str) -> dt.timedelta:
    """Read a time of day as .NET does: ``09:15:00``, and ``1.00:00:00`` for the end of the day.

    Raises
    ------
    LeanFormatError
        If it is not such a time.

    """
    found = re.fullmatch(r"(?:(\d+)[.:])?(\d{1,2}):(\d{1,2}):(\d{1,2})", text, re.ASCII)
    if found is None:
        raise LeanFormatError(f"{text!r} is not a time of day, expected e.g. 09:15:00", where=HOURS_PATH)
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    if days > _MOST_DAYS:
        raise LeanFormatError(f"{text!r} is not a time of day, expected at most a day", where=HOURS_PATH)
    return dt.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def find_entry(
    entries: Mapping[str, Any], security: SecurityType, market: str, ticker: str
) -> Mapping[str, Any] | None:
    """Look an entry up as LEAN does: by the ticker, then by the market.

    Parameters
    ----------
    entries : dict
        Of the database.
    security : SecurityType
        Of the symbol.
    market, ticker : str
        Of the symbol.

    Returns
    -------
    dict or None

    """
    lowered = {key.lower(): value for key, value in entries.items()}
    names = [DATABASE_NAMES[security]]
    if security is SecurityType.FUTURE_OPTION:
        names.append(DATABASE_NAMES[SecurityType.FUTURE])
    keys = [f"{name}-{market}-{symbol}".lower() for name in names for symbol in (ticker, "[*]")]
    found = next((lowered[key] for key in keys if key in lowered), None)
    return found if isinstance(found, dict) else None


def session_hours(sessions: pl.DataFrame, timezone: str) -> dict[dt.date, Hours]:
    """Give the widest hours of each day.

    Parameters
    ----------
    sessions : polars.DataFrame
        `session_date`, `open` and `close` (UTC).
    timezone : str
        Of the exchange.

    Returns
    -------
    dict
        Day to open and close, from midnight of the zone.

    """
    widest = sessions.group_by("session_date").agg(pl.col("open").min(), pl.col("close").max()).sort("session_date")
    midnight = pl.col("session_date").cast(pl.Datetime("us")).dt.replace_time_zone(timezone).dt.convert_time_zone("UTC")
    since = widest.select("session_date", opens=pl.col("open") - midnight, closes=pl.col("close") - midnight)
    return {day: (opens, closes) for day, opens, closes in since.iter_rows()}


@cache
def _calendar_hours(segments: tuple[str, ...]) -> dict[dt.date, Hours]:
    tables = [sessions_between(first_covered_date(), last_covered_date(), segment) for segment in segments]
    return session_hours(pl.concat(tables), IST.key)


def _until(segments: list[Segment], closes: dt.timedelta) -> list[Segment]:
    return [Segment(part.start, min(part.end, closes), part.state) for part in segments if part.start <= closes]


def _from(segments: list[Segment], opens: dt.timedelta) -> list[Segment]:
    return [Segment(max(part.start, opens), part.end, part.state) for part in segments if part.end >= opens]


def _clock(since_midnight: dt.timedelta) -> str:
    if since_midnight == dt.timedelta(days=1):
        return "1.00:00:00"
    minutes, seconds = divmod(int(since_midnight.total_seconds()), 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"


def _day(day: dt.date) -> str:
    return f"{day.month}/{day.day}/{day.year}"
