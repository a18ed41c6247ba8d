"""Markets by name: which zone a trade date is of, which days trade, and when a session opens and closes.

``NSE`` and ``US`` read their tables; ``CRYPTO`` never closes, its days are those of UTC; ``ANY`` has every day of
India, for files of one's own. A new market is a class here. Standard library only: Dagster's definitions ask, too.
"""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

from pipeline_defs.errors import MarketRuleError
from pipeline_defs.markets.session_tables import FIRST_WEEKEND_DAY, SEGMENTS, hours_on, session_calendar
from pipeline_defs.markets.tables import US_HOLIDAYS, US_SHORT_SESSIONS, read_table

_DAY: Final = dt.timedelta(days=1)
_INSTANT: Final = dt.timedelta(microseconds=1)
_US_OPEN: Final = dt.time(9, 30)
_US_CLOSE: Final = dt.time(16)
_US_EXTENDED: Final = (dt.time(4), dt.time(20))


class Market(ABC):
    """A market's calendar.

    Parameters
    ----------
    name : str
        Its own.
    zone : str
        IANA name: trade dates are days there.
    currency : str
        Of its prices, where nothing else is said.
    venue : str
        Name in the warehouse, where nothing else is said.
    venues : frozenset of str
        Names in the warehouse that are its own, whatever the currency.
    fractional_kinds : frozenset of str
        Kinds of instruments of which parts of a unit are traded, so that volumes have decimals; all others count whole
        units, and a fraction there is a mistake of the source.

    """

    name: str
    zone: str
    currency: str
    venue: str
    venues: frozenset[str]
    fractional_kinds: frozenset[str] = frozenset({"PAIR"})

    @property
    @abstractmethod
    def covered(self) -> tuple[dt.date, dt.date]:
        """First and last day it speaks about."""

    @abstractmethod
    def closed_reason(self, day: dt.date) -> str | None:
        """Say why nothing traded on a day, or None; a day it does not cover raises `MarketRuleError`."""

    @abstractmethod
    def hours(self, day: dt.date) -> tuple[dt.time, dt.time]:
        """Give open and close of a session in the market's zone; a close at 00:00 is the end of the day."""

    def extended_hours(self, day: dt.date) -> tuple[dt.datetime, dt.datetime]:
        """Give the instants between which trades outside the session are ordinary; default the session itself."""
        return self.open(day), self.close(day)

    def sessions(self, first: dt.date, last: dt.date) -> list[dt.date]:
        """List the days that traded, both ends inclusive."""
        days = (first + dt.timedelta(days=offset) for offset in range((last - first).days + 1))
        return [day for day in days if self.closed_reason(day) is None]

    def open(self, day: dt.date) -> dt.datetime:
        """Instant of a session's open, UTC."""
        return self._instant(day, self._hours(day)[0])

    def close(self, day: dt.date) -> dt.datetime:
        """Instant of a session's close, UTC."""
        closes = self._hours(day)[1]
        return self._instant(day, closes) if closes != dt.time() else self._instant(day + _DAY, closes)

    def bounds(self, day: dt.date) -> tuple[dt.datetime, dt.datetime]:
        """Begin, inclusive, and end, exclusive, of a day in the market's zone; UTC."""
        return self._instant(day, dt.time()), self._instant(day + _DAY, dt.time())

    def trade_date(self, instant: dt.datetime, *, is_close: bool = False) -> dt.date:
        """Give the day of an instant; the close of a bar at midnight belongs to the day that ends."""
        return (instant - (_INSTANT if is_close else dt.timedelta())).astimezone(ZoneInfo(self.zone)).date()

    def _hours(self, day: dt.date) -> tuple[dt.time, dt.time]:
        reason = self.closed_reason(day)
        if reason is not None:
            raise MarketRuleError(f"{day} was not a session of {self.name}: {reason}")
        return self.hours(day)

    def _instant(self, day: dt.date, time: dt.time) -> dt.datetime:
        return dt.datetime.combine(day, time, ZoneInfo(self.zone)).astimezone(dt.UTC)

    def _refuse_uncovered(self, day: dt.date) -> None:
        first, last = self.covered
        if not first <= day <= last:
            raise MarketRuleError(
                f"{day} lies outside the calendar of {self.name}, which covers {first} to {last}",
                next_step="check the date; a later year needs its holidays in pipeline_defs/markets/data",
            )


class NseMarket(Market):
    """The National Stock Exchange of India: the session is that of whichever segment is open longer."""

    name, zone, currency, venue = "NSE", "Asia/Kolkata", "INR", "NSE"
    venues = frozenset({"NSE", "BSE", "NFO", "BFO"})

    @property
    def covered(self) -> tuple[dt.date, dt.date]:
        """The years of the session tables."""
        return session_calendar().first, session_calendar().last

    def closed_reason(self, day: dt.date) -> str | None:
        """``weekend``, ``holiday <name>`` or None."""
        self._refuse_uncovered(day)
        if any(hours_on(day, segment) is not None for segment in SEGMENTS):
            return None
        holiday = session_calendar().holidays.get(day)
        return "weekend" if holiday is None else f"holiday {holiday}"

    def hours(self, day: dt.date) -> tuple[dt.time, dt.time]:
        """First open and last close of the segments."""
        hours = [found for segment in SEGMENTS if (found := hours_on(day, segment)) is not None]
        return min(one.open for one in hours), max(one.close for one in hours)


