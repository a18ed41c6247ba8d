"""Runs that ask one source wait for each other in Dagster's queue, whatever asks: days, looks, or a mixture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
import pytest
from dagster._core.op_concurrency_limits_counter import GlobalOpConcurrencyLimitsCounter

from pipeline_defs.definitions import defs
from pipeline_defs.orchestration.pools import pool_limits, pool_names, set_pool_limit
from pipeline_defs.orchestration.runs import open_instance
from pipeline_defs.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def project_instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance with the project's own configuration."""
    with open_instance(Settings(home=tmp_path / "home", database_url=None)) as opened:
        yield opened


def let_go(instance: dg.DagsterInstance, *jobs: str) -> list[str]:
    """Queue a run of each job, the pools being known; tell which may start, as the queue daemon counts them."""
    pool_limits(instance)
    runs = [instance.create_run_for_job(defs.resolve_job_def(name)) for name in jobs]
    granularity = instance.get_concurrency_config().pool_config.pool_granularity

    def counter() -> GlobalOpConcurrencyLimitsCounter:
        storage = instance.event_log_storage
        return GlobalOpConcurrencyLimitsCounter(
            instance, runs, [], storage.get_concurrency_keys(), storage.get_pool_limits(), pool_granularity=granularity
        )

    counted, started = counter(), []
    for name, run in zip(jobs, runs, strict=True):
        if not counted.is_blocked(run):
            counted.update_counters_with_launched_item(run)
            started.append(name)
    return started


def test_a_second_run_of_a_source_waits_and_one_of_another_source_does_not(
    project_instance: dg.DagsterInstance,
) -> None:
    assert let_go(project_instance, "ccxt_daily", "ccxt_daily", "ccxt_intraday", "yahoo_intraday", "nse_daily") == [
        "ccxt_daily",
        "yahoo_intraday",
        "nse_daily",
    ]


def test_a_person_can_let_more_runs_ask(project_instance: dg.DagsterInstance) -> None:
    set_pool_limit(project_instance, "ccxt", 2)

    assert pool_limits(project_instance)["ccxt"] == (2, True)
    assert let_go(project_instance, "ccxt_daily", "ccxt_intraday", "ccxt_daily") == ["ccxt_daily", "ccxt_intraday"]


def test_every_api_source_has_a_pool_and_files_have_none(project_instance: dg.DagsterInstance) -> None:
    assert list(pool_limits(project_instance)) == pool_names()
    assert "nse_csv" not in pool_names()
    assert set(pool_limits(project_instance).values()) == {(1, False)}


def test_every_step_with_a_pool_and_every_job_that_asks_without_one_is_sent_there() -> None:
    repository = defs.get_repository_def()
    ops = {op.name: op for job in repository.get_all_jobs() for op in (node.definition for node in job.nodes)}
    sent = {name for name, op in ops.items() if op.tags.get("dagster-celery/queue") == "asking"}
    with_pool = {name for name, op in ops.items() if isinstance(op, dg.OpDefinition) and op.pool}
    assert len(with_pool) >= len(pool_names())
    assert sent == with_pool | {"fill", "bring_in", "backfill_gaps"}
