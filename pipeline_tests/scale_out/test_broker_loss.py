"""The broker is killed in mid-backfill, with a run in it that no worker has taken yet, and an empty one is started."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING

import dagster as dg
import psycopg
import pytest

from pipeline_tests.scale_out.cluster import cluster, instance_settings, wait_until
from pipeline_tests.scale_out.outcome import ASSETS, check_tables, prepare
from pipeline_tests.scale_out.runs import day_of, failed, in_progress, materialized, why_failed
from pipeline_tests.scale_out.samples import days_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WORKERS = ("north", "south")
START_SECONDS = 45


@pytest.mark.thorough("a cluster of its own, and the time until a lost run is found out")
def test_a_backfill_is_complete_and_correct_though_the_broker_lost_everything_in_the_middle(
    told: Callable[[str], None], tmp_path: Path
) -> None:
    sample, days = days_of(4, tmp_path / "sample")
    settings = instance_settings(len(WORKERS) + 1, start_timeout_seconds=START_SECONDS)
    with (
        cluster(WORKERS, tmp_path, told, settings=settings) as made,
        made.instance(tmp_path / "outside") as instance,
        ExitStack() as connections,
    ):
        market, reference = prepare(made, sample.landing, told)
        for name in WORKERS:
            made.start_worker(name)
        made.start_coordinator()
        made.wait_for_workers(WORKERS)
        holder = connections.enter_context(psycopg.connect(market.url, autocommit=True))
        locks = {day: f"options_ticks|nse_csv|{day}|60" for day in days}
        for lock in locks.values():
            holder.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [lock])
        made.backfill(instance, ASSETS, days)
        wait_until(lambda: sum(made.is_waited_for(holder, lock) for lock in locks.values()) == 2, 400, made)
        running = {day for day, lock in locks.items() if made.is_waited_for(holder, lock)}
        wait_until(lambda: _starting(instance) != [], 100, made)
        (lost,) = _starting(instance)
        told(f"{' and '.join(sorted(running))} are in mid-load, {day_of(lost)} waits in the broker")

        made.shared.kill_broker()
        told("the broker is killed")
        wait_until(lambda: all(_has_noticed(made.members[name].log("worker")) for name in WORKERS), 100, made)
        made.shared.replace_broker()
        told("another one is started, which knows nothing")
        holder.execute("SELECT pg_advisory_unlock_all()")

        wait_until(lambda: materialized(instance) >= len(days), 600, made)
        wait_until(lambda: not in_progress(instance), 200, made)
        for run in failed(instance):
            told(f"run {run.run_id[:8]} of {day_of(run)}: {why_failed(instance, run)}")
        assert [run.run_id for run in failed(instance)] == [lost.run_id]
        ended = [run for run in instance.get_runs() if run.status is dg.DagsterRunStatus.SUCCESS]
        assert Counter(map(day_of, ended)) == Counter(days)
        assert [day_of(run) for run in ended if run.parent_run_id] == [day_of(lost)]
        told(f"{day_of(lost)} was run again; {' and '.join(sorted(running))} needed no broker")
        check_tables(market, reference, sample.landing, told)


def _starting(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Give the runs that were handed to the broker and have not begun."""
    sent = instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING]))
    return [run for run in sent if "dagster-celery/task_id" in run.tags]


def _has_noticed(log: Path) -> bool:
    return "Cannot connect to" in log.read_text(errors="replace")
