"""A month of generated NSE days through Dagster, with readers, exports and the web server at work meanwhile.

``python -m benchmarks.load_month [--days 20] [--rows 1000000] [--files 250] [--report FILE]`` starts a PostgreSQL
server of its own for the warehouse and for Dagster's storage, a code server, the daemon and the web server, asks the
web server for a backfill as the UI does, and prints one JSON object:

backfill   rows a second by the clock, processor seconds by kind of process, queue of two runs
ui         milliseconds of the queries behind the UI's pages, asked all the while: median, 95th percentile, longest
readers    how often they looked: a session is there as it was, as it is corrected, or not at all, in ticks and in bars;
           and no window of the portal holds anything after its clock. Anything else ends the run with an error
exports    of finished sessions, each verified, its rows compared with what was generated
events     rows and bytes that a partition leaves in Dagster's log of events
leaks      memory and open files of what lives long, with the slope of a line through them; what is left over
end        every session's rows and sums equal what was generated, before and after corrections

The machine's load is told with it: on a busy one only processor seconds and ratios mean anything.
"""

# ruff: noqa: INP001, S603, T201 -- a script to run: it prints, and starts our own commands

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import random
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import polars as pl
import psycopg
import yaml

from benchmarks.measuring import Server
from benchmarks.watching import Watch, unfinished_below
from pipeline_defs.samples.generate import benchmark_day, generate
from pipeline_defs.samples.hours import session_dates

if TYPE_CHECKING:
    from collections.abc import Iterator

MONTH: Final = (dt.date(2025, 7, 1), dt.date(2025, 7, 31))
UNDERLYING: Final = "NIFTY"
INSTRUMENTS: Final = ("nse_csv/options_ticks", "nse_csv/futures_ticks", "nse_csv/spot_prices")
ASSETS: Final = (*INSTRUMENTS, "options_hourly", "options_daily")
CORRECTED_DAYS: Final = 2
_START_SECONDS: Final = 600
_POLL_SECONDS: Final = 2.0

_SESSION: Final = """
SELECT count(*), coalesce(sum(volume), 0)::bigint, coalesce(sum(open_interest), 0)::bigint,
       coalesce(sum(close) * 100, 0)::bigint
FROM options_ticks WHERE "timestamp" >= %(start)s AND "timestamp" < %(end)s
"""
_BARS: Final = """
SELECT coalesce(sum(volume), 0)::bigint FROM options_daily WHERE bucket >= %(start)s AND bucket < %(end)s
"""

QUERIES: Final = {
    "asset graph": "{assetNodes{id assetKey{path} groupName isPartitioned dependencyKeys{path} description}}",
    "partitions of an asset": "query($key:AssetKeyInput!){assetNodeOrError(assetKey:$key){... on AssetNode{id"
    " partitionStats{numMaterialized numPartitions numFailed numMaterializing} assetPartitionStatuses{__typename"
    " ... on TimePartitionStatuses{ranges{startKey endKey status}}}}}}",
    "events of an asset": "query($key:AssetKeyInput!){assetOrError(assetKey:$key){... on Asset{id"
    " assetMaterializations(limit:50){timestamp partition runId metadataEntries{label}}}}}",
    "runs": "{runsOrError(limit:30){... on Runs{results{id runId status tags{key value} startTime endTime}}}}",
    "log of a run": "query($run:ID!){logsForRun(runId:$run,limit:1000){... on EventConnection{hasMore cursor"
    " events{__typename ... on MessageEvent{message timestamp level stepKey}}}}}",
    "backfills": "{partitionBackfillsOrError(limit:10){... on PartitionBackfills{results{id status numPartitions}}}}",
}
"""What the UI's pages ask for."""

