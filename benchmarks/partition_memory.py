"""What memory one partition takes, by its rows: the load of a day, and the export of it with verification.

``python -m benchmarks.partition_memory [--rows 1000000 4000000] [--format parquet]`` prints one JSON object: peaks of
the commands, each in a process of its own, verification included.
"""

# ruff: noqa: INP001, S603, T201 -- a script to run: it prints, and starts our own command

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.export_memory import PEAK
from benchmarks.measuring import Server
from pipeline_defs.samples.generate import benchmark_day, generate


def main() -> None:
    """Load and export a day of each size, and print the peaks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 4_000_000])
    parser.add_argument("--format", default="parquet")
    options = parser.parse_args()
    peaks: dict[int, dict[str, int]] = {}
    for rows in options.rows:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
            folder = Path(name)
            folder.chmod(0o755)
            server = Server(folder / "postgres")
            try:
                sample = generate(benchmark_day(rows, max(2_500, rows // 360)), folder / "day")
                day = sample.trade_dates[0].isoformat()
                dates = ["--start-date", day, "--end-date", day]
                home = folder / "home"
                load = ["import", "--source", "nse-csv", "--path", str(sample.landing)]
                export = ["export", "--format", options.format, "--underlying", "NIFTY", *dates]
                peaks[rows] = {
                    "load_mib": peak(server.url, home, load),
                    "export_mib": peak(server.url, home, [*export, "--output", str(folder / "out")]),
                }
            finally:
                server.stop()
        print(json.dumps({"format": options.format, "peak_mib_by_rows": peaks}), flush=True)


def peak(url: str, home: Path, arguments: list[str]) -> int:
    """Run a command of the pipeline and give the peak of its largest process, in MiB."""
    command = [sys.executable, "-c", PEAK, sys.executable, "-m", "pipeline_defs.cli.main", *arguments]
    environment = {**os.environ, "PIPELINE_DATABASE_URL": url, "PIPELINE_HOME": str(home)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return int(done.stdout.splitlines()[-1]) // 1024


if __name__ == "__main__":
    main()
