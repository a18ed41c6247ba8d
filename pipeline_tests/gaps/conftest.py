"""A migrated warehouse and a home for each test, and exchanges on the loopback with candles taken out."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.gaps.supply import Supplies
from pipeline_defs.settings import Settings, load_settings
from pipeline_defs.sources.asking.universe import SourceUniverse
from pipeline_defs.sources.ccxt.adapter import CcxtSource
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_tests.sources.ccxt.conftest import QUICK
from pipeline_tests.sources.ccxt.server import HOUR, MINUTE, ExchangeServer, epoch_ms, invented, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DAY = dt.date(2025, 8, 13)
"""A Wednesday."""
LATER = dt.datetime(2025, 9, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="session")
def template_url(migrated_url: str) -> str:
    """Every test works on a copy of a migrated database."""
    return migrated_url


@pytest.fixture
def settings(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home and a database of this test alone."""
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIPELINE_DATABASE_URL", database_url)
    monkeypatch.delenv("PIPELINE_RAW_ARCHIVE", raising=False)
    return load_settings()


@pytest.fixture
def warehouse(settings: Settings) -> Warehouse:
    """The database of `settings`."""
    assert settings.database_url is not None
    return Warehouse(settings.database_url)


@pytest.fixture
def ask(warehouse: Warehouse) -> Callable[..., list[tuple[Any, ...]]]:
    """Run a query and give its rows."""

    def run(query: str, *values: object) -> list[tuple[Any, ...]]:
        with warehouse.connect() as connection:
            return connection.execute(query.encode(), values or None).fetchall()

    return run


@pytest.fixture
def exchange() -> Iterator[ExchangeServer]:
    """Three days of hours of two pairs, whole."""
    first = epoch_ms(DAY)
    candles = {
        (pair, length): dict(invented(first - 24 * HOUR, first + 48 * HOUR - length, length))
        for pair in ("BTCUSDT", "BTCBUSD")
        for length in (HOUR, MINUTE)
    }
    with running(ExchangeServer(candles)) as server:
        yield server


def pairs_of(server: ExchangeServer, *pairs: str, length: str = "1h") -> CcxtSource:
    """A source that wants some pairs of a server, some days later."""
    named = list(pairs or ("BTC/USDT", "BTC/BUSD"))
    universe = SourceUniverse.model_validate({"exchange": "binance", "pairs": named, "bars": {"spot_prices": length}})
    return CcxtSource(universe=universe, endpoint=server.url, patience=QUICK, clock=lambda: LATER)


def supplies_of(settings: Settings, server: ExchangeServer, *pairs: str, length: str = "1h") -> Supplies:
    """Supplies whose every source is `pairs_of` the server."""
    return Supplies(settings, make_source=lambda name: pairs_of(server, *pairs, length=length))  # noqa: ARG005
