r"""How often a repeated backtest is served from the warehouse, and how often it asks in vain: counted, not estimated.

``python -m benchmarks.cache_simulation [--backtests 60] [--seed 56] [--release]`` prints one JSON object. A vendor of
our own makes prices that follow from symbol, session and revision; backtests of slices of a universe import what they
need through the real import path into a real warehouse. Between them time goes on, symbols come and go, the vendor
revises the history of a share (and sometimes announces a revision that changes nothing), processes are killed half
way. Before each import every wanted symbol-session is compared with what the vendor would answer:

hit                  it was not asked for
right miss           it was asked for, and was not stored, or not as the vendor has it now
false invalidation   it was asked for although what is stored equals the vendor's answer, or asked for twice
stale hit            it was not asked for although the vendor has changed it: only of changes that nobody announces

``--release`` puts a new version of the pipeline in the middle, which asks for everything once more.
"""

# ruff: noqa: INP001, S311, T201 -- a script to run: it prints; chance need not be secret

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import random
import tempfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final
from unittest import mock

import pipeline_defs
from pipeline_defs.markets.market import market
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.asking.questions import Answer, Dataset, Limit, Listed, Question, Window, answer_rows
from pipeline_defs.sources.asking.source import ApiSource
from pipeline_defs.sources.asking.universe import SourceUniverse
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.loading import import_source

if TYPE_CHECKING:
    from collections.abc import Iterator

BEGIN: Final = dt.date(2025, 6, 2)
SESSIONS_AT_FIRST: Final = 40
POOL: Final = 16
SYMBOLS_AT_FIRST: Final = 10
MINUTES: Final = 3

A_SESSION_MORE: Final = 0.3
A_CHANGE: Final = 0.1
"""Of the universe, by one symbol more or one less, or of the history of one share."""
IN_VAIN: Final = 0.2
"""Of the announced changes of a history, those that change nothing."""
A_KILL: Final = 0.2
WHOLE_UNIVERSE: Final = 0.8
A_FEW: Final = 3

type Unit = tuple[str, dt.date]

_STORED: Final = """
SELECT a.symbol, ((o."timestamp" - interval '1 microsecond') AT TIME ZONE 'Asia/Kolkata')::date,
       array_agg(o.close ORDER BY o."timestamp")
FROM spot_prices AS o JOIN instrument_aliases AS a USING (instrument_id, source)
WHERE o.source = 'simulated' GROUP BY 1, 2
"""


@dataclass
class Vendor:
    """What the vendor would answer, and what it was asked."""

    announced: dict[str, int] = field(default_factory=dict)
    """Revisions that the vendor tells of, by symbol."""
    changed: dict[str, int] = field(default_factory=dict)
    """How often the symbol's prices really changed."""
    asked: Counter[Unit] = field(default_factory=Counter)
    requests: int = 0

    def closes(self, symbol: str, day: dt.date) -> list[Decimal]:
        """Give the closes of a session as they stand now."""
        base = 1_000 + hash_of(symbol, day) % 5_000 + 7 * self.changed.get(symbol, 0)
        return [Decimal(base * 20 + minute) / 20 for minute in range(MINUTES)]


def hash_of(*parts: object) -> int:
    """Give a number that is the same in every process."""
    return random.Random(repr(parts)).getrandbits(32)


