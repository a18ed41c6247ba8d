"""Policies, the check and the sensor: what is stale is requested, nothing else, and nothing of a vendor is asked."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import uuid
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest
import yaml

from pipeline_defs.definitions import defs
from pipeline_defs.markets.market import MARKETS, market
from pipeline_defs.orchestration.automation import stale
from pipeline_defs.orchestration.automation.stale import ASK_AGAIN
from pipeline_defs.orchestration.freshness import FRESH_BY_SESSIONS, policy_of
from pipeline_defs.orchestration.runs import materialize_partition
from pipeline_defs.sources.registry import api_sources
from pipeline_tests.sources.ccxt.server import HOUR, ExchangeServer, epoch_ms, invented, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline_defs.orchestration.runs import PartitionRun
    from pipeline_defs.settings import Settings
    from pipeline_defs.warehouse.connection import Warehouse

KEY = dg.AssetKey(["ccxt", "spot_prices"])


@pytest.fixture
def exchange(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[ExchangeServer]:
    """An exchange that knows the hours of the last ten days, and a universe that wants one pair of it."""
    today = dt.datetime.now(dt.UTC).date()
    first = epoch_ms(today - dt.timedelta(days=10))
    with running(ExchangeServer({("BTCUSDT", HOUR): invented(first, epoch_ms(today) + 23 * HOUR, HOUR)})) as server:
        monkeypatch.setenv("PIPELINE_CCXT_ENDPOINT", server.url)
        settings.home.mkdir(parents=True, exist_ok=True)
        wanted = {"exchange": "binance", "bars": {"spot_prices": "1h"}, "pairs": ["BTC/USDT"]}
        (settings.home / "universe.yaml").write_text(yaml.safe_dump({"ccxt": wanted}))
        yield server


@pytest.fixture
def look(warehouse: Warehouse, instance: dg.DagsterInstance) -> Callable[[str | None], dg.SensorResult]:
    """Tick the sensor with a cursor."""
    del warehouse
    sensor = defs.resolve_sensor_def("stale_sensor")

    def tick(cursor: str | None) -> dg.SensorResult:
        resources = {name: (defs.resources or {})[name] for name in sensor.required_resource_keys}
        with dg.build_sensor_context(
            instance=instance, cursor=cursor, resources=resources, definitions=defs
        ) as context:
            told = sensor.evaluate_tick(context)
        return dg.SensorResult(
            run_requests=told.run_requests,
            skip_reason=told.skip_message,
            cursor=told.cursor,
            asset_events=told.asset_events,
        )

    return tick


def days_back(*days: int) -> list[str]:
    today = dt.datetime.now(dt.UTC).date()
    return [(today - dt.timedelta(days=back)).isoformat() for back in days]


def partitions(result: dg.SensorResult) -> list[str | None]:
    return [request.partition_key for request in result.run_requests or []]


def test_the_sensor_requests_exactly_the_sessions_that_are_due_and_not_stored(
    exchange: ExchangeServer,
    look: Callable[[str | None], dg.SensorResult],
    materialize: Callable[[str, str], PartitionRun],
) -> None:
    for day in days_back(4, 2):
        assert materialize('key:"ccxt/spot_prices"', day).succeeded
    asked = len(exchange.every_request)
    result = look(None)

    assert partitions(result) == days_back(5, 3, 1)
    assert {key for request in result.run_requests or [] for key in request.asset_selection or []} == {KEY}
    assert {request.job_name for request in result.run_requests or []} == {"ccxt_daily"}
    assert len(exchange.every_request) == asked
    (told,) = result.asset_events
    assert isinstance(told, dg.AssetCheckEvaluation)
    assert (told.asset_key, told.check_name, told.passed) == (KEY, FRESH_BY_SESSIONS, False)
    assert told.metadata["stale_sessions"].value == 3

    for missing in partitions(result):
        assert materialize('key:"ccxt/spot_prices"', str(missing)).succeeded
    after = look(result.cursor)
    assert partitions(after) == []
    (told,) = after.asset_events
    assert isinstance(told, dg.AssetCheckEvaluation)
    assert told.passed
    assert look(after.cursor).asset_events == []


def test_a_session_is_requested_again_only_after_a_while(
    exchange: ExchangeServer, look: Callable[[str | None], dg.SensorResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    del exchange
    first = look(None)
    second = look(first.cursor)
    memory = json.loads(second.cursor or "")
    old = dt.datetime.now(dt.UTC) - ASK_AGAIN
    third = look(json.dumps(memory | {"asked": {name: old.isoformat() for name in memory["asked"]}}))
    monkeypatch.setattr(stale, "MAX_REQUESTS", 2)
    few = look(None)

    assert [len(partitions(one)) for one in (first, second, third, few)] == [5, 0, 5, 2]
    assert "5 sessions are being asked for" in str(second.skip_reason)
    keys = [request.run_key for one in (first, third) for request in one.run_requests or []]
    assert len(set(keys)) == 10


def test_what_a_run_is_working_on_is_not_requested(
    exchange: ExchangeServer, look: Callable[[str | None], dg.SensorResult], instance: dg.DagsterInstance
) -> None:
    del exchange
    (busy,) = days_back(3)
    instance.create_run_for_job(
        defs.resolve_implicit_global_asset_job_def(),
        status=dg.DagsterRunStatus.STARTED,
        tags={"dagster/partition": busy},
        asset_selection=frozenset({KEY}),
    )

    (another,) = days_back(1)
    instance.add_run(dg.DagsterRun("ccxt_daily", str(uuid.uuid4()), tags={"dagster/partition": another}))

    assert partitions(look(None)) == days_back(5, 4, 2)


def test_the_sensor_starts_the_jobs_of_the_daily_schedules_and_there_are_no_others() -> None:
    targets = {target.job_name for target in defs.resolve_sensor_def("stale_sensor").targets}

    assert targets == {f"{source}_daily" for source in api_sources()}
    assert not [job.name for job in defs.get_repository_def().get_all_jobs() if job.name.startswith("refresh")]


def test_sources_of_which_nothing_is_wanted_are_a_note_and_no_request(
    settings: Settings, look: Callable[[str | None], dg.SensorResult]
) -> None:
    del settings
    result = look(None)

    assert partitions(result) == []
    assert "zerodha: cannot be read" in str(result.skip_reason)


def test_the_check_is_exact_by_sessions(
    exchange: ExchangeServer, materialize: Callable[[str, str], PartitionRun]
) -> None:
    found = [
        check
        for day in days_back(5, 4, 3, 2, 1)
        for check in materialize('key:"ccxt/spot_prices"', day).checks
        if check.name == FRESH_BY_SESSIONS
    ]

    assert [check.passed for check in found] == [False] * 4 + [True]
    assert [check.metadata["stale_sessions"] for check in found] == [4, 3, 2, 1, 0]
    assert found[0].metadata["found"] == ", ".join(f"{day} is missing" for day in days_back(4, 3, 2, 1))
    assert not any(check.blocking for check in found)
    assert len(exchange.requests) == 5


def test_a_materialisation_tells_whether_the_source_was_called(
    exchange: ExchangeServer, settings: Settings, instance: dg.DagsterInstance
) -> None:
    del settings
    (day,) = days_back(1)
    metadata = [
        materialize_partition('key:"ccxt/spot_prices"', day, instance).metadata["ccxt/spot_prices"] for _ in range(2)
    ]
    asked = len(exchange.every_request)

    assert [told["cache"] for told in metadata] == ["miss", "hit"]
    assert [told["source_calls"] for told in metadata] == [asked, 0]
    assert metadata[0]["fetch_seconds"] > metadata[1]["fetch_seconds"] == 0.0
    logged = [entry.user_message for entry in instance.all_logs(instance.get_runs()[0].run_id)]
    assert "spot_prices: cache hit, 0 calls, 0.0 s" in logged


@pytest.mark.parametrize("name", MARKETS)
def test_no_legitimate_silence_of_the_calendar_makes_a_policy_fail(name: str) -> None:
    of = market(name)
    window: Any = policy_of(of)
    first, last = max(of.covered[0], dt.date(2019, 1, 1)), min(of.covered[1], dt.date(2027, 12, 31))
    closes = [of.close(day) for day in of.sessions(first, last)]
    longest = max(later - earlier for earlier, later in itertools.pairwise(closes))

    assert longest < window.warn_window.to_timedelta() < window.fail_window.to_timedelta()
    assert window.fail_window.to_timedelta() <= longest + dt.timedelta(hours=6)


def test_every_api_table_has_a_policy_and_the_check_and_files_have_neither() -> None:
    graph = defs.resolve_asset_graph()
    checked = {check.asset_key for check in graph.asset_check_keys if check.name == FRESH_BY_SESSIONS}
    with_policy = {spec.key for spec in defs.resolve_all_asset_specs() if spec.freshness_policy is not None}

    assert checked == with_policy
    assert {key.path[0] for key in checked} == set(api_sources())
    assert "nse_csv" not in {key.path[0] for key in with_policy}
