"""A vendor on the loopback, a migrated warehouse, and a clock that stands where a test puts it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.asking.calling import Patience
from pipeline_defs.sources.asking.universe import SourceUniverse
from pipeline_defs.sources.zerodha.adapter import ZerodhaSource
from pipeline_defs.warehouse.cache import list_statistics
from pipeline_defs.warehouse.loading import import_source
from pipeline_tests.sources.zerodha.server import KEY, SECRET, TOKEN, KiteServer, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.reports import LoadReport

RELIANCE, BAJAJ = "738561", "4267265"
"""Kite's tokens."""


@pytest.fixture(scope="session")
def template_url(migrated_url: str) -> str:
    """Every test works on a copy of a migrated database."""
    return migrated_url


@pytest.fixture
def kite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KiteServer]:
    """Kite on the loopback, and the environment that leads there."""
    with serve() as running:
        monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
        monkeypatch.setenv("PIPELINE_ZERODHA_ENDPOINT", running.url)
        monkeypatch.setenv("ZERODHA_API_KEY", KEY)
        monkeypatch.setenv("ZERODHA_API_SECRET", SECRET)
        monkeypatch.setenv("ZERODHA_ACCESS_TOKEN", TOKEN)
        yield running


@dataclass
class Traveller:
    """Imports at whatever instant is said; every import is another process, as it were."""

    kite: KiteServer
    warehouse: Warehouse
    equities: list[Any] = field(default_factory=lambda: ["RELIANCE"])

    def source(self, now: str) -> ZerodhaSource:
        """Make the source, with its clock at an instant of India."""
        universe = SourceUniverse.model_validate({"equities": self.equities})
        patience = Patience(tries=3, total_seconds=10, try_seconds=2, first_wait_seconds=0.01)
        return ZerodhaSource(universe=universe, patience=patience, clock=lambda: ist(now))

    def go(
        self, now: str, first: str, last: str | None = None, *, table: str = "spot_prices", reread: bool = False
    ) -> list[LoadReport]:
        """Import a range of days at an instant."""
        begin, end = dt.date.fromisoformat(first), dt.date.fromisoformat(last or first)
        request = ImportRequest(begin, end, tables=frozenset({table}))
        return list(import_source(self.warehouse, self.source(now), request, reread=reread))

    def asked(self, now: str, first: str, last: str | None = None, *, reread: bool = False) -> int:
        """Import, and count all requests that reached the server, for whatever."""
        before = len(self.kite.paths)
        self.go(now, first, last, reread=reread)
        return len(self.kite.paths) - before

    def counts(self) -> tuple[int, int]:
        """Hits and misses of all days."""
        days = list_statistics(self.warehouse)
        return sum(day.hits for day in days), sum(day.misses for day in days)


def ist(instant: str) -> dt.datetime:
    """An instant by the clock of India."""
    return dt.datetime.fromisoformat(instant).replace(tzinfo=ZoneInfo("Asia/Kolkata")).astimezone(dt.UTC)


def candle(instant: str, price: float = 1400.0, volume: int = 10) -> list[Any]:
    """One minute of Kite, by its begin in India."""
    return [f"{instant}:00+0530", price, price, price, price, volume]


@pytest.fixture
def traveller(kite: KiteServer, warehouse: Warehouse) -> Traveller:
    """Whoever imports."""
    return Traveller(kite, warehouse)
