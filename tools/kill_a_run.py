"""Two runs of one source: one waits for the other, whose process is killed; the daemon brings both to their end.

    PYTHONPATH=. .venv/bin/python tools/kill_a_run.py

Starts what ``pipeline ui`` starts, on a home of its own, with an exchange on the loopback that is silent at first.
Prints what happened when; ends with 1 unless both partitions are complete and the pool was kept.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import signal
import sys
import tempfile
import time
from pathlib import Path

import yaml

from pipeline_defs.orchestration.pools import pool_limits
from pipeline_defs.orchestration.runs import open_instance
from pipeline_defs.settings import load_settings
from pipeline_defs.warehouse.connection import open_warehouse
from pipeline_defs.warehouse.embedded import stop
from pipeline_tests.orchestration.test_backfill import LAUNCH, dagster_running, wait_until
from pipeline_tests.sources.ccxt.offline import DAY
from pipeline_tests.sources.ccxt.server import HOUR, Canned, ExchangeServer, epoch_ms, invented, running

PARTITIONS = [DAY.isoformat(), (DAY + dt.timedelta(days=1)).isoformat()]
PID = re.compile(r"\(pid: (\d+)\)")
SECONDS = 180
QUEUE_LOOKS_SECONDS = 15
"""The daemon looks at its queue every few seconds."""
HOURS = 48


def main() -> int:
    """Do it, and say what happened."""
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True)

    with tempfile.TemporaryDirectory() as folder, running(ExchangeServer()) as server:
        os.environ.update(
            PIPELINE_HOME=f"{folder}/home",
            PIPELINE_CCXT_ENDPOINT=server.url,
            PIPELINE_DATABASE_URL="",
        )
        settings = load_settings()
        settings.home.mkdir(parents=True)
        universe = {"ccxt": {"exchange": "binance", "bars": {"spot_prices": "1h"}, "pairs": ["BTC/USDT"]}}
        (settings.home / "universe.yaml").write_text(yaml.safe_dump(universe))
        server.candles["BTCUSDT", HOUR] = dict(invented(epoch_ms(DAY), epoch_ms(DAY) + 47 * HOUR, HOUR))
        server.next_candles = [Canned(hang=True)]
        log = Path(folder) / "dagster.log"
        try:
            with dagster_running(settings, log) as interface, open_instance(settings) as instance:
                tell(f"daemon, code server and web server are up; pools: {pool_limits(instance)}")
                interface.ask(
                    LAUNCH,
                    params={"assetSelection": [{"path": ["ccxt", "spot_prices"]}], "partitionNames": PARTITIONS},
                )
                wait_until(lambda: bool(server.requests), log, SECONDS)
                wait_until(lambda: len(instance.get_runs()) == len(PARTITIONS), log, SECONDS)
                time.sleep(QUEUE_LOOKS_SECONDS)
                waiting = [run for run in instance.get_runs() if run.status.value == "QUEUED"]
                (first,) = [run for run in instance.get_runs() if run.status.value == "STARTED"]
                tell(f"{len(waiting)} run waits in the queue, {len(server.requests)} question was asked")
                texts = [entry.message for entry in instance.all_logs(first.run_id)]
                pids = {int(found[1]) for text in texts for found in PID.finditer(text)}
                tell(f"run {first.run_id[:8]} asks the exchange, which is silent; its process is {sorted(pids)}")
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
                tell("kill -9")

                def ended() -> bool:
                    return sum(run.status.value == "SUCCESS" for run in instance.get_runs()) == len(PARTITIONS)

                wait_until(ended, log, SECONDS)
                for run in reversed(instance.get_runs()):
                    kept = ("dagster/retry_number", "dagster/parent_run_id", "dagster/will_retry", "dagster/partition")
                    tags = {name: value[:10] for name, value in run.tags.items() if name in kept}
                    tell(f"run {run.run_id[:8]} {run.status.value} {tags}")
                for entry in instance.all_logs(first.run_id)[-4:]:
                    tell(f"  {first.run_id[:8]}: {entry.message.splitlines()[0][:150]}")
                stored = instance.get_materialized_partitions(instance.all_asset_keys()[0])
            with open_warehouse(settings).connect() as connection:
                ((rows,),) = connection.execute("SELECT count(*) FROM spot_prices").fetchall()
            tell(f"{rows} of 48 hours stored; materialised: {sorted(stored)}; {len(server.requests)} questions")
        finally:
            stop(settings.postgres_dir)
    return 0 if rows == HOURS and stored == set(PARTITIONS) and len(waiting) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