@dataclass(kw_only=True)
class Simulated(ApiSource):
    """The adapter of our vendor."""

    name: ClassVar[str] = "simulated"  # type: ignore[misc]
    version: ClassVar[str] = "1"
    vendor_url: ClassVar[str] = "https://simulated.invalid"
    datasets: ClassVar[tuple[Dataset, ...]] = (Dataset("spot_prices", 60, 30, ("EQ",)),)
    limits: ClassVar[tuple[Limit, ...]] = (Limit(1_000_000, 1.0),)

    vendor: Vendor

    def list_instruments(self, dataset: Dataset, window: Window) -> list[Listed]:
        """Name the shares of the universe; the vendor is not asked for that."""
        del dataset, window
        terms = {"kind": "EQ", "series": "EQ", "venue": "NSE", "currency": "INR"}
        return [
            Listed(one.symbol, {**terms, "symbol": one.symbol, "underlying": one.symbol})
            for one in self.wanted.equities
        ]

    def ask(self, question: Question) -> Answer:
        """Answer, and remember which symbol-sessions were asked."""
        self.vendor.requests += 1
        symbol, of = question.listed.symbol, market("NSE")
        days = of.sessions(question.window.first, question.window.last)
        self.vendor.asked.update((symbol, day) for day in days)
        rows = [
            (of.open(day) + dt.timedelta(minutes=minute + 1), close)
            for day in days
            for minute, close in enumerate(self.vendor.closes(symbol, day))
        ]
        prices = [close for _, close in rows]
        columns = dict.fromkeys(("open", "high", "low", "close"), prices)
        return Answer(answer_rows({"timestamp": [stamp for stamp, _ in rows], **columns, "volume": [1] * len(rows)}))

    def revision(self, dataset: Dataset) -> str:
        """Name the announced revisions of the universe's shares."""
        del dataset
        return repr([(one.symbol, self.vendor.announced.get(one.symbol, 0)) for one in self.wanted.equities])

    def revision_of(self, dataset: Dataset, listed: Listed) -> str:
        """Name the announced revision of one share."""
        del dataset
        return str(self.vendor.announced.get(listed.symbol, 0))


@dataclass
class Counts:
    """Symbol-sessions by what happened, and what happened between backtests."""

    wanted: int = 0
    hits: int = 0
    right_misses: int = 0
    false_invalidations: int = 0
    stale_hits: int = 0
    requests: int = 0
    events: dict[str, int] = field(default_factory=dict)

    def note(self, event: str) -> None:
        """Count an event."""
        self.events[event] = self.events.get(event, 0) + 1

    @property
    def hit_rate(self) -> float:
        """Share of what was wanted that was not asked for."""
        return self.hits / self.wanted

    @property
    def false_rate(self) -> float:
        """Share of what was wanted that was asked for in vain."""
        return self.false_invalidations / self.wanted


