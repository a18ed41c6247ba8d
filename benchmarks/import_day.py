r"""What the import of a day costs, against the floor and against the naive way.

``python benchmarks/import_day.py [--rows 1000000] [--files 2500] [--rounds 5] [--naive-rounds 1]`` prints one JSON
object: medians and ratios of CPU seconds (client and server together) and of wall seconds. The ways take turns in one
run on one server, each into empty tables after a checkpoint, so that a busy machine hurts all alike; only ratios mean
anything across machines.

pipeline        `pipeline import` of the raw files in a process of its own: start, parse, normalise, validate, load,
                provenance, hourly and daily bars
psql_copy       ``psql \\copy`` of the ready rows, in file order, into the same tables with the same keys; no bars
naive           pandas: `read_csv` of each file, the ticker parsed row by row, `DataFrame.to_sql` into a copy of the
                options table
"""

# ruff: noqa: INP001, S603, S608, T201 -- a script to run: it prints, and starts our own commands with our own names

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg

from pipeline_defs.samples.generate import benchmark_day, generate
from pipeline_defs.warehouse import embedded
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.embedded.cluster import binary_directory
from pipeline_defs.warehouse.migrations import upgrade

if TYPE_CHECKING:
    from collections.abc import Callable

TABLES: Final = ("options_ticks", "futures_ticks", "spot_prices")
CLOCK_TICKS: Final = os.sysconf("SC_CLK_TCK")

NAIVE: Final = r"""
import re, sys
from pathlib import Path
import pandas as pd
from sqlalchemy import Date, Numeric, Text, create_engine

engine = create_engine(sys.argv[1].replace("postgresql://", "postgresql+psycopg://"))
pattern = re.compile(r"^(.+?)(\d{2}[A-Z]{3}\d{2})(\d+(?:\.\d+)?)(CE|PE)\.NFO$")

def parse(row):
    match = pattern.match(row["Ticker"])
    if match is None:
        return pd.Series([row["Ticker"], None, None, None])
    underlying, expiry, strike, option_type = match.groups()
    return pd.Series([underlying, pd.to_datetime(expiry, format="%d%b%y").date(), float(strike), option_type])

for path in sorted(Path(sys.argv[2]).rglob("*.csv")):
    frame = pd.read_csv(path)
    stamps = pd.to_datetime(frame["Date"] + " " + frame["Time"], dayfirst=True)
    frame["timestamp"] = stamps.dt.tz_localize("Asia/Kolkata")
    frame[["underlying", "expiry", "strike", "option_type"]] = frame.apply(parse, axis=1)
    frame = frame.drop(columns=["Ticker", "Date", "Time"]).rename(columns=str.lower)
    types = {"expiry": Date(), "strike": Numeric(), "option_type": Text()}
    frame.to_sql("naive", engine, if_exists="append", index=False, dtype=types)
"""

NAIVE_TABLE: Final = """
CREATE TABLE naive (
    timestamp timestamptz NOT NULL, underlying text NOT NULL, expiry date, strike numeric, option_type text,
    open numeric, high numeric, low numeric, close numeric, volume bigint, "open interest" bigint,
    UNIQUE NULLS NOT DISTINCT (timestamp, underlying, expiry, strike, option_type)
)
"""


class Server:
    """A durable embedded server of the benchmark's own, and the CPU time its processes have used."""

    def __init__(self, folder: Path) -> None:
        """Start it and make the tables."""
        self.folder = folder
        self.url = embedded.ensure_running(folder)
        upgrade(Warehouse(self.url))
        postmaster = embedded.status(folder).postmaster
        if postmaster is None:
            raise SystemExit("the benchmark's server did not start")
        self.pid = postmaster.pid

    def cpu_seconds(self) -> float:
        """Sum user and system time of the postmaster, its children, and those it has reaped."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(") ")[2].split()
            except OSError:  # ended while we looked
                continue
            if int(stat.parent.name) == self.pid:
                ticks += sum(map(int, fields[11:15]))
            elif int(fields[1]) == self.pid:
                ticks += sum(map(int, fields[11:13]))
        return ticks / CLOCK_TICKS

    def execute(self, *statements: str) -> None:
        """Run statements, each in its own transaction."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def empty(self) -> None:
        """Forget every row and settle the disk, so that each round starts alike."""
        self.execute(
            f"TRUNCATE {', '.join(TABLES)}, options_hourly, options_daily, loads, instruments CASCADE",
            "DROP TABLE IF EXISTS naive",
            NAIVE_TABLE,
            "CHECKPOINT",
        )


