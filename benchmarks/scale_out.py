"""What one, two and four workers make of the same backfill, and what bounds them.

``python -m benchmarks.scale_out [--days 8] [--workers 1 2 4] [--rounds 2]`` prints one JSON object. Hosts are those of
``pipeline_tests/scale_out``: a coordinator with daemon and code server, workers of Celery with one place each, and one
PostgreSQL, one Redis and one S3 server, all on this machine. All workers run all the time; those that do not take part
listen to no queue. The numbers of workers take turns, each from empty tables, so that a busy machine hurts all alike.

wall            from the launch of the first run to the end of the last
cores_busy      CPU seconds by kind of process over wall seconds: how many cores each kind kept busy
phases          of a run, medians: from its process to its first step, its steps, from its last step to its end, and
                until the same worker's next run has a process
few_rows        the same backfill, by one worker, of days that hold next to nothing: what a partition costs at least
"""

# ruff: noqa: INP001, T201 -- a script to run: it prints

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from benchmarks.measuring import SETTLE_SECONDS, Server, median
from pipeline_tests.scale_out.cluster import COORDINATOR, Cluster, cluster, instance_settings, wait_until
from pipeline_tests.scale_out.hosts import cpu_seconds
from pipeline_tests.scale_out.outcome import ASSETS
from pipeline_tests.scale_out.runs import host_of
from pipeline_tests.scale_out.samples import days_of
from pipeline_tests.scale_out.services import upload_landing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_defs.samples.generate import GeneratedSample

NAMES: Final = ("north", "south", "east", "west")
PATIENCE_SECONDS: Final = 400
STARTED: Final = "Started process for run"
QUEUE: Final = "runs"
FEW_DAYS: Final = 4


