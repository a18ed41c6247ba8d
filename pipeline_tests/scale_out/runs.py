"""What Dagster's instance, and the hosts, say of the runs of a cluster."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from pipeline_defs.orchestration.workers.signs import SLOT_TAG

DAILY = dg.AssetKey(["options_daily"])
"""The last asset of a day."""


def materialized(instance: dg.DagsterInstance, asset: dg.AssetKey = DAILY) -> int:
    """Count the partitions of an asset that are there."""
    return len(instance.get_materialized_partitions(asset))


def in_progress(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Give the runs that have not ended."""
    return [run for run in instance.get_runs() if not run.is_finished]


def failed(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Give the runs that failed."""
    return [*instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))]


def day_of(run: dg.DagsterRun) -> str:
    """Give the partition of a run."""
    return run.tags["dagster/partition"]


def host_of(run: dg.DagsterRun) -> str:
    """Name the host whose worker executes a run, or did."""
    return run.tags[SLOT_TAG].partition("/")[0].rpartition("@")[2]


def why_failed(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Give the first line of what ended a run."""
    (entry, *_) = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    return (entry.message or "").partition("\n")[0]


def executes_run(pid: int) -> bool:
    """Tell the process that executes a run from its parent: only its signs of life need threads."""
    try:
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"celery" in command and threads > 2
