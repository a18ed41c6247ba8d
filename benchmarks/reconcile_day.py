r"""What comparing two sources of one day costs.

``python -m benchmarks.reconcile_day [--rows 1000000] [--rounds 3]`` prints one JSON object: medians of CPU seconds
(client and server together) and of wall seconds. Both sources hold the day's minutes; in the second one a row in a
hundred has another close, and one in a thousand is missing.

minutes         minute bars with minute bars
days            both brought to days and compared
bhavcopy        one brought to days and compared with the exchange's daily rows (made of the other)
"""

# ruff: noqa: INP001, T201 -- a script to run: it prints

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.measuring import Server, median
from pipeline_defs.reconciliation.comparing import BHAVCOPY, Reconciliation, reconcile_day
from pipeline_defs.samples.generate import benchmark_day, generate
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.schema.tables import DAY, MINUTE
from pipeline_defs.sources.registry import get_source
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.loading import import_source

SECOND: Final = """
INSERT INTO options_ticks ("timestamp", instrument_id, bar_seconds, sequence, source, open, high, low, close, volume,
                           open_interest, load_id)
SELECT "timestamp", instrument_id, 60, 0, 'zerodha', open, high, low,
       CASE WHEN n % 100 = 0 THEN CASE WHEN close = high THEN low ELSE high END ELSE close END, volume, open_interest,
       load_id
FROM (SELECT *, row_number() OVER () AS n FROM options_ticks WHERE source = 'nse_csv' AND bar_seconds = 60) AS o
WHERE n % 1000 <> 1
"""
DAILY: Final = """
INSERT INTO options_ticks ("timestamp", instrument_id, bar_seconds, sequence, source, open, high, low, close, volume,
                           open_interest, load_id)
SELECT max("timestamp"), instrument_id, 86400, 0, 'nse_csv', (array_agg(open ORDER BY "timestamp"))[1], max(high),
       min(low), (array_agg(close ORDER BY "timestamp" DESC))[1], sum(volume),
       (array_agg(open_interest ORDER BY "timestamp" DESC))[1], min(load_id)
FROM options_ticks WHERE source = 'nse_csv' AND bar_seconds = 60 GROUP BY instrument_id
"""


def main() -> None:
    """Run the rounds and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        spec = benchmark_day(options.rows)
        landing = generate(spec, folder / "day").landing
        server = Server(folder / "postgres")
        warehouse = Warehouse(server.url)
        for _ in import_source(warehouse, get_source("nse_csv"), ImportRequest(path=landing)):
            pass
        server.execute(SECOND, DAILY)
        found: dict[str, Reconciliation] = {}

        def compare(way: str, right: str, seconds: int) -> None:
            found[way] = reconcile_day(
                warehouse, "options_ticks", spec.start_date, "zerodha", right, bar_seconds=seconds
            )

        ways = {"minutes": ("nse_csv", MINUTE), "days": ("nse_csv", DAY), "bhavcopy": (BHAVCOPY, DAY)}
        rounds = {
            way: [server.measure(lambda way=way, wanted=wanted: compare(way, *wanted)) for _ in range(options.rounds)]  # type: ignore[misc]
            for way, wanted in ways.items()
        }
        outcomes = {way: {"found": found[way].to_json(), **median(measured)} for way, measured in rounds.items()}
        print(json.dumps({"rows": options.rows, "server": server.name, **outcomes}, indent=1))
        server.stop()


if __name__ == "__main__":
    main()