class Simulation:
    """Backtests, one after the other.

    Parameters
    ----------
    warehouse : Warehouse
        Running, migrated and without rows of ours.
    seed : int
        Everything follows from it.
    sessions : int, default 40
        There are at first.

    """

    def __init__(self, warehouse: Warehouse, seed: int, sessions: int = SESSIONS_AT_FIRST) -> None:
        self._warehouse, self._chance = warehouse, random.Random(seed)
        self._vendor, self.counts = Vendor(), Counts()
        pool = [f"SHARE{number:02d}" for number in range(POOL)]
        self._universe, self._others = pool[:SYMBOLS_AT_FIRST], pool[SYMBOLS_AT_FIRST:]
        self._calendar = market("NSE").sessions(BEGIN, dt.date(2026, 12, 31))
        self._until = sessions

    def run(self, backtests: int, *, release_at: int | None = None) -> Counts:
        """Run them; with a new version of the pipeline before one of them, if that is said."""
        for number in range(backtests):
            with _version("99.0.0" if release_at is not None and number >= release_at else pipeline_defs.__version__):
                if number:
                    self._between()
                self._backtest()
        return self.counts

    def _between(self) -> None:
        """Let something happen, or nothing: most backtests follow each other on the same day."""
        chance = self._chance
        if chance.random() < A_SESSION_MORE:
            self._until += 1
            self.counts.note("a session more")
        if self._others and chance.random() < A_CHANGE:
            self._universe.append(self._others.pop(chance.randrange(len(self._others))))
            self.counts.note("a symbol more")
        if len(self._universe) > SYMBOLS_AT_FIRST // 2 and chance.random() < A_CHANGE:
            self._others.append(self._universe.pop(chance.randrange(len(self._universe))))
            self.counts.note("a symbol less")
        if chance.random() < A_CHANGE:
            symbol = chance.choice(self._universe)
            self._vendor.announced[symbol] = self._vendor.announced.get(symbol, 0) + 1
            if chance.random() < IN_VAIN:
                self.counts.note("a revision that changed nothing")
            else:
                self._vendor.changed[symbol] = self._vendor.changed.get(symbol, 0) + 1
                self.counts.note("a revision")

    def _backtest(self) -> None:
        chance, known = self._chance, self._calendar[: self._until]
        first = chance.choice([0, 0, len(known) // 2, chance.randrange(len(known))])
        symbols = (
            sorted(self._universe) if chance.random() < WHOLE_UNIVERSE else sorted(chance.sample(self._universe, 3))
        )
        days = known[first:]
        before, self._vendor.asked, requests = self._stored(), Counter(), self._vendor.requests
        if chance.random() < A_KILL:
            self._import(symbols, days, batches=chance.randrange(1, 4))
            self.counts.note("a process killed")
        self._import(symbols, days)
        self.counts.requests += self._vendor.requests - requests
        after = self._stored()
        for unit in ((symbol, day) for symbol in symbols for day in days):
            truth = self._vendor.closes(*unit)
            is_asked = unit in self._vendor.asked
            # What a killed process was answered need not be asked again.
            is_right = before.get(unit) == truth or self._vendor.asked[unit] > 1
            self.counts.wanted += 1
            self.counts.hits += not is_asked
            self.counts.right_misses += is_asked and not is_right
            self.counts.false_invalidations += is_asked and is_right
            self.counts.stale_hits += not is_asked and not is_right
            if is_asked and after.get(unit) != truth:
                raise SystemExit(f"{unit} was asked for and is not stored as it was answered")

    def _import(self, symbols: list[str], days: list[dt.date], batches: int | None = None) -> None:
        """Import as a process of its own; one that is killed ends after some batches, between two commits."""
        universe = SourceUniverse.model_validate({"equities": symbols})
        now = market("NSE").close(days[-1]) + dt.timedelta(hours=1)
        source = Simulated(universe=universe, vendor=self._vendor, clock=lambda: now)
        request = ImportRequest(days[0], days[-1], tables=frozenset({"spot_prices"}))
        for number, _ in enumerate(import_source(self._warehouse, source, request), 1):
            if number == batches:
                break

    def _stored(self) -> dict[Unit, list[Decimal]]:
        with self._warehouse.connect() as connection:
            rows = connection.execute(_STORED).fetchall()
        return {(symbol, day): closes for symbol, day, closes in rows}


@contextmanager
def _version(version: str) -> Iterator[None]:
    with mock.patch.object(pipeline_defs, "__version__", version):
        yield


def main() -> None:
    """Run the simulation and print what was counted."""
    from benchmarks.measuring import Server  # noqa: PLC0415 -- tests bring a database of their own

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backtests", type=int, default=60)
    parser.add_argument("--seed", type=int, default=56)
    parser.add_argument("--release", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        os.environ["PIPELINE_HOME"] = str(folder / "home")
        server = Server(folder / "postgres")
        try:
            simulation = Simulation(Warehouse(server.url), options.seed)
            counts = simulation.run(options.backtests, release_at=options.backtests // 2 if options.release else None)
        finally:
            server.stop()
    told = {
        "backtests": options.backtests,
        "seed": options.seed,
        "symbol_sessions_wanted": counts.wanted,
        "hits": counts.hits,
        "right_misses": counts.right_misses,
        "false_invalidations": counts.false_invalidations,
        "stale_hits": counts.stale_hits,
        "hit_rate": round(counts.hit_rate, 4),
        "false_invalidation_rate": round(counts.false_rate, 4),
        "requests": counts.requests,
        "events": counts.events,
    }
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
