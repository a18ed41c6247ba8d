"""A server with a month of bars, and sources that ask it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.sources.asking.universe import SourceUniverse
from pipeline_defs.sources.polygon.adapter import PolygonSource
from pipeline_tests.sources.polygon.offline import UNIVERSE, fill
from pipeline_tests.sources.polygon.questions import NOW, QUICK, question
from pipeline_tests.sources.polygon.server import KEY, PolygonServer, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline_defs.sources.asking.questions import Answer


@pytest.fixture
def server() -> Iterator[PolygonServer]:
    with running() as running_server:
        fill(running_server)
        yield running_server


@pytest.fixture
def source(server: PolygonServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., PolygonSource]:
    """Make a source that asks the server, with a home of its own."""
    monkeypatch.setenv("POLYGON_API_KEY", KEY)
    monkeypatch.setenv("POLYGON_REQUESTS_PER_MINUTE", "60000")
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))

    def _source(universe: dict[str, Any] | None = None, **fields: Any) -> PolygonSource:
        wanted = SourceUniverse.model_validate(UNIVERSE if universe is None else universe)
        given = {"patience": QUICK, "endpoint": server.url, "clock": lambda: NOW, **fields}
        return PolygonSource(universe=wanted, **given)

    return _source


@pytest.fixture
def ask(source: Callable[..., PolygonSource]) -> Callable[..., Answer]:
    """Ask about one instrument on `DAY`, as the shared code does: with turns and retries."""

    def _ask(*args: Any, fields: dict[str, Any] | None = None, **options: Any) -> Answer:
        asking = source(**(fields or {}))
        asked = question(asking, *args, **options)
        try:
            return asking.call(lambda: asking.ask(asked), asked.where)
        finally:
            asking.close()

    return _ask