_LAUNCH: Final = (
    "mutation($p:LaunchBackfillParams!){launchPartitionBackfill(backfillParams:$p){__typename"
    " ... on LaunchBackfillSuccess{backfillId} ... on PythonError{message}}}"
)
_FAILURES: Final = (
    "query($run:ID!){logsForRun(runId:$run,limit:1000){... on EventConnection{events{... on MessageEvent{message level}"
    " ... on ExecutionStepFailureEvent{error{message cause{message}}}"
    " ... on RunFailureEvent{error{message cause{message}}}}}}}"
)
_PROGRESS: Final = (
    "query($id:String!){partitionBackfillOrError(backfillId:$id){__typename ... on PartitionBackfill{status"
    " error{message}}}}"
)

type Sums = tuple[int, int, int, int]
"""Rows of options, their volumes, open interests, and closes in paise."""


def main() -> None:
    """Run the month, or one of its helpers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=250)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between samples, and between UI queries")
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary folder")
    parser.add_argument("--report", type=Path, help="write the result there, too")
    parser.add_argument("--role", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role == "reader":
        read_for_ever(options.folder)
        return
    with tempfile.TemporaryDirectory(prefix="load-month-", dir=options.folder) as name:
        folder = Path(name)
        folder.chmod(0o755)
        result = json.dumps(run(folder, options), indent=2)
    print(result)
    if options.report is not None:
        options.report.write_text(f"{result}\n", encoding="utf-8")


def run(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Prepare, load, correct, compare, and give what was measured."""
    days = session_dates(*MONTH)[: options.days]
    home = folder / "home"
    home.mkdir(mode=0o755)
    (folder / "tmp").mkdir()
    say(f"writing {len(days)} days of {options.rows:,} rows")
    expected = {day.isoformat(): [write_day(day, home, options)] for day in days}
    tell_readers(folder, expected)
    server = Server(home / "postgres")
    server.execute("CREATE DATABASE dagster")
    environment = prepare(home, folder, server)
    shm = in_shared_memory()
    with Stack(folder, environment, server) as stack:
        before = sizes(server, stack.dagster_url)
        wal, begun = server._wal_bytes(), time.monotonic()  # noqa: SLF001 -- of the same room
        load = os.getloadavg()
        stack.measure(options.every)
        say("backfilling")
        stack.backfill(list(expected))
        seconds = time.monotonic() - begun
        loaded = sizes(server, stack.dagster_url)
        say(f"{options.rows * len(days):,} rows in {seconds:.0f} s; comparing")
        compare(server, expected)
        say("correcting, while readers go on")
        corrected = list(expected)[:CORRECTED_DAYS]
        for day in corrected:
            expected[day].append(correct_day(dt.date.fromisoformat(day), home))
        tell_readers(folder, expected)
        stack.backfill(corrected)
        compare(server, expected)
        rows = options.rows * len(days)
        stack.finish()
        time.sleep(2 * options.every)
        return {
            "days": len(days),
            "rows": rows,
            "server": server.name,
            "load_average_before": round(load[0], 1),
            "load_average_after": round(os.getloadavg()[0], 1),
            "backfill": {
                "seconds": round(seconds, 1),
                "rows_a_second": round(rows / seconds),
                "cpu_seconds": stack.watch.cpu_seconds(),
                "database_cpu_seconds": round(server.cpu_seconds(), 1),
                "wal_bytes": server._wal_bytes() - wal,  # noqa: SLF001
                "warehouse_bytes": loaded["warehouse"] - before["warehouse"],
            },
            "memory": stack.watch.peaks(),
            "events": {
                "rows_a_partition": round((loaded["event_rows"] - before["event_rows"]) / len(days)),
                "bytes_a_partition": round((loaded["event_bytes"] - before["event_bytes"]) / len(days)),
                "dagster_bytes": loaded["dagster"],
            },
            "ui_milliseconds": stack.ui(),
            "readers": stack.reader_counts(),
            "exports": stack.exported,
            "leaks": {
                "trends": stack.watch.trends(after_seconds=stack.watch.samples[-1].at / 4),
                "connections": [one.counts["connections"] for one in stack.watch.samples][:: max(1, len(days))][-12:],
                "unfinished_files": unfinished_below(home),
                "temporary_files": sorted(path.name for path in (folder / "tmp").iterdir())[:20],
                # Those of processes that live; a semaphore is its process's until that ends.
                "shared_memory": len(in_shared_memory() - shm),
            },
            "end": f"{len(days)} sessions equal what was generated, {len(corrected)} of them after a correction",
        }