class UsMarket(Market):
    """The exchanges of the United States: shares, and options on them."""

    name, zone, currency, venue = "US", "America/New_York", "USD", "US"
    venues = frozenset({"US", "OPRA"})
    # Trades of parts of a share are reported since February 2026, and counted in the volumes of bars.
    fractional_kinds = frozenset({"PAIR", "EQ"})

    @property
    def covered(self) -> tuple[dt.date, dt.date]:
        """Whole years, from the first listed holiday to the last."""
        holidays = _us_holidays()
        return dt.date(min(holidays).year, 1, 1), dt.date(max(holidays).year, 12, 31)

    def closed_reason(self, day: dt.date) -> str | None:
        """``weekend``, ``holiday <name>`` or None."""
        self._refuse_uncovered(day)
        if day.weekday() >= FIRST_WEEKEND_DAY:
            return "weekend"
        holiday = _us_holidays().get(day)
        return None if holiday is None else f"holiday {holiday}"

    def hours(self, day: dt.date) -> tuple[dt.time, dt.time]:
        """09:30 to 16:00, but for the days listed apart."""
        return _us_short_sessions().get(day, (_US_OPEN, _US_CLOSE))

    def extended_hours(self, day: dt.date) -> tuple[dt.datetime, dt.datetime]:
        """04:00 to 20:00 in New York."""
        return self._instant(day, _US_EXTENDED[0]), self._instant(day, _US_EXTENDED[1])


class CryptoMarket(Market):
    """Exchanges that never close."""

    name, zone, currency, venue = "CRYPTO", "UTC", "USDT", "CRYPTO"
    venues = frozenset({"CRYPTO"})
    covered = (dt.date(2009, 1, 3), dt.date(2100, 12, 31))

    def closed_reason(self, day: dt.date) -> str | None:
        """Nothing: every day trades."""
        self._refuse_uncovered(day)
        return None

    def hours(self, day: dt.date) -> tuple[dt.time, dt.time]:
        """Midnight to midnight."""
        del day
        return dt.time(), dt.time()


class AnyMarket(CryptoMarket):
    """Every day of India, for files of one's own of whatever market."""

    name, zone, currency, venue = "ANY", "Asia/Kolkata", "INR", "NSE"
    venues = frozenset[str]()
    covered = (dt.date(1990, 1, 1), dt.date(2100, 12, 31))


MARKETS: Final[dict[str, Market]] = {one.name: one for one in (NseMarket(), UsMarket(), CryptoMarket(), AnyMarket())}
"""By name."""


def market(name: str) -> Market:
    """Find a market.

    Raises
    ------
    MarketRuleError
        If there is none of that name.

    """
    found = MARKETS.get(name)
    if found is None:
        raise MarketRuleError(f"no market {name!r}, expected one of {', '.join(MARKETS)}")
    return found


def market_of(kind: str, venue: str | None, currency: str | None) -> Market:
    """Tell in which market an instrument of the warehouse trades.

    Parameters
    ----------
    kind : str
        ``OPT``, ``FUT``, ``CONT``, ``SPOT``, ``EQ`` or ``PAIR``.
    venue, currency : str or None
        As its terms name them. The venue decides where a market has it; any other is one of the market with its
        currency (``NASDAQ`` in USD trades in the United States).

    Returns
    -------
    Market
        ``CRYPTO`` for a pair; ``ANY`` where neither venue nor currency is known.

    """
    if kind == "PAIR":
        return MARKETS["CRYPTO"]
    exchanges = [MARKETS["NSE"], MARKETS["US"]]
    by_venue = (one for one in exchanges if venue in one.venues)
    by_currency = (one for one in exchanges if currency == one.currency)
    return next(by_venue, None) or next(by_currency, None) or MARKETS["ANY"]


def trades_in_parts(kind: str, venue: str | None, currency: str | None) -> bool:
    """Tell whether parts of a unit of an instrument are traded, from the terms that `market_of` takes."""
    return kind in market_of(kind, venue, currency).fractional_kinds


@cache
def _us_holidays() -> dict[dt.date, str]:
    return dict(
        read_table(
            US_HOLIDAYS, ("date", "name", "source"), lambda row: (dt.date.fromisoformat(row["date"]), row["name"])
        )
    )


@cache
def _us_short_sessions() -> dict[dt.date, tuple[dt.time, dt.time]]:
    return dict(read_table(US_SHORT_SESSIONS, ("date", "open_new_york", "close_new_york", "source"), _short_session))


def _short_session(row: dict[str, str]) -> tuple[dt.date, tuple[dt.time, dt.time]]:
    hours = dt.time.fromisoformat(row["open_new_york"]), dt.time.fromisoformat(row["close_new_york"])
    if any(hour.tzinfo for hour in hours):
        raise ValueError("an hour names an offset, expected the clock of New York")
    if hours[0] >= hours[1]:
        raise ValueError("the close is not after the open")
    return dt.date.fromisoformat(row["date"]), hours
