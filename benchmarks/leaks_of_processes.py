"""Whether the processes of an installation keep memory, files or threads: days of work, as fast as it goes.

    python -m benchmarks.leaks_of_processes [--minutes 25] [--faster 20] [--imports 3] [--report FOLDER]

A home with a few stored sessions; PostgreSQL for the warehouse and for Dagster, a code server, the daemon, the web
server and the metrics' listener, each a process of its own (`benchmarks.hastened`); every sensor and schedule is
switched on. The daemon's waits are divided, so its ticks, heartbeats and refreshes of the workspace follow each other
sooner. What others ask of the code server, the web server and the listener is asked here, one question after the other
(`questions`). A reader looks at windows of the portal, and now and then a session is imported again. What was done is
told in days: how much of it a usual day has.

Of each process the report tells the median of every quarter of the drive: what fills a cache rises less from quarter to
quarter, what leaks does not. A line through the second half, against the work that paces the process, says what a day
would add (`mib_a_day`) if it went on so. Before and after, each tells what it holds (`held`): objects by type, and what
the C library's allocator has from the system, in use and free. What --environment NAME=VALUE gives to every process can
be compared with a drive without. A day's work is more than an hour of processor time: few minutes are a part of a day.
"""

# ruff: noqa: INP001, T201 -- a script to run: it prints

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg

from benchmarks.load_month import MONTH, UNDERLYING, Stack, free_port, prepare, say
from benchmarks.measuring import Server
from benchmarks.questions import LOCATION, OVERVIEW, REPOSITORY, CodeServer, pages, pings, scrapes
from pipeline_defs.samples.generate import benchmark_day, generate
from pipeline_defs.samples.hours import session_dates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.questions import Step

SESSIONS: Final = 3
ROWS: Final = 20_000
FILES: Final = 5

A_DAY: Final = {
    "ticks": 14_800,  # three sensors and Dagster's own every 30 s, one every minute, one every 5; all schedules
    "looks": 14_800,  # the same by the code server, and whatever else is evaluated there
    "definitions": 1_440,  # read anew, by the daemon once a minute
    "partitions": 2_000,
    "pings": 2 * 86_400,  # whether the server is the same: asked by the daemon and by the web server every second
    "queries": 8 * 3600 // 15 * 10,  # a page that is open for eight hours, ten questions every 15 s
    "scrapes": 1_440,
    "windows": 10_000,
    "imports": 10,
}
"""What a usual day has of each."""

ROUNDS_A_DAY: Final = {
    "SENSOR": 17_280,
    "ASSET": 17_280,
    "QUEUED_RUN_COORDINATOR": 17_280,
    "BACKFILL": 2_880,
    "MONITORING": 2_880,
    "FRESHNESS_DAEMON": 2_880,
    "SCHEDULER": 1_440,
}
"""How often a day has the daemon's loops begin anew."""

PACED_BY: Final = {
    "code server": "looks",
    "daemon": "ticks",
    "webserver": "queries",
    "metrics": "scrapes",
    "reader": "windows",
}
"""What each process's memory is fitted against."""

_SWITCH_SENSOR: Final = (
    "mutation($s:SensorSelector!){startSensor(sensorSelector:$s){__typename ... on PythonError{message}}}"
)
_SWITCH_SCHEDULE: Final = (
    "mutation($s:ScheduleSelector!){startSchedule(scheduleSelector:$s){__typename ... on PythonError{message}}}"
)
_SELECTOR: Final = {"repositoryLocationName": LOCATION, "repositoryName": REPOSITORY}
_TICKS: Final = "SELECT status, count(*) FROM job_ticks GROUP BY 1"


@dataclass
class Sample:
    """One look at the processes, and what had been done by then.

    Parameters
    ----------
    at_seconds : float
        Since the drive began.
    done : dict of str to int
        Of each kind of work.
    anonymous_kib, proportional_kib : dict of str to int
        Memory by process.
    files, threads : dict of str to int
        Open ones by process.
    cpu_seconds : dict of str to float
        By process; of the database, of those backends that live.

    """

    at_seconds: float
    done: dict[str, int]
    anonymous_kib: dict[str, int] = field(default_factory=dict)
    proportional_kib: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    threads: dict[str, int] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)


