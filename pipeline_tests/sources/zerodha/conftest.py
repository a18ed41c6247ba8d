"""A running server, and a source that asks it, with an empty home of its own."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.schema.batches import ImportBatch, ImportRequest
from pipeline_defs.sources.asking.calling import Patience
from pipeline_defs.sources.asking.universe import SourceUniverse
from pipeline_defs.sources.zerodha.adapter import ZerodhaSource
from pipeline_tests.sources.zerodha.offline import TRADE_DATE, UNIVERSE
from pipeline_tests.sources.zerodha.server import KEY, SECRET, TOKEN, KiteServer, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOW = dt.datetime(2025, 9, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def kite() -> Iterator[KiteServer]:
    with serve() as running:
        yield running


@pytest.fixture(autouse=True)
def home(kite: KiteServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    monkeypatch.setenv("PIPELINE_ZERODHA_ENDPOINT", kite.url)
    monkeypatch.setenv("ZERODHA_API_KEY", KEY)
    monkeypatch.setenv("ZERODHA_API_SECRET", SECRET)
    monkeypatch.setenv("ZERODHA_ACCESS_TOKEN", TOKEN)
    return tmp_path


@pytest.fixture
def source() -> Callable[..., ZerodhaSource]:
    """Make a source of some sections of the universe; default all of it."""

    def _source(now: dt.datetime = NOW, patience: Patience | None = None, **sections: Any) -> ZerodhaSource:
        universe = SourceUniverse.model_validate(sections or UNIVERSE)
        quick = patience or Patience(tries=3, total_seconds=10, try_seconds=2, first_wait_seconds=0.01)
        return ZerodhaSource(universe=universe, patience=quick, clock=lambda: now)

    return _source


@pytest.fixture
def fetch() -> Callable[..., dict[tuple[str, dt.date], ImportBatch]]:
    def _fetch(
        of: ZerodhaSource, *tables: str, first: dt.date = TRADE_DATE, last: dt.date | None = None
    ) -> dict[tuple[str, dt.date], ImportBatch]:
        request = ImportRequest(first, last or first, tables=frozenset(tables) if tables else None)
        return {(batch.table, batch.trade_date): batch for batch in of.fetch(request)}

    return _fetch
