r"""What it costs to check a day, against loading it.

``python -m benchmarks.quality [--rows 1000000] [--rounds 3]`` prints one JSON object: medians of CPU seconds (client
and server together) and of wall seconds, on one embedded server, in turns.

load            the load step of the option rows into empty tables, with hourly and daily bars
check           every check of the options, the results stored
check_again     the same once more: nothing new to store
"""

# ruff: noqa: INP001, T201 -- a script to run: it prints

from __future__ import annotations

import argparse
import json
import resource
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.load_day import load, one_file
from benchmarks.measuring import Server, median
from pipeline_defs.markets.market import market
from pipeline_defs.quality.running import check_partition
from pipeline_defs.samples.generate import benchmark_day, generate
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.nse_csv.adapter import NseCsvSource
from pipeline_defs.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from pipeline_defs.quality.specs import Outcome


def main() -> None:
    """Run the rounds and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = Server(folder / "postgres")
        try:
            print(json.dumps(run(server, folder, options), indent=2))
        finally:
            server.stop()


def run(server: Server, folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """Measure everything."""
    landing = one_file(generate(benchmark_day(options.rows), folder / "day").landing, folder / "one")
    batch = next(
        replace(batch, delivery=None)
        for batch in NseCsvSource().fetch(ImportRequest(path=landing))
        if batch.table == "options_ticks"
    )
    outcomes: dict[str, Outcome] = {}

    def check() -> None:
        outcomes.update(
            check_partition(Warehouse(server.url), "options_ticks", "nse_csv", batch.trade_date, market("NSE"))
        )

    results: dict[str, list[dict[str, float]]] = {"load": [], "check": [], "check_again": []}
    for _ in range(options.rounds):
        server.empty()
        results["load"].append(server.measure(lambda: load(server.url, batch)))
        results["check"].append(server.measure(check))
        results["check_again"].append(server.measure(check))
    medians = {way: median(rounds) for way, rounds in results.items()}
    return {
        "rows": batch.observations.height,
        "rounds": options.rounds,
        "failing": {name: outcome.failing for name, outcome in outcomes.items() if outcome.failing},
        "examined": {name: outcome.examined for name, outcome in outcomes.items()},
        "medians": medians,
        "check_over_load": {
            figure: round(medians["check"][figure] / medians["load"][figure], 3) for figure in ("wall", "cpu")
        },
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


if __name__ == "__main__":
    main()
