"""What 30 partitions of one API source cost: a run each, a run of several, or one import of the range.

    PYTHONPATH=. .venv/bin/python tools/measure_backfills.py [partitions [of which a run each]]

The exchange is a server on the loopback, so that its answers take no time: what is counted is its requests, and the
processor seconds of our own processes, each of which is started anew as Dagster's launcher starts a run.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from pipeline_defs.settings import load_settings
from pipeline_defs.sources.registry import get_source
from pipeline_defs.warehouse.connection import open_warehouse
from pipeline_defs.warehouse.embedded import stop
from pipeline_tests.sources.ccxt import offline

RUN = """
import sys
from pipeline_defs.orchestration.runs import materialize_partition, open_instance
from pipeline_defs.settings import load_settings
with open_instance(load_settings()) as instance:
    run = materialize_partition('key:"ccxt/spot_prices"', sys.argv[1], instance)
    assert run.succeeded, run.failures
"""


def one_run_each(days: list[str]) -> None:
    """Materialise each partition in a process of its own."""
    for day in days:
        subprocess.run([sys.executable, "-c", RUN, day], check=True, capture_output=True)


def runs_of(days: list[str], size: int) -> None:
    """Import several partitions in a process: what a run of several would ask and store."""
    for at in range(0, len(days), size):
        part = days[at : at + size]
        command = [sys.executable, "-m", "pipeline_defs.cli.main", "import", "--source", "ccxt"]
        command += ["--start-date", part[0], "--end-date", part[-1]]
        subprocess.run(command, check=True, capture_output=True)


def measure(name: str, count: int, alone: int, *steps: str) -> None:
    """Do it on a home of its own, and print what it cost."""
    with tempfile.TemporaryDirectory() as folder, offline.start() as served:
        os.environ.update(served.environment, PIPELINE_HOME=folder, PIPELINE_DATABASE_URL="")
        (Path(folder) / "universe.yaml").write_text(yaml.safe_dump({"ccxt": served.universe}))
        settings = load_settings()
        open_warehouse(settings)
        first, last = served.range or (served.trade_date, served.trade_date)
        days = [day.isoformat() for day in get_source("ccxt").market.sessions(first, last)[:count]]  # type: ignore[attr-defined]
        try:
            for step in steps:
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                asked, began = len(served.requests()), time.monotonic()
                if step == "each":
                    one_run_each(days[:alone])
                else:
                    runs_of(days, int(step))
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                requests = len(served.requests()) - asked
                wall = time.monotonic() - began
                label = f"{name}: {f'{alone} runs' if step == 'each' else f'{step} a process'}"
                print(f"{label:<44} {requests:>4} requests {seconds:>7.1f} CPU s {wall:>7.1f} s", flush=True)
        finally:
            stop(settings.postgres_dir)


def main() -> None:
    """Measure the three ways."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    alone = int(sys.argv[2]) if len(sys.argv) > 2 else count  # noqa: PLR2004 -- the second argument
    print(f"{count} partitions of ccxt/spot_prices, hours, one pair")
    measure("one import of the range", count, alone, str(count))
    measure("several in a run", count, alone, "7")
    measure("one import, then runs that find it stored", count, alone, str(count), "each")
    measure("partition by partition", count, alone, "each")


if __name__ == "__main__":
    main()