class Day(Stack):
    """An installation whose processes are hastened, and the work of days.

    Parameters
    ----------
    folder : Path
        Where logs go.
    environment : dict of str to str
        Of every process.
    server : Server
        The database.
    options : argparse.Namespace
        Of the command line.

    """

    def __init__(self, folder: Path, environment: dict[str, str], server: Server, options: argparse.Namespace) -> None:
        super().__init__(folder, environment, server)
        self._options = options
        self._metrics = free_port()
        self.done = Counter[str]()
        self.failed = Counter[str]()
        self.seen: list[Sample] = []
        hastened: list[str | Path] = [sys.executable, "-m", "benchmarks.hastened"]
        faster = str(options.faster)
        self.programs = {
            "code server": [*hastened, "code-server", "1"],
            "daemon": [*hastened, "daemon", faster],
            "webserver": [*hastened, "webserver", "1"],
        }
        self._hastened = hastened

    def switch_on(self) -> None:
        """Start every sensor and schedule, the listener of metrics and the reader."""
        found = self.ask(OVERVIEW["automation"])["repositoriesOrError"]["nodes"][0]
        for sensor in found["sensors"]:
            told = self.ask(_SWITCH_SENSOR, s={**_SELECTOR, "sensorName": sensor["name"]})["startSensor"]
            if told["__typename"] != "Sensor":
                raise SystemExit(f"{sensor['name']} was not started: {told}")
        for schedule in found["schedules"]:
            told = self.ask(_SWITCH_SCHEDULE, s={**_SELECTOR, "scheduleName": schedule["name"]})["startSchedule"]
            if told["__typename"] != "ScheduleStateResult":
                raise SystemExit(f"{schedule['name']} was not started: {told}")
        self._start("metrics", *self._hastened, "metrics", "1", f"127.0.0.1:{self._metrics}")

    def drive(self, days: list[str]) -> None:
        """Do the work until the time is over, and look at the processes meanwhile."""
        import dagster as dg  # noqa: PLC0415 -- the home must be set first

        if not self._options.only_daemon:
            self._start(
                "reader",
                *self._hastened,
                "reader",
                "1",
                UNDERLYING,
                days[0],
                days[-1],
                self._folder / "windows",
                "0.05",
            )
        with dg.DagsterInstance.get() as instance:
            work = [
                CodeServer(self.grpc_port, instance).steps(),
                pings(self.grpc_port),
                pages(self.ask, f"http://127.0.0.1:{self._web}"),
                scrapes(f"http://127.0.0.1:{self._metrics}/metrics"),
                self._imports(days),
            ]
            for steps in [] if self._options.only_daemon else work:
                self._threads.append(threading.Thread(target=self._work, args=(steps,)))
                self._threads[-1].start()
            begun, until = time.monotonic(), time.monotonic() + 60 * self._options.minutes
            lines = self._options.report / "samples.jsonl"
            while time.monotonic() < until and not self._failed:
                self.seen.append(self._look(time.monotonic() - begun))
                with lines.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(self.seen[-1])) + "\n")
                if len(self.seen) % 20 == 0:
                    say(f"{self.seen[-1].done} {self.seen[-1].anonymous_kib} {dict(self.failed)}")
                time.sleep(self._options.every)
            self._over.set()
            for thread in self._threads:
                thread.join()
        self._check()

    def holds(self) -> dict[str, Any]:
        """Have each process tell what it holds."""
        told = {}
        for name, process in self._processes.items():
            before = self._log(name).count("HELD ")
            process.send_signal(signal.SIGUSR1)
            for _ in range(120):
                lines = [line for line in self._log(name).splitlines() if line.startswith("HELD ")]
                if len(lines) > before:
                    told[name] = json.loads(lines[-1].removeprefix("HELD "))
                    break
                time.sleep(0.5)
        return told

    def trends(self) -> dict[str, dict[str, Any]]:
        """Tell of each process what it held in each quarter of the drive, and what a day of its work would add."""
        half = self.seen[len(self.seen) // 2 :]
        found: dict[str, dict[str, Any]] = {}
        for name in half[-1].anonymous_kib:
            rows: dict[str, Any] = {}
            for label in ("anonymous_kib", "proportional_kib", "files", "threads"):
                rows[label] = [round(statistics.median(quarter)) for quarter in quarters_of(self.seen, label, name)]
            rows["cpu_seconds"] = round(half[-1].cpu_seconds[name] - self.seen[0].cpu_seconds[name], 1)
            work = PACED_BY.get(name)
            if work is not None:
                done = [one.done.get(work, 0) for one in half]
                line = statistics.linear_regression(done, [one.anonymous_kib[name] for one in half])
                rows |= {
                    "work": work,
                    "bytes_each": round(line.slope * 1024),
                    "mib_a_day": round(line.slope * A_DAY[work] / 1024, 1),
                }
            found[name] = rows
        return found

    def _look(self, at_seconds: float) -> Sample:
        with psycopg.connect(self.dagster_url, autocommit=True) as connection:
            ticks: dict[str, int] = dict(connection.execute(_TICKS).fetchall())
        with contextlib.suppress(OSError, ValueError):
            self.done["windows"] = int((self._folder / "windows").read_text())
        done = {**self.done, "ticks": sum(ticks.values()), "looks": sum(ticks.values()) + self.done["evaluations"]}
        sample = Sample(at_seconds, done)
        pids = {name: [process.pid] for name, process in self._processes.items()}
        pids["database"] = [self._server.pid, *children_of(self._server.pid)]
        for name, group in pids.items():
            for pid in group:
                with contextlib.suppress(OSError, KeyError):  # a backend that has ended
                    folder = Path(f"/proc/{pid}")
                    rollup, status = numbers(folder / "smaps_rollup"), numbers(folder / "status")
                    for label, value in (
                        ("anonymous_kib", status["RssAnon"]),
                        ("proportional_kib", rollup["Pss"]),
                        ("files", sum(1 for _ in (folder / "fd").iterdir())),
                        ("threads", status["Threads"]),
                        ("cpu_seconds", cpu_seconds(pid)),
                    ):
                        held = getattr(sample, label)
                        held[name] = held.get(name, 0) + value
        return sample

    def _work(self, steps: Iterator[Step]) -> None:
        """Take steps until the time is over, and pause so many times as long as each took."""
        for kind, step in steps:
            begun = time.monotonic()
            try:
                step()
            except (Exception, SystemExit) as error:  # noqa: BLE001 -- counted, and told in the end
                self.failed[f"{kind}: {error!r:.300}"] += 1
            self.done[kind] += 1
            if self._over.wait(self._options.pause * (time.monotonic() - begun)):
                return

    def _imports(self, days: list[str]) -> Iterator[Step]:
        """Import a stored session again, at even distances."""
        every = 60 * self._options.minutes / (self._options.imports + 1)
        while not self._over.wait(every):
            yield "imports", partial(self.backfill, [days[self.done["imports"] % len(days)]])


def quarters_of(seen: list[Sample], label: str, name: str) -> list[list[float]]:
    """Give a process's figures, a list for each quarter of the samples."""
    values: list[float] = [getattr(one, label).get(name, 0) for one in seen]
    return [values[len(values) * at // 4 : len(values) * (at + 1) // 4] for at in range(4)]


def children_of(pid: int) -> list[int]:
    """Give a process's children."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int((folder / "stat").read_text().rpartition(") ")[2].split()[1]) == pid:
                found.append(int(folder.name))
    return found


def cpu_seconds(pid: int) -> float:
    """Give the processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def numbers(path: Path) -> dict[str, int]:
    """Read a table of the kernel: name, colon, number."""
    words = (line.split() for line in path.read_text().splitlines()[1 if path.name == "smaps_rollup" else 0 :])
    return {row[0].rstrip(":"): int(row[1]) for row in words if len(row) > 1 and row[1].isdigit()}


def main() -> None:
    """Drive, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=25.0, help="of the drive; home and warm-up come before")
    parser.add_argument("--faster", type=float, default=20.0, help="by which the daemon's waits are divided")
    parser.add_argument("--only-daemon", action="store_true", help="ask, read and import nothing meanwhile")
    parser.add_argument("--imports", type=int, default=3, help="of a session, at even distances")
    parser.add_argument("--pause", type=float, default=1.0, help="after a question, so many times as long as it took")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between samples")
    parser.add_argument("--environment", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--report", type=Path, help="a folder for samples, logs and the result")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="leaks-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        options.report = options.report or folder
        options.report.mkdir(parents=True, exist_ok=True)
        result = json.dumps(run(folder, options), indent=1)
        (options.report / "result.json").write_text(f"{result}\n", encoding="utf-8")
    print(result)


def run(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Make a home, drive, and give what was seen."""
    home = folder / "home"
    home.mkdir(mode=0o755)
    (folder / "tmp").mkdir()
    days = session_dates(*MONTH)[:SESSIONS]
    for day in days:
        generate(benchmark_day(ROWS, FILES, day), home)
    server = Server(home / "postgres")
    server.execute("CREATE DATABASE dagster")
    environment = prepare(home, folder, server) | dict(one.split("=", 1) for one in options.environment)
    os.environ.update(environment)
    names = [day.isoformat() for day in days]
    with Day(folder, environment, server, options) as driven:
        try:
            say(f"importing {len(names)} sessions")
            driven.backfill(names)
            driven.switch_on()
            say(f"driving for {options.minutes} minutes")
            held = [driven.holds()]
            driven.drive(names)
            held.append(driven.holds())
        finally:
            for log in folder.glob("*.log"):
                (options.report / log.name).write_bytes(log.read_bytes())
        last = driven.seen[-1]
        rounds = Counter(held[1]["daemon"]["rounds"]) - Counter(held[0]["daemon"]["rounds"])
        return {
            "minutes": options.minutes,
            "faster": options.faster,
            "environment": options.environment,
            "done": last.done,
            "rounds_of_the_daemon": rounds,
            "days_of_the_daemon": {kind: round(rounds[kind] / count, 2) for kind, count in ROUNDS_A_DAY.items()},
            "days": {kind: round(last.done.get(kind, 0) / count, 2) for kind, count in A_DAY.items()},
            "processes": driven.trends(),
            "held": held,
            "failed": driven.failed,
        }


if __name__ == "__main__":
    main()
