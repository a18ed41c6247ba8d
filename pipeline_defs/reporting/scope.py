"""What a report is about: one moment, one state of the database, and the sessions of each market that are looked at."""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from pipeline_defs.errors import ConfigurationError, MarketRuleError
from pipeline_defs.markets.market import Market, market
from pipeline_defs.sources.registry import SOURCES, source_market

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from pipeline_defs.warehouse.connection import Warehouse

DEFAULT_SESSIONS: Final = 250
STATEMENT_SECONDS: Final = 60
"""No question of a report takes longer, or the report fails rather than holding up the database."""

GRACE: Final = dt.timedelta(hours=6)
"""After a session's close, until what it brought is due: vendors deliver, and runs take their time."""

OVERDUE_SESSIONS_SHOWN: Final = 20
"""Of a market of which nothing came for long, so many sessions are shown after the last one that came."""

_MARKETS: Final = "SELECT source, min(trade_date), max(trade_date) FROM loads GROUP BY source ORDER BY source"


@dataclass(frozen=True, slots=True)
class Window:
    """The sessions of a market that a report looks at.

    Parameters
    ----------
    market : Market
        Whose.
    sessions : list of datetime.date
        Ascending; what is due, and none that lies ahead.
    first, last : datetime.date
        Ends of the window, inclusive; between them, days that are no sessions too.

    """

    market: Market
    sessions: list[dt.date]
    first: dt.date
    last: dt.date


@dataclass(frozen=True)
class Scope:
    """One report's view of the database.

    Parameters
    ----------
    connection : psycopg.Connection
        In one read-only transaction, which sees one state.
    now : datetime.datetime
        What is due is judged at this moment; aware.
    most_sessions : int
        How many sessions of a market are looked at.

    """

    connection: psycopg.Connection
    now: dt.datetime
    most_sessions: int = DEFAULT_SESSIONS

    def ask(self, query: str, **values: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 -- values of any SQL type
        """Run a query and give its rows."""
        return self.connection.execute(query.encode(), values).fetchall()

    def has(self, *relations: str) -> bool:
        """Tell whether the database has all of these tables and views."""
        return all(self.ask("SELECT to_regclass(%(name)s) IS NOT NULL", name=name) == [(True,)] for name in relations)

    @cached_property
    def windows(self) -> dict[str, Window]:
        """By source of which anything was ever loaded, the sessions to look at."""
        spans = {source: (first, last) for source, first, last in self.ask(_MARKETS)}
        by_market: dict[str, list[tuple[dt.date, dt.date]]] = {}
        for source, span in spans.items():
            by_market.setdefault(market_of(source).name, []).append(span)
        windows = {
            name: self._window(market(name), min(first for first, _ in own), max(last for _, last in own))
            for name, own in by_market.items()
        }
        return {source: windows[market_of(source).name] for source in spans}

    @property
    def first_date(self) -> dt.date:
        """The first day of any market's window; today where nothing was loaded."""
        return min((window.first for window in self.windows.values()), default=self.now.date())

    def local(self, instant: dt.datetime | None, source: str | None = None) -> str | None:
        """Write an instant on the clock of a source's market, India where none is named, with the zone."""
        if instant is None:
            return None
        zone = ZoneInfo((market("NSE") if source is None else market_of(source)).zone)
        local = instant.astimezone(zone)
        return f"{local:%Y-%m-%d %H:%M} {local:%Z}"

    def _window(self, of: Market, first_stored: dt.date, last_stored: dt.date) -> Window:
        due = last_due(of, self.now)
        first_known, last_known = of.covered
        end = min(max(last_stored, due or last_known), last_known)
        begin = max(min(first_stored, end), first_known)
        # A calendar year has fewer days than the sessions asked for can span; more need not be listed to choose.
        begin = max(begin, last_stored - dt.timedelta(days=2 * self.most_sessions + 30))
        sessions = of.sessions(begin, end)
        waiting = [day for day in sessions if day > last_stored]
        sessions = [day for day in sessions if day <= last_stored] + waiting[:OVERDUE_SESSIONS_SHOWN]
        sessions = sessions[-self.most_sessions :]
        if not sessions:
            return Window(of, [], end, end)
        today = min(of.trade_date(self.now), last_known)
        last = sessions[-1] if len(waiting) > OVERDUE_SESSIONS_SHOWN else max(sessions[-1], today)
        return Window(of, sessions, sessions[0], last)


def market_of(source: str) -> Market:
    """Find the market of a source; of one that is installed no longer, that of India."""
    try:
        return market(source_market(source))
    except ConfigurationError:
        return market("NSE")


def is_daily(source: str) -> bool:
    """Tell whether a source delivers each session; others bring what a person asks for, and are never late."""
    return source in SOURCES


def last_due(of: Market, now: dt.datetime) -> dt.date | None:
    """Give the last session of which everything is due; None where the calendar ends before it."""
    day = of.trade_date(now)
    for _ in range(30):  # no market is closed for longer
        try:
            if of.closed_reason(day) is None and of.close(day) + GRACE <= now:
                return day
        except MarketRuleError:
            return None
        day -= dt.timedelta(days=1)
    return None


@contextmanager
def snapshot(warehouse: Warehouse, now: dt.datetime, most_sessions: int = DEFAULT_SESSIONS) -> Iterator[Scope]:
    """Open one state of the database to look at, and let nothing change it.

    Raises
    ------
    ConfigurationError
        If `most_sessions` is not positive (> 0), or `now` has no zone.

    """
    if most_sessions < 1:
        raise ConfigurationError(f"{most_sessions} sessions, expected at least 1")
    if now.tzinfo is None:
        raise ConfigurationError("the moment of a report needs a zone", where=str(now))
    from psycopg import IsolationLevel  # noqa: PLC0415 -- a client library is loaded where it is used

    with warehouse.connect() as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        connection.execute(f"SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'".encode())
        yield Scope(connection, now, most_sessions)
        connection.rollback()