def main() -> None:
    """Run the rounds and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=8)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--strikes", type=int, default=40, help="on each side of the money; more are more rows")
    parser.add_argument("--activity", type=float, default=1.0, help="share of minutes in which a contract trades")
    options = parser.parse_args()
    names = NAMES[: max(options.workers)]
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        small, days = days_of(options.days, folder / "small", strikes=1, activity=0.001)
        large, _ = days_of(options.days, folder / "large", strikes=options.strikes, activity=options.activity)
        settings = instance_settings(len(names))
        with cluster(names, folder, _tell, settings=settings) as made, made.instance(folder / "outside") as instance:
            backfills = Backfills(made, instance, names)
            backfills.land(small)
            startup = backfills.start_hosts()
            few_rows = backfills.measure(1, days[:FEW_DAYS])
            backfills.land(large)
            results: dict[int, list[dict[str, Any]]] = {number: [] for number in options.workers}
            for _ in range(options.rounds):
                for number in options.workers:
                    results[number].append(backfills.measure(number, days))
    figures = {number: _medians(rounds) for number, rounds in results.items()}
    first = figures[options.workers[0]]["wall"]
    print(
        json.dumps(
            {
                "cores": os.cpu_count(),
                "days": len(days),
                "rows": sum(large.rows.values()),
                "rounds": options.rounds,
                "cpu_seconds_to_start": startup,
                "by_workers": figures,
                "wall_over_first": {number: round(found["wall"] / first, 3) for number, found in figures.items()},
                "few_rows": {"rows_of_a_day": sum(small.rows.values()) // len(days), **_medians([few_rows])},
            },
            indent=2,
        )
    )


class Backfills:
    """The same days again and again, by some of the workers.

    Parameters
    ----------
    made : Cluster
        Its hosts.
    instance : dagster.DagsterInstance
        Where runs are asked for.
    names : sequence of str
        The workers.

    """

    def __init__(self, made: Cluster, instance: dg.DagsterInstance, names: Sequence[str]) -> None:
        from celery import Celery  # noqa: PLC0415 -- two seconds of imports

        self._made, self._instance, self._names = made, instance, names
        self._server = Server(Path(), made.shared.database("market"))
        self._control = Celery(broker=made.shared.broker_url).control

    def land(self, sample: GeneratedSample) -> None:
        """Have the landing folder in the bucket hold these files alone."""
        from pipeline_defs.storage.objects import ObjectStore  # noqa: PLC0415 -- its environment was set just now

        upload_landing(ObjectStore.open().client, sample.landing)

    def start_hosts(self) -> dict[str, float]:
        """Start everything, and give the CPU seconds until it was ready, by kind of process."""
        for name in self._names:
            self._made.start_worker(name)
        self._made.start_coordinator()
        self._made.wait_for_workers(self._names)
        used = self._cpu_seconds()
        return {"worker": round(used["workers"] / len(self._names), 1), "code_server": round(used["code_server"], 1)}

    def measure(self, workers: int, days: list[str]) -> dict[str, Any]:
        """Backfill days into empty tables by so many workers."""
        self._listen(workers)
        self._server.empty()
        backfill = self._made.backfill(self._instance, ASSETS, days)
        wait_until(lambda: self._launched(backfill), PATIENCE_SECONDS, self._made)
        before = self._cpu_seconds()
        begun = time.monotonic()
        wait_until(lambda: self._ended(backfill, len(days)), PATIENCE_SECONDS, self._made)
        seconds = time.monotonic() - begun
        time.sleep(SETTLE_SECONDS)
        used = {kind: after - before[kind] for kind, after in self._cpu_seconds().items()}
        runs = self._runs(backfill)
        failed = [run.run_id for run in runs if run.status is not dg.DagsterRunStatus.SUCCESS]
        if failed or len({host_of(run) for run in runs}) != min(workers, len(days)):
            raise SystemExit(f"{len(failed)} runs failed; hosts: {sorted(map(host_of, runs))}")
        times = [self._times(run) for run in runs]
        wall = max(found["ended"] for found in times) - min(found["launched"] for found in times)
        measured = {
            "wall": wall,
            "cores_busy": {kind: cpu / seconds for kind, cpu in used.items()},
            "cpu_of_a_partition": {kind: cpu / len(runs) for kind, cpu in used.items()},
            "phases": _phases(runs, times),
        }
        _tell(f"{workers} workers, {len(days)} days: {json.dumps(measured)}")  # what is cut short is not lost
        return measured

    def _listen(self, workers: int) -> None:
        """Let the first so many workers take runs, and no other."""
        for number, name in enumerate(self._names):
            change = self._control.add_consumer if number < workers else self._control.cancel_consumer
            answers = change(QUEUE, destination=[f"celery@{name}"], reply=True, timeout=10)
            if len(answers) != 1:
                raise SystemExit(f"worker {name} did not answer")

    def _runs(self, backfill: str) -> list[dg.DagsterRun]:
        return [*self._instance.get_runs(filters=dg.RunsFilter(tags={"dagster/backfill": backfill}))]

    def _launched(self, backfill: str) -> bool:
        queued = {dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED}
        return any(run.status not in queued for run in self._runs(backfill))

    def _ended(self, backfill: str, count: int) -> bool:
        runs = self._runs(backfill)
        return len(runs) == count and all(run.is_finished for run in runs)

    def _times(self, run: dg.DagsterRun) -> dict[str, float]:
        found: dict[str, float] = {}
        for entry in self._instance.all_logs(run.run_id):
            event = entry.dagster_event
            kind = None if event is None else event.event_type
            if kind is dg.DagsterEventType.PIPELINE_STARTING:
                found["launched"] = entry.timestamp
            elif kind is dg.DagsterEventType.STEP_START:
                found.setdefault("first_step", entry.timestamp)
            elif kind is dg.DagsterEventType.STEP_SUCCESS:
                found["last_step"] = entry.timestamp
            elif STARTED in (entry.message or entry.user_message):
                found["process"] = entry.timestamp
            elif kind is dg.DagsterEventType.RUN_SUCCESS:
                found["ended"] = entry.timestamp
        return found

    def _cpu_seconds(self) -> dict[str, float]:
        coordinator = self._made.members[COORDINATOR].processes()
        daemon = [pid for pid in coordinator if b"dagster-daemon" in _command(pid)]
        return {
            "workers": sum(self._made.members[name].cpu_seconds() for name in self._names),
            "database": self._server.cpu_seconds(),
            "daemon": cpu_seconds(daemon),
            "code_server": cpu_seconds([pid for pid in coordinator if pid not in daemon]),
            "broker": cpu_seconds([self._made.shared.broker.pid]),
            "object_store": cpu_seconds([pid for pid in _children() if b"s3_server" in _command(pid)]),
            "benchmark": time.process_time(),
            "machine": _machine_cpu_seconds(),
        }


def _phases(runs: list[dg.DagsterRun], times: list[dict[str, float]]) -> dict[str, float]:
    by_host = defaultdict(list)
    for run, found in zip(runs, times, strict=True):
        by_host[host_of(run)].append(found)
    turnover = []
    for of_host in by_host.values():
        of_host.sort(key=lambda found: found["process"])
        turnover += [later["process"] - earlier["ended"] for earlier, later in itertools.pairwise(of_host)]
    return {
        "to_first_step": statistics.median(found["first_step"] - found["process"] for found in times),
        "steps": statistics.median(found["last_step"] - found["first_step"] for found in times),
        "to_end": statistics.median(found["ended"] - found["last_step"] for found in times),
        "to_next_run": statistics.median(turnover or [0.0]),
    }


def _medians(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    nested = {name: median([found[name] for found in rounds]) for name in rounds[0] if name != "wall"}
    return {**median([{"wall": found["wall"]} for found in rounds]), **nested}


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # ended while we looked
        return b""


def _children() -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(") ")[2].split()[1])
        except OSError:
            continue
        if parent == os.getpid():
            found.append(int(stat.parent.name))
    return found


def _machine_cpu_seconds() -> float:
    """Sum what all processes of the machine have used: a check of what the kinds add up to."""
    user, nice, system, _idle, _iowait, irq, softirq = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
