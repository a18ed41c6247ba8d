"""A server of each shape, and sources that ask it with little patience."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.asking.calling import Patience
from pipeline_defs.sources.asking.questions import Question, Window
from pipeline_defs.sources.asking.universe import SourceUniverse
from pipeline_defs.sources.ccxt.adapter import CcxtSource
from pipeline_tests.sources.ccxt.server import (
    HOUR,
    MINUTE,
    MINUTES_DAY,
    ExchangeServer,
    epoch_ms,
    invented,
    recorded_hours,
    recorded_minutes,
    running,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUICK = Patience(tries=3, total_seconds=20, try_seconds=5, first_wait_seconds=0.01)
KRAKEN_NOW = dt.datetime(2026, 2, 3, 12, 0, 30, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    for name in ("CCXT_API_KEY", "CCXT_SECRET", "CCXT_API_KEY_FILE", "CCXT_SECRET_FILE", "PIPELINE_CCXT_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def binance() -> Iterator[ExchangeServer]:
    candles = {("BTCUSDT", HOUR): dict(recorded_hours()), ("BTCBUSD", MINUTE): dict(recorded_minutes())}
    with running(ExchangeServer(candles)) as server:
        yield server


@pytest.fixture
def kraken() -> Iterator[ExchangeServer]:
    """Five minutes of the three days before noon, as Kraken pads them: also where nothing traded."""
    now = round(KRAKEN_NOW.timestamp() * 1000)
    candles = {
        ("XBTUSDT", length): dict(invented(epoch_ms(KRAKEN_NOW.date() - dt.timedelta(days=3)), now, length))
        for length in (MINUTE, 5 * MINUTE, HOUR)
    }
    with running(ExchangeServer(candles, now=lambda: now)) as server:
        yield server


def source_of(server: ExchangeServer, **changed: Any) -> CcxtSource:
    """A source of a server; the keywords are the universe's, but for those of the source itself."""
    own = {name: changed.pop(name) for name in ("patience", "clock") if name in changed}
    universe = SourceUniverse.model_validate({"exchange": "binance", "pairs": ["BTC/BUSD"], **changed})
    return CcxtSource(universe=universe, endpoint=server.url, **{"patience": QUICK, **own})


def question_of(source: CcxtSource, first: dt.date = MINUTES_DAY, last: dt.date | None = None) -> Question:
    """The question for the first pair."""
    dataset = source.wanted.with_length(source.datasets[0])
    window = Window(first, last or first)
    (listed, *_) = source.list_instruments(dataset, window)
    start, end = source.market.bounds(window.first)[0], source.market.bounds(window.last)[1]
    return Question(source.name, source.version, dataset, listed, window, start, end)


def days(first: dt.date, last: dt.date | None = None) -> ImportRequest:
    return ImportRequest(first, last or first)
