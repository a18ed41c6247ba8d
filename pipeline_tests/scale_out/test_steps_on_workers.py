"""Steps, one by one, on workers: the executor of dagster-celery, with a real broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
import pytest

from pipeline_tests.scale_out.cluster import COORDINATOR, cluster, instance_settings, wait_until
from pipeline_tests.scale_out.outcome import ASSETS, check_tables, prepare
from pipeline_tests.scale_out.runs import in_progress, materialized
from pipeline_tests.scale_out.samples import days_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WORKERS = ("north", "south")
STEPS_QUEUE = "dagster"


@pytest.mark.thorough("a cluster of its own")
def test_steps_are_executed_by_workers_of_other_hosts_than_their_run_and_come_to_the_same(
    told: Callable[[str], None], tmp_path: Path
) -> None:
    sample, days = days_of(2, tmp_path / "sample")
    settings = instance_settings(2)
    del settings["run_launcher"]  # Dagster's own: a run's process is started by the code server
    with (
        cluster(WORKERS, tmp_path, told, settings=settings, variables={"PIPELINE_EXECUTOR": "celery"}) as made,
        made.instance(tmp_path / "outside") as instance,
    ):
        market, reference = prepare(made, sample.landing, told)
        for name in WORKERS:
            made.start_worker(name, STEPS_QUEUE)
        made.start_coordinator()
        made.wait_for_workers(WORKERS)
        made.backfill(instance, ASSETS, days)
        wait_until(lambda: materialized(instance) >= len(days), 600, made)
        wait_until(lambda: not in_progress(instance), 200, made)

        executed: dict[str, list[str]] = {name: [] for name in WORKERS}
        for run in instance.get_runs():
            assert run.status is dg.DagsterRunStatus.SUCCESS
            steps = set()
            for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
                worker = entry.get_dagster_event().engine_event_data.metadata.get("Celery worker")
                if worker is not None:
                    host = str(worker.value).rpartition("@")[2]
                    executed[host].append(f"{run.tags['dagster/partition']} {entry.step_key}")
                    steps.add(entry.step_key)
            succeeded = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_SUCCESS)
            assert {entry.step_key for entry in succeeded} == steps  # none by the run's own process
        for host, names in executed.items():
            told(f"{host}: {', '.join(sorted(names))}")
        assert all(executed.values())
        told(f"{COORDINATOR}: {len(instance.get_runs())} processes of runs, which executed no step")
        check_tables(market, reference, sample.landing, told)
