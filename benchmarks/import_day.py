r"""What the import of a day costs, against the floor and against the naive way.

``python -m benchmarks.import_day [--rows 1000000] [--files 2500] [--rounds 5] [--naive-rounds 1]`` prints one JSON
object: medians and ratios of CPU seconds (client and server together) and of wall seconds. The ways take turns in one
run on one server, each into empty tables after a checkpoint, so that a busy machine hurts all alike; only ratios mean
anything across machines.

pipeline        `pipeline import` of the raw files in a process of its own: start, parse, normalise, validate, load,
                provenance, hourly and daily bars
psql_copy       ``psql \\copy`` of the ready rows, in file order, into the same tables with the same keys; no bars
naive           pandas: `read_csv` of each file, the ticker parsed row by row, `DataFrame.to_sql` into a copy of the
                options table
"""

# ruff: noqa: INP001, S603, T201 -- a script to run: it prints, and starts our own commands with our own names

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.measuring import Server, dump, median
from pipeline_defs.samples.generate import benchmark_day, generate
from pipeline_defs.warehouse.embedded.cluster import binary_directory

if TYPE_CHECKING:
    from collections.abc import Callable

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

        def timed(work: Callable[[], None]) -> dict[str, float]:
            server.empty()
            server.execute("DROP TABLE IF EXISTS naive", NAIVE_TABLE)
            return server.measure(work)

        try:
            timed(pipeline)  # warms the caches, and gives the ready rows
            peak_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
            ready = dump(server, folder)
            ways: dict[str, Callable[[], None]] = {"pipeline": pipeline, "psql_copy": psql_copy, "naive": naive}
            results: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
            for number in range(options.rounds):
                for way, work in ways.items():
                    if way != "naive" or number < options.naive_rounds:
                        results[way].append(timed(work))
        finally:
            server.stop()
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
