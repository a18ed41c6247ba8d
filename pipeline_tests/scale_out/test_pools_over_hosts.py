"""A pool is counted in Dagster's database: it holds over however many hosts."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from pipeline_defs.orchestration.pools import ASKING_QUEUE, pool_limits, set_pool_limit
from pipeline_tests.scale_out.cluster import cluster, wait_until
from pipeline_tests.scale_out.pooled import KEY, PARTITIONS, POOL
from pipeline_tests.scale_out.runs import host_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_tests.scale_out.cluster import Cluster

WORKERS = ("north", "south")


@pytest.mark.thorough("a cluster of its own")
def test_two_hosts_never_run_two_partitions_of_one_pool_at_once_unless_its_limit_is_two(
    told: Callable[[str], None], tmp_path: Path
) -> None:
    with cluster(WORKERS, tmp_path, told) as made, made.instance(tmp_path / "outside") as instance:
        for name in WORKERS:
            made.start_worker(name, ASKING_QUEUE)
        made.start_coordinator("pipeline_tests.scale_out.pooled")
        made.wait_for_workers(WORKERS)

        assert pool_limits(instance)[POOL] == (1, False)
        spans, hosts = _backfill(made, instance)
        told(f"limit 1: {len(spans)} runs on {', '.join(sorted(hosts))}, {_overlaps(spans)} at the same time")
        assert len(spans) == len(PARTITIONS)
        assert _overlaps(spans) == 0

        set_pool_limit(instance, POOL, 2)
        spans, hosts = _backfill(made, instance)
        told(f"limit 2: {len(spans)} runs on {', '.join(sorted(hosts))}, {_overlaps(spans)} at the same time")
        assert hosts == set(WORKERS)
        assert _overlaps(spans) > 0


def _backfill(made: Cluster, instance: dg.DagsterInstance) -> tuple[list[tuple[float, float]], set[str]]:
    """Ask for all partitions; give begin and end of each step, and the hosts they were on."""
    backfill = made.backfill(instance, [KEY.path], list(PARTITIONS))

    def runs() -> list[dg.DagsterRun]:
        return [*instance.get_runs(filters=dg.RunsFilter(tags={"dagster/backfill": backfill}))]

    wait_until(lambda: len(runs()) >= len(PARTITIONS) and all(run.is_finished for run in runs()), 300, made)
    assert {run.status for run in runs()} == {dg.DagsterRunStatus.SUCCESS}
    spans = []
    for run in runs():
        (begun,) = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_START)
        (ended,) = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_SUCCESS)
        spans.append((begun.timestamp, ended.timestamp))
    return sorted(spans), set(map(host_of, runs()))


def _overlaps(spans: list[tuple[float, float]]) -> int:
    return sum(later[0] < earlier[1] for earlier, later in itertools.pairwise(spans))
