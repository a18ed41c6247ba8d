"""A home whose universe wants something of every API source, and ways to travel in time."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest
import yaml

from pipeline_defs.definitions import defs
from pipeline_defs.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

UNIVERSE: dict[str, dict[str, Any]] = {
    "ccxt": {"exchange": "binance", "pairs": ["BTC/USDT"]},
    "interactive_brokers": {"equities": ["AAPL"]},
    "polygon": {"equities": ["AAPL"]},
    "yahoo": {"equities": ["AAPL"], "indices": ["^GSPC"]},
    "zerodha": {"indices": ["NIFTY 50"], "options": ["NIFTY"]},
}

type Tick = Callable[..., list[dg.RunRequest] | str]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Without a database: schedules and sensors need none."""
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIPELINE_FIRST_DATE", "2024-01-01")
    settings = load_settings()
    settings.home.mkdir(parents=True)
    write_universe(settings, UNIVERSE)
    return settings


def write_universe(settings: Settings, universe: Mapping[str, object]) -> None:
    (settings.home / "universe.yaml").write_text(yaml.safe_dump(universe))


@pytest.fixture
def tick(home: Settings, instance: dg.DagsterInstance) -> Tick:
    """Evaluate a schedule as of an instant (ISO 8601, with a zone); gives its requests, or why there are none."""
    del home

    def evaluate(named: str | dg.ScheduleDefinition, at: str) -> list[dg.RunRequest] | str:
        schedule = defs.resolve_schedule_def(named) if isinstance(named, str) else named
        context = dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=dt.datetime.fromisoformat(at),
            repository_def=defs.get_repository_def(),
        )
        # An instance in memory has no reference to be opened by.
        context._instance = context._instance_ref = instance  # type: ignore[assignment]
        data = schedule.evaluate_tick(context)
        return list(data.run_requests or []) or str(data.skip_message)

    return evaluate


def store(instance: dg.DagsterInstance, keys: Sequence[Sequence[str]], partitions: Sequence[str]) -> None:
    """Record materialisations, now."""
    for key in keys:
        for partition in partitions:
            instance.report_runless_asset_event(dg.AssetMaterialization(list(key), partition=partition))


def partitions_of(answer: list[dg.RunRequest] | str) -> list[str]:
    """Give the partitions that are asked for, in order."""
    assert not isinstance(answer, str), answer
    return [str(request.partition_key) for request in answer]