def write_day(day: dt.date, home: Path, options: argparse.Namespace) -> Sums:
    """Write a day's files into the landing folder, and sum them up."""
    generate(benchmark_day(options.rows, options.files, day), home)
    return sum_of(day, home)


def files_of(day: dt.date, home: Path) -> list[Path]:
    """Give the files of derivatives of a day."""
    folder = home / "landing" / "gdfl_fo_minute"
    stamp = f"{day:%d%m%Y}"
    return [*folder.glob(f"*_{stamp}.csv"), *folder.glob(f"*_{stamp}/*.csv")]


def sum_of(day: dt.date, home: Path) -> Sums:
    """Sum up the options in a day's files, without the pipeline."""
    kinds = {"Ticker": pl.String, "Close": pl.String, "Volume": pl.Int64, "Open Interest": pl.Int64}
    rows = pl.concat(pl.scan_csv(path, schema_overrides=kinds).select(*kinds) for path in files_of(day, home)).filter(
        pl.col("Ticker").str.contains(r"(CE|PE)\.NFO$")
    )
    count, volume, interest, close = (
        rows.select(
            rows=pl.len(),
            volume=pl.col("Volume").sum(),
            interest=pl.col("Open Interest").sum(),
            close=(pl.col("Close").cast(pl.Decimal(20, 2)).sum() * 100).cast(pl.Int64),
        )
        .collect()
        .row(0)
    )
    return int(count), int(volume), int(interest), int(close)


def correct_day(day: dt.date, home: Path) -> Sums:
    """Have the vendor deliver a day again, with another open interest in one row of a hundred."""
    for path in files_of(day, home):
        lines = path.read_bytes().splitlines(keepends=True)
        for at in range(1, len(lines), 100):
            head, _, last = lines[at].rstrip().rpartition(b",")
            lines[at] = head + b"," + str(int(last) + 1).encode() + b"\n"
        path.write_bytes(b"".join(lines))
    return sum_of(day, home)


def tell_readers(folder: Path, expected: dict[str, list[Sums]]) -> None:
    """Tell the readers what they may see."""
    arriving = folder / "expected.arriving"
    arriving.write_text(json.dumps(expected))
    arriving.replace(folder / "expected.json")


def compare(server: Server, expected: dict[str, list[Sums]]) -> None:
    """Compare every session with what was generated for it last."""
    with psycopg.connect(server.url) as connection:
        for day, versions in expected.items():
            found = connection.execute(_SESSION, bounds(day)).fetchone()
            if found != tuple(versions[-1]):
                raise SystemExit(f"{day}: expected {versions[-1]}, found {found}")


def bounds(day: str) -> dict[str, dt.datetime]:
    """Give the first instant of a day in India, and the last."""
    start = dt.datetime.fromisoformat(f"{day}T00:00:00+05:30")
    return {"start": start, "end": start + dt.timedelta(days=1)}


def prepare(home: Path, folder: Path, server: Server) -> dict[str, str]:
    """Write the instance's configuration and give the environment of every process."""
    (home / "dagster").mkdir()
    # SQLAlchemy takes the newer driver by default, which Dagster's NOTIFY does not go through.
    dagster_url = f"{server.url.rpartition('/')[0]}/dagster"
    configuration = {
        "storage": {"postgres": {"postgres_url": {"env": "LOAD_MONTH_DAGSTER_URL"}}},
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
        "concurrency": {"runs": {"max_concurrent_runs": 2}},
        "run_monitoring": {"enabled": True, "start_timeout_seconds": _START_SECONDS},
    }
    (home / "dagster" / "dagster.yaml").write_text(yaml.safe_dump(configuration))
    return {
        **os.environ,
        "PIPELINE_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
        "PIPELINE_DATABASE_URL": server.url,
        "LOAD_MONTH_DAGSTER_URL": dagster_url.replace("postgresql:", "postgresql+psycopg2:"),
        "PIPELINE_FIRST_DATE": MONTH[0].isoformat(),
        "PIPELINE_UNDERLYINGS": UNDERLYING,
        "TMPDIR": str(folder / "tmp"),
        "PYTHONPATH": str(Path(__file__).parent.parent),
    }