def measure(server: Server, work: Callable[[], object]) -> dict[str, float]:
    """Time a piece of work that runs in child processes: wall, CPU of client and server, peak memory of the client."""
    server.empty()
    before, server_before, begun = (
        resource.getrusage(resource.RUSAGE_CHILDREN),
        server.cpu_seconds(),
        time.perf_counter(),
    )
    work()
    wall = time.perf_counter() - begun
    time.sleep(0.2)  # a backend's last ticks are booked when it has ended
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    client = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    backend = server.cpu_seconds() - server_before
    return {"wall": wall, "client_cpu": client, "server_cpu": backend, "cpu": client + backend}


def dump(server: Server, folder: Path) -> dict[str, Path]:
    """Write the stored rows out, contract after contract, as the files hold them."""
    ready = {}
    for table in TABLES:
        ready[table] = folder / f"{table}.csv"
        with psycopg.connect(server.url) as connection, ready[table].open("wb") as file:
            query = f"COPY (SELECT * FROM {table} ORDER BY instrument_id, timestamp, sequence) TO STDOUT (FORMAT csv)"
            with connection.cursor().copy(query.encode()) as copy:
                for block in copy:
                    file.write(block)
    return ready


def median(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Take the median of each figure."""
    return {name: round(statistics.median(row[name] for row in rounds), 3) for name in rounds[0]}


def main() -> None:
    """Run the rounds and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=2_500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--naive-rounds", type=int, default=1, help="of the minutes-long naive way; 0 leaves it out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        landing = generate(benchmark_day(options.rows, options.files), folder / "day").landing
        server = Server(folder / "postgres")
        environment = {**os.environ, "PIPELINE_DATABASE_URL": server.url, "PIPELINE_HOME": str(folder / "home")}
        psql = str(binary_directory() / "psql")

        def pipeline() -> None:
            command = [sys.executable, "-m", "pipeline_defs.cli.main", "import", "--source", "nse-csv", "--json"]
            subprocess.run([*command, "--path", str(landing)], env=environment, check=True, stdout=subprocess.DEVNULL)

        def psql_copy() -> None:
            for table, path in ready.items():
                subprocess.run([psql, "-qX", server.url, "-c", f"\\copy {table} from '{path}' csv"], check=True)

        def naive() -> None:
            subprocess.run([sys.executable, "-c", NAIVE, server.url, str(landing)], check=True)

        try:
            measure(server, pipeline)  # warms the caches, and gives the ready rows
            peak_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
            ready = dump(server, folder)
            ways: dict[str, Callable[[], None]] = {"pipeline": pipeline, "psql_copy": psql_copy, "naive": naive}
            results: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
            for number in range(options.rounds):
                for way, work in ways.items():
                    if way != "naive" or number < options.naive_rounds:
                        results[way].append(measure(server, work))
        finally:
            embedded.stop(server.folder)
    medians = {way: median(rounds) for way, rounds in results.items() if rounds}
    ours = medians["pipeline"]
    ratios = {
        f"pipeline_over_{way}": {figure: round(ours[figure] / medians[way][figure], 3) for figure in ("wall", "cpu")}
        for way in medians
        if way != "pipeline"
    }
    if "naive" in medians:
        ratios["naive_over_pipeline"] = {
            figure: round(medians["naive"][figure] / ours[figure], 1) for figure in ("wall", "cpu")
        }
    result = {
        "rows": options.rows,
        "files": options.files,
        "rounds": {way: len(rounds) for way, rounds in results.items()},
        "medians_seconds": medians,
        "ratios": ratios,
        "pipeline_peak_mib": round(peak_kib / 1024),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
