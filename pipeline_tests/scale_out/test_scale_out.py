"""A backfill over several hosts, of which one is cut off and another one's process is killed in mid-partition."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import dagster as dg
import psycopg
import pytest

from pipeline_defs.orchestration.workers.signs import SLOT_TAG
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_tests.scale_out.cluster import Cluster, cluster, wait_until
from pipeline_tests.scale_out.outcome import ASSETS, check_tables, prepare
from pipeline_tests.scale_out.runs import (
    day_of,
    executes_run,
    failed,
    host_of,
    in_progress,
    materialized,
)
from pipeline_tests.scale_out.samples import days_of
from pipeline_tests.scale_out.services import BUCKET
from pipeline_tests.storage.test_nautilus_reads_objects import READ

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(
    ("workers", "count", "namespaces"),
    [
        pytest.param(("north", "south"), 2, True, id="two hosts"),
        pytest.param(
            ("north", "south", "east"), 5, True, id="three hosts", marks=pytest.mark.thorough("the same, wider")
        ),
        pytest.param(
            ("north", "south"), 3, False, id="processes", marks=pytest.mark.thorough("where namespaces are forbidden")
        ),
    ],
)
def test_a_backfill_over_hosts_is_complete_and_correct_though_one_is_cut_off_and_one_is_killed(
    told: Callable[[str], None], tmp_path: Path, workers: tuple[str, ...], count: int, *, namespaces: bool
) -> None:
    sample, days = days_of(count, tmp_path / "sample")
    told(f"{len(days)} days of NSE files, {sum(sample.rows.values()):,} rows")
    with (
        cluster(workers, tmp_path, told, namespaces=namespaces) as made,
        made.instance(tmp_path / "outside") as instance,
    ):
        market, reference = prepare(made, sample.landing, told)
        for name in workers:
            made.start_worker(name)
        made.start_coordinator()
        made.wait_for_workers(workers)
        told(f"coordinator and workers {', '.join(workers)} are up")
        with psycopg.connect(market.url, autocommit=True) as holder:
            cut, killed = _disturb(made, instance, holder, days, told)
        wait_until(lambda: materialized(instance) >= len(days), 600, made)
        wait_until(lambda: not in_progress(instance), 200, made)
        for name, host in made.members.items():
            told(f"{name}: {host.cpu_seconds():.1f} CPU s")
        left = [pid for pid in made.members[cut].processes() if executes_run(pid)]
        made.members[cut].reconnect()
        told(f"{cut} is back; runs still executed there: {len(left)}")
        assert left == []
        _check_runs(instance, days, (cut, killed), told)
        check_tables(market, reference, sample.landing, told)
        if len(workers) > 2:
            _check_catalog(made, instance, days, told)


def _disturb(
    made: Cluster,
    instance: dg.DagsterInstance,
    holder: psycopg.Connection[Any],
    days: list[str],
    told: Callable[[str], None],
) -> tuple[str, str]:
    """Hold two partitions in the middle of their loads, cut the one's host off and kill the other's process."""
    locks = [f"options_ticks|nse_csv|{day}|60" for day in days[:2]]
    for lock in locks:
        holder.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [lock])
    backfill = made.backfill(instance, ASSETS, days)
    told(f"backfill {backfill} of {len(days)} partitions asked for")

    wait_until(lambda: all(made.is_waited_for(holder, lock) for lock in locks), 400, made)
    on = {day_of(run): host_of(run) for run in in_progress(instance) if SLOT_TAG in run.tags}
    cut, killed = on[days[0]], on[days[1]]
    told(f"{days[0]} is in mid-load on {cut}, {days[1]} on {killed}")
    made.members[cut].cut_off()
    told(f"{cut} is cut off")
    (pid,) = [pid for pid in made.members[killed].processes() if executes_run(pid)]
    os.kill(pid, signal.SIGKILL)
    told(f"kill -9 of the process on {killed} that executes {days[1]}")
    wait_until(lambda: len(failed(instance)) == 2, 300, made)
    for run in failed(instance):
        message = [entry.message for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)]
        told(f"run {run.run_id[:8]} of {run.tags['dagster/partition']}: {message[0].partition(chr(10))[0]}")
    holder.execute("SELECT pg_advisory_unlock_all()")
    return cut, killed


def _check_runs(
    instance: dg.DagsterInstance, days: list[str], disturbed: tuple[str, str], told: Callable[[str], None]
) -> None:
    runs = sorted(instance.get_runs(), key=lambda run: (day_of(run), run.tags.get("dagster/retry_number", "0")))
    for run in runs:
        retry = run.tags.get("dagster/retry_number")
        told(
            f"{run.tags['dagster/partition']}  {run.status.value:<8} on {run.tags['pipeline/worker']:<8}"
            f"{'' if retry is None else f'  retry {retry} of {run.parent_run_id and run.parent_run_id[:8]}'}"
        )
    ended = Counter(day_of(run) for run in runs if run.status is dg.DagsterRunStatus.SUCCESS)
    assert ended == Counter(days)
    assert {day_of(run) for run in failed(instance)} == set(days[:2])
    assert {host_of(run) for run in failed(instance)} == set(disturbed)
    assert len(runs) == len(days) + 2


def _check_catalog(made: Cluster, instance: dg.DagsterInstance, days: list[str], told: Callable[[str], None]) -> None:
    month = days[0][:7]
    made.backfill(instance, [["catalogs", "nautilus"]], [f"{month}|NIFTY"])

    def ended() -> bool:
        return any(
            run.is_finished
            for run in instance.get_runs()
            if run.asset_selection == {dg.AssetKey(["catalogs", "nautilus"])}
        )

    wait_until(ended, 400, made)
    place = f"s3://{BUCKET}/catalogs/nautilus/NIFTY/{month}"
    read = subprocess.run(
        [sys.executable, "-c", READ, place, "NIFTY.NSE-1-MINUTE-LAST-EXTERNAL"],
        capture_output=True, text=True, check=False, cwd=PROJECT_ROOT,
    )  # fmt: skip
    assert read.returncode == 0, read.stderr
    found = json.loads(read.stdout.splitlines()[-1])
    with psycopg.connect(made.shared.database("market")) as connection:
        closes = connection.execute(
            "SELECT close::text FROM v_spot_prices WHERE underlying = 'NIFTY' AND bar_seconds = 60 ORDER BY timestamp"
        ).fetchall()
    assert found["order"]
    assert found["closes"] == [f"{float(close):.2f}" for (close,) in closes]
    told(
        f"{place}: the engine reads {len(found['instruments'])} instruments, {len(closes)} bars of the index as stored"
    )
