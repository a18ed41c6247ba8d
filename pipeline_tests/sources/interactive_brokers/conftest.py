"""A TWS of one's own for each test, and the adapter that is pointed at it."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.errors import SourceError
from pipeline_defs.sources.asking.calling import Patience
from pipeline_defs.sources.asking.questions import Dataset, Listed, Question, Window
from pipeline_defs.sources.asking.universe import SourceUniverse
from pipeline_defs.sources.interactive_brokers.adapter import InteractiveBrokersSource
from pipeline_tests.sources.interactive_brokers.offline import TRADE_DATE, UNIVERSE
from pipeline_tests.sources.interactive_brokers.tws import Tws, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline_defs.sources.asking.questions import Answer

NOW = dt.datetime(2026, 11, 27, 12, tzinfo=dt.UTC)
PATIENCE = Patience(tries=3, total_seconds=20, try_seconds=1.0, first_wait_seconds=0.001)

SHARE: dict[str, Any] = {"equities": ["ACME"]}
SHORT = {"try_seconds": 0.15}

type MakeSource = Callable[..., InteractiveBrokersSource]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    monkeypatch.delenv("IB_CLIENT_ID", raising=False)
    monkeypatch.delenv("PIPELINE_INTERACTIVE_BROKERS_ENDPOINT", raising=False)
    monkeypatch.setattr(InteractiveBrokersSource, "limits", ())


@pytest.fixture
def tws() -> Iterator[Tws]:
    with running() as server:
        yield server


@pytest.fixture
def make_source(tws: Tws) -> Iterator[MakeSource]:
    made: list[InteractiveBrokersSource] = []

    def make(**changes: Any) -> InteractiveBrokersSource:
        universe = changes.pop("universe", UNIVERSE)
        source = InteractiveBrokersSource(
            universe=SourceUniverse.model_validate(universe),
            patience=replace(PATIENCE, **changes.pop("patience", {})),
            endpoint=changes.pop("endpoint", tws.endpoint),
            clock=changes.pop("clock", lambda: NOW),
        )
        assert not changes
        made.append(source)
        return source

    yield make
    for source in made:
        source.close()


def dataset(table: str, source: InteractiveBrokersSource) -> Dataset:
    return next(one for one in source.datasets if one.table == table)


def question(
    source: InteractiveBrokersSource,
    listed: Listed,
    of: Dataset,
    day: dt.date = TRADE_DATE,
    last: dt.date | None = None,
) -> Question:
    window = Window(day, last or day)
    begin, end = source.market.bounds(window.first)[0], source.market.bounds(window.last)[1]
    return Question(source.name, source.version, of, listed, window, begin, end)


def ask(source: InteractiveBrokersSource, table: str = "spot_prices") -> Answer:
    """Ask for one window of the first instrument, with retries as an import has them."""
    of = dataset(table, source)
    listed = source.list_instruments(of, Window(TRADE_DATE, TRADE_DATE))[0]
    asked = question(source, listed, of)
    return source.call(lambda: source.ask(asked), asked.where)


def message(work: Callable[[], object], kind: type[Exception] = SourceError) -> str:
    with pytest.raises(kind) as caught:
        work()
    return str(caught.value)
