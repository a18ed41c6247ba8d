"""What memory an export takes, by the length of its range.

``python -m benchmarks.export_memory [--rows 200000] [--days 3 12]`` prints one JSON object: the peak memory of the
command `pipeline export`, verification by the engine included, for ranges of several lengths of the same chain.
"""

# ruff: noqa: INP001, S603, T201 -- a script to run: it prints, and starts our own command

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

import polars as pl

from benchmarks.load_day import load, on_day
from benchmarks.measuring import Server
from pipeline_defs.markets.sessions import is_session
from pipeline_defs.samples.generate import benchmark_day, generate
from pipeline_defs.schema.batches import ImportBatch, ImportRequest
from pipeline_defs.sources.nse_csv.adapter import NseCsvSource

PEAK: Final = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def main() -> None:
    """Load the days, export each range, print the peaks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000, help="a day")
    parser.add_argument("--days", type=int, nargs="+", default=[3, 12])
    parser.add_argument("--format", default="nautilus")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = Server(folder / "postgres")
        try:
            sample = generate(benchmark_day(options.rows, 600), folder / "day")
            batches = [
                replace(batch, delivery=None) for batch in NseCsvSource().fetch(ImportRequest(path=sample.landing))
            ]
            first = batches[0].trade_date
            offsets = [day for day in range(9 * max(options.days)) if is_session(first + dt.timedelta(days=day))]
            last = first + dt.timedelta(days=offsets[max(options.days) - 1])
            lasting = [without_expired(batch, last) for batch in batches]
            for offset in offsets[: max(options.days)]:
                load(server.url, *(on_day(batch, offset) for batch in lasting))
            peaks = {
                days: export(server.url, options.format, first, first + dt.timedelta(days=offsets[days - 1]), folder)
                for days in options.days
            }
        finally:
            server.stop()
    print(json.dumps({"rows_a_day": options.rows, "format": options.format, "peak_mib_by_days": peaks}, indent=2))


def without_expired(batch: ImportBatch, last: dt.date) -> ImportBatch:
    """Leave out contracts that expire before the last day: an export refuses bars after the expiry."""
    alive = batch.contracts.filter(pl.col("expiry").is_null() | (pl.col("expiry") >= last))
    keys = alive.select("contract_key", new_key=pl.int_range(pl.len(), dtype=pl.UInt32()))
    observations = batch.observations.join(keys, on="contract_key", maintain_order="left")
    return replace(
        batch,
        contracts=alive.with_columns(contract_key=pl.int_range(pl.len(), dtype=pl.UInt32())),
        observations=observations.with_columns(contract_key="new_key").drop("new_key"),
    )


def export(url: str, format_name: str, first: dt.date, last: dt.date, folder: Path) -> int:
    """Export a range in processes of its own; give the peak of the largest in MiB."""
    command = [
        sys.executable,
        "-m",
        "pipeline_defs.cli.main",
        "export",
        "--format",
        format_name,
        "--underlying",
        "NIFTY",
    ]
    command += ["--start-date", str(first), "--end-date", str(last), "--output", str(folder / f"to-{last}")]
    environment = {**os.environ, "PIPELINE_DATABASE_URL": url, "PIPELINE_HOME": str(folder / "home")}
    printed = subprocess.run(
        [sys.executable, "-c", PEAK, *command], env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return int(printed.stdout) // 1024


if __name__ == "__main__":
    main()
