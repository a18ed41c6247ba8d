"""A loopback Yahoo with the recorded days of one share, and sources that ask it, each in a home of its own."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from pipeline_defs.schema.batches import ImportBatch, ImportRequest
from pipeline_defs.sources.asking.calling import Patience
from pipeline_defs.sources.asking.universe import SourceUniverse
from pipeline_defs.sources.yahoo.adapter import YahooSource
from pipeline_tests.sources.yahoo.server import Instrument, YahooServer, running, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline_tests.sources.yahoo.server import Bar

FIXTURES = Path(__file__).parent / "fixtures"
NEW_YORK = ZoneInfo("America/New_York")
INDIA = ZoneInfo("Asia/Kolkata")
NOW = dt.datetime(2023, 10, 12, 12, 0, tzinfo=dt.UTC)
QUICK = Patience(tries=3, total_seconds=10, try_seconds=5, first_wait_seconds=0.01)

type Ask = Callable[..., YahooSource]


def recorded_days() -> list[Bar]:
    """GS, 2 to 9 October 2023, as recorded."""
    result = json.loads((FIXTURES / "chart_GS_1d.json").read_text())["chart"]["result"][0]
    quote = result["indicators"]["quote"][0]
    names = ("open", "high", "low", "close", "volume")
    return list(zip(result["timestamp"], *(quote[name] for name in names), strict=True))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def server(home: Path) -> Iterator[YahooServer]:
    del home
    with running() as one:
        one.instruments["GS"] = Instrument(bars={"1d": recorded_days()})
        yield one


@pytest.fixture
def ask(server: YahooServer) -> Ask:
    """Make a source; ``universe`` as YAML would give it."""

    def make(now: dt.datetime = NOW, patience: Patience = QUICK, **universe: Any) -> YahooSource:
        wanted = SourceUniverse.model_validate(universe or {"equities": ["GS"]})
        return YahooSource(universe=wanted, patience=patience, endpoint=server.url, clock=lambda: now)

    return make


def daily(first: str, last: str, **more: Any) -> ImportRequest:
    return request(first, last, "equity_daily", **more)


def request(first: str, last: str, *tables: str, **more: Any) -> ImportRequest:
    start, end = dt.date.fromisoformat(first), dt.date.fromisoformat(last)
    return ImportRequest(start_date=start, end_date=end, tables=frozenset(tables), **more)


def with_rows(batches: list[ImportBatch]) -> list[ImportBatch]:
    return [batch for batch in batches if batch.empty_reason is None]


def minute_bars(day: str, *bars: tuple[str, Any, Any, Any, Any, Any], zone: dt.tzinfo = NEW_YORK) -> list[Bar]:
    """Bars from (time of start, open, high, low, close, volume)."""
    return [(seconds(dt.date.fromisoformat(day), time, zone), *rest) for time, *rest in bars]