def sizes(server: Server, dagster_url: str) -> dict[str, int]:
    """Measure both databases."""
    with psycopg.connect(dagster_url, autocommit=True) as connection:
        rows, size, whole = connection.execute(
            "SELECT (SELECT count(*) FROM event_logs), pg_total_relation_size('event_logs'),"
            " pg_database_size(current_database())"
        ).fetchall()[0]
    warehouse = int(str(server.ask("SELECT pg_database_size(current_database())")[0][0]))
    return {"event_rows": int(rows), "event_bytes": int(size), "dagster": int(whole), "warehouse": warehouse}


class Stack:
    """The processes of an installation, and those that use it.

    Parameters
    ----------
    folder : Path
        Where logs go.
    environment : dict of str to str
        Of every process.
    server : Server
        The database.

    """

    def __init__(self, folder: Path, environment: dict[str, str], server: Server) -> None:
        self._folder = folder
        self._environment = environment
        self._server = server
        self.dagster_url = environment["LOAD_MONTH_DAGSTER_URL"].replace("+psycopg2", "")
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._took: dict[str, list[float]] = {name: [] for name in QUERIES}
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._failed: list[str] = []
        self.exported = {"sessions": 0, "rows": 0}
        self.grpc_port = free_port()
        self.watch = Watch({}, dict, 1)
        program = Path(sys.executable).parent
        self.programs: dict[str, list[str | Path]] = {
            "code server": [program / "dagster"],
            "daemon": [program / "dagster-daemon"],
            "webserver": [program / "dagster-webserver"],
        }
        """How each service's command line begins."""

    def __enter__(self) -> Self:
        """Start the services and wait until they answer."""
        grpc, self._web = self.grpc_port, free_port()
        workspace = self._folder / "workspace.yaml"
        location = {"host": "127.0.0.1", "port": grpc, "location_name": "market_data_pipeline"}
        workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": location}]}))
        module = ("-m", "pipeline_defs.definitions")
        self._start(
            "code server", *self.programs["code server"], "api", "grpc", *module, "-p", str(grpc), "-h", "127.0.0.1"
        )
        self._await(lambda: socket.create_connection(("127.0.0.1", grpc), 1).close())
        self._start("daemon", *self.programs["daemon"], "run", "-w", str(workspace))
        self._start("webserver", *self.programs["webserver"], "-w", str(workspace), "-p", str(self._web))
        self._await(lambda: self.ask(QUERIES["asset graph"])["assetNodes"][0])
        return self

    def __exit__(self, *_: object) -> None:
        """End everything that was started, the database last."""
        self._over.set()
        self.watch.stop()
        for thread in self._threads:
            thread.join()
        for process in reversed(self._processes.values()):
            process.send_signal(signal.SIGINT)
        for process in self._processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)
            process.kill()
        self._server.stop()

    def measure(self, every_seconds: float) -> None:
        """Begin to watch, to read, to export and to use the UI."""
        roots = {os.getpid(): "", self._server.pid: "database"}
        self.watch = Watch(roots, self._counts, every_seconds)
        self.watch.start()
        self._start(
            "reader", sys.executable, "-m", "benchmarks.load_month", "--role", "reader", "--folder", self._folder
        )
        for work in (self._use_ui, self._export):
            self._threads.append(threading.Thread(target=self._guarded, args=(work, every_seconds)))
            self._threads[-1].start()

    def finish(self) -> None:
        """Stop exporting, asking, reading and watching; raise what any of them found wrong."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._check()
        self.watch.stop()

    def backfill(self, days: list[str]) -> None:
        """Launch a backfill as the UI does, and wait for it."""
        selection = [{"path": asset.split("/")} for asset in ASSETS]
        params = {"assetSelection": selection, "partitionNames": days, "title": "load"}
        launched = self.ask(_LAUNCH, p=params)["launchPartitionBackfill"]
        if launched["__typename"] != "LaunchBackfillSuccess":
            raise SystemExit(f"the backfill was refused: {launched}")
        while True:
            found = self.ask(_PROGRESS, id=launched["backfillId"])["partitionBackfillOrError"]
            self._check()
            if found["status"] not in {"REQUESTED", "FAILING", "CANCELING"}:
                break
            time.sleep(_POLL_SECONDS)
        if found["status"] != "COMPLETED_SUCCESS":
            raise SystemExit(f"the backfill ended as {found}: {self._failures()}")

    def ask(self, query: str, **variables: object) -> Any:  # noqa: ANN401 -- JSON
        """Ask the web server."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._web}/graphql", body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:  # noqa: S310 -- our own server
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            raise SystemExit(f"the web server answered {error.code}: {error.read()[:2000]!r}") from None
        if found.get("errors"):
            raise SystemExit(f"the UI's query failed: {found['errors'][0]['message']}")
        return found["data"]

    def ui(self) -> dict[str, dict[str, float]]:
        """Give how long the queries took."""
        return {
            name: {
                "asked": len(took),
                "p50": round(statistics.median(took) * 1000),
                "p95": round(sorted(took)[int(len(took) * 0.95)] * 1000),
                "longest": round(max(took) * 1000),
            }
            for name, took in self._took.items()
            if took
        }

    def reader_counts(self) -> dict[str, int]:
        """Give how often the reader looked at what."""
        counts: dict[str, int] = json.loads((self._folder / "reader.json").read_text())
        return counts

    def _failures(self) -> list[str]:
        """Give what failed runs say."""
        told = []
        for run in self.ask(QUERIES["runs"])["runsOrError"]["results"]:
            if run["status"] != "SUCCESS":
                events = self.ask(_FAILURES, run=run["runId"])["logsForRun"]["events"]
                told += [
                    event["message"] + str(event.get("error")) for event in events if event.get("level") == "ERROR"
                ]
        return [line[:1500] for line in told[:3]]

    def _use_ui(self, every_seconds: float) -> None:
        key = {"path": INSTRUMENTS[0].split("/")}
        while not self._over.wait(every_seconds):
            runs = self.ask(QUERIES["runs"])["runsOrError"]["results"]
            for name, query in QUERIES.items():
                variables: dict[str, object] = {"key": key} if "$key" in query else {}
                if "$run" in query:
                    if not runs:
                        continue
                    variables = {"run": random.choice(runs)["runId"]}  # noqa: S311 -- any will do
                begun = time.perf_counter()
                self.ask(query, **variables)
                self._took[name].append(time.perf_counter() - begun)

    def _export(self, every_seconds: float) -> None:
        expected = json.loads((self._folder / "expected.json").read_text())
        done: set[str] = set()
        while not self._over.wait(every_seconds):
            with psycopg.connect(self._server.url) as connection:
                ready = [
                    day
                    for day, versions in expected.items()
                    if day not in done and connection.execute(_SESSION, bounds(day)).fetchone() == tuple(versions[0])
                ]
                if not ready:
                    continue
                day = ready[0]
                stored = connection.execute(
                    "SELECT count(*) FROM v_options_ticks WHERE underlying = 'NIFTY' AND"
                    ' "timestamp" >= %(start)s AND "timestamp" < %(end)s',
                    bounds(day),
                ).fetchall()[0][0]
            output = self._folder / "export"
            command = [sys.executable, "-m", "pipeline_defs.cli.main", "export", "--format", "csv", "--json"]
            command += ["--underlying", UNDERLYING, "--start-date", day, "--end-date", day, "--output", str(output)]
            finished = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
            if finished.returncode != 0:
                raise SystemExit(f"the export of {day} failed: {finished.stderr}")
            told = json.loads(finished.stdout)
            if not told["verified"] or told["rows"] < stored:
                raise SystemExit(f"the export of {day} holds {told['rows']} rows, {stored} options are stored")
            done.add(day)
            self.exported["sessions"] += 1
            self.exported["rows"] += told["rows"]

    def _guarded(self, work: Any, every_seconds: float) -> None:  # noqa: ANN401 -- a method of this class
        try:
            work(every_seconds)
        except BaseException as error:  # noqa: BLE001 -- told by whoever waits
            self._failed.append(f"{work.__name__}: {error!r}")

    def _check(self) -> None:
        for name, process in self._processes.items():
            if process.poll() is not None:
                self._failed.append(f"{name} ended with {process.returncode}: {self._log(name)[-2000:]}")
        if self._failed:
            raise SystemExit("; ".join(self._failed))

    def _counts(self) -> dict[str, int]:
        with psycopg.connect(self._server.url, autocommit=True) as connection:
            row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
            return {"connections": int(row.fetchall()[0][0])}

    def _start(self, name: str, *command: str | Path) -> None:
        with (self._folder / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [os.fspath(part) for part in command],
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _await(self, probe: Any) -> None:  # noqa: ANN401 -- a callable
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                probe()
            except (OSError, SystemExit, LookupError) as error:
                self._check()
                if time.monotonic() > deadline:
                    raise SystemExit(f"a service does not answer: {error}") from None
                time.sleep(1)
            else:
                return

    def _log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text(errors="replace")


def read_for_ever(folder: Path) -> None:
    """Look at random sessions until ended; exit with an error if one is a mixture or knows the future."""
    from pipeline_defs.portal import DataPortal, SimulationClock  # noqa: PLC0415 -- only in this role
    from pipeline_defs.warehouse.connection import SESSION_OPTIONS, Warehouse  # noqa: PLC0415

    url = os.environ["PIPELINE_DATABASE_URL"]
    counts = {"sessions": 0, "absent": 0, "bars": 0, "portal_windows": 0, "portal_rows": 0}
    generator = random.Random(secrets.randbits(32))  # noqa: S311 -- which session is looked at
    with (
        psycopg.connect(url, autocommit=True, options=SESSION_OPTIONS) as connection,
        contextlib.suppress(KeyboardInterrupt),
    ):
        while True:
            for day in _shuffled(generator, folder):
                versions = json.loads((folder / "expected.json").read_text())[day]
                found = list(connection.execute(_SESSION, bounds(day)).fetchone() or ())
                if found not in [[0, 0, 0, 0], *versions]:
                    raise SystemExit(f"{day} is a mixture: {found}, expected one of {versions}")
                counts["sessions"] += 1
                counts["absent"] += found[0] == 0
                (volume,) = connection.execute(_BARS, bounds(day)).fetchone() or (0,)
                if volume not in [0, *(version[1] for version in versions)]:
                    raise SystemExit(f"the bars of {day} are a mixture: {volume}, expected one of {versions}")
                counts["bars"] += 1
                if found[0]:
                    now = bounds(day)["start"] + dt.timedelta(minutes=generator.randrange(9 * 60 + 40, 15 * 60))
                    window = DataPortal(warehouse=Warehouse(url), clock=SimulationClock(now)).history(
                        UNDERLYING, ["close"], 20, "1m"
                    )
                    if window.height and window["timestamp"].max() > now:
                        raise SystemExit(f"at {now} the portal knew {window['timestamp'].max()}")
                    counts["portal_windows"] += 1
                    counts["portal_rows"] += window.height
                (folder / "reader.json").write_text(json.dumps(counts))
                time.sleep(1)


def _shuffled(generator: random.Random, folder: Path) -> Iterator[str]:
    days = list(json.loads((folder / "expected.json").read_text()))
    generator.shuffle(days)
    yield from days


def in_shared_memory() -> set[str]:
    """Name what lies in the folder of shared memory."""
    return {path.name for path in Path("/dev/shm").iterdir()}  # noqa: S108 -- looked at, not written


def free_port() -> int:
    """Ask the kernel for a port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def say(line: str) -> None:
    """Tell how far it is."""
    print(f"{dt.datetime.now(dt.UTC):%H:%M:%S} {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
