#!/usr/bin/env python3
"""Watch a policy go stale and the asset be made fresh by itself: a real `dagster dev` for some minutes, then gone.

Usage: tools/watch_freshness.py [seconds at most, default 600]

Starts an exchange on the loopback, a warehouse and a Dagster home in a folder that is removed at the end, and `dagster
dev` on `tools/freshness_demo.py`. Then it only looks: the sensor requests the sessions that are due and missing, a
minute after the last materialisation the policy fails, and declarative automation materialises the latest session again
without one request to the exchange.
"""

from __future__ import annotations

import datetime as dt
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import dagster as dg  # noqa: E402 -- the clone is on the path only now
import yaml  # noqa: E402

from pipeline_defs.warehouse import embedded  # noqa: E402
from pipeline_tests.sources.ccxt.server import HOUR, ExchangeServer, epoch_ms, invented, running  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

DEMO = ROOT / "tools" / "freshness_demo.py"
KEY = dg.AssetKey(["ccxt", "spot_prices"])
SESSIONS = 2
LOOK_SECONDS = 1.0
DAGSTER_YAML = {
    "telemetry": {"enabled": False},
    "nux": {"enabled": False},
    "concurrency": {"runs": {"max_concurrent_runs": 1}},
    "code_servers": {"local_startup_timeout": 180},
}


class Watcher:
    """Says what happened, once each.

    Parameters
    ----------
    home : Path
        Of Dagster.
    exchange : ExchangeServer
        Whose requests are counted.

    """

    def __init__(self, home: Path, exchange: ExchangeServer) -> None:
        self._instance = dg.DagsterInstance.from_config(str(home))
        self._exchange = exchange
        self._begun = time.monotonic()
        self._seen: set[str] = set()
        self._state = ""
        self.states: list[str] = []
        self.caches: list[tuple[str, str]] = []

    def say(self, text: str) -> None:
        """Print one line with the seconds since the begin."""
        sys.stdout.write(f"{time.monotonic() - self._begun:6.1f} s  {text}\n")
        sys.stdout.flush()

    def look(self) -> None:
        """Tell what is new: runs, materialisations, the state of the policy."""
        for run in reversed(self._instance.get_runs()):
            name = f"{run.run_id} {run.status.value}"
            if name not in self._seen:
                self._seen.add(name)
                by = run.tags.get("dagster/sensor_name", "?")
                self.say(f"run {run.run_id[:8]} of {run.tags.get('dagster/partition')} by {by}: {run.status.value}")
        for event in self._events():
            metadata = event.asset_materialization.metadata if event.asset_materialization else {}
            cache, calls = (metadata[name].value for name in ("cache", "source_calls"))
            self.caches.append((str(event.partition_key), str(cache)))
            self.say(
                f"materialised {event.partition_key}: cache {cache}, {calls} calls; the exchange was asked"
                f" {len(self._exchange.requests)} times for history so far"
            )
        record = self._instance.get_freshness_state_records([KEY]).get(KEY)
        state = "UNKNOWN" if record is None else record.freshness_state.value
        if state != self._state:
            self._state = state
            self.states.append(state)
            self.say(f"policy of {KEY.to_user_string()} (60 s): {state}")

    def _events(self) -> Iterator[dg.EventLogRecord]:
        records = self._instance.fetch_materializations(KEY, limit=50).records
        for record in reversed(records):
            name = f"event {record.storage_id}"
            if name not in self._seen:
                self._seen.add(name)
                yield record

    @property
    def has_seen_enough(self) -> bool:
        """Whether the policy failed, and passed again after a hit that nobody asked for."""
        return self.states[-3:] == ["PASS", "FAIL", "PASS"] and any(cache == "hit" for _, cache in self.caches)


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def main() -> int:
    """Watch.

    Returns
    -------
    int
        0 if the asset went stale and was materialised by itself within the time.

    """
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600.0
    today = dt.datetime.now(dt.UTC).date()
    first = today - dt.timedelta(days=SESSIONS)
    hours = invented(epoch_ms(first), epoch_ms(today) + 23 * HOUR, HOUR)
    with (
        tempfile.TemporaryDirectory(prefix="watch-") as name,
        running(ExchangeServer({("BTCUSDT", HOUR): hours})) as exchange,
    ):
        folder = Path(name)
        folder.chmod(0o755)
        home = folder / "dagster"
        home.mkdir()
        (home / "dagster.yaml").write_text(yaml.safe_dump(DAGSTER_YAML))
        wanted = {"exchange": "binance", "bars": {"spot_prices": "1h"}, "pairs": ["BTC/USDT"]}
        (folder / "universe.yaml").write_text(yaml.safe_dump({"ccxt": wanted}))
        environment = {name: value for name, value in os.environ.items() if name != "PIPELINE_DATABASE_URL"} | {
            "PIPELINE_HOME": str(folder),
            "DAGSTER_HOME": str(home),
            "PIPELINE_CCXT_ENDPOINT": exchange.url,
            "PIPELINE_FIRST_DATE": first.isoformat(),
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
        }
        environment["PIPELINE_DATABASE_URL"] = embedded.ensure_running(folder / "postgres")
        command = [sys.executable, "-m", "dagster", "dev", "-f", str(DEMO), "-p", str(free_port())]
        with (folder / "dagster.log").open("w") as log:
            process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=folder, start_new_session=True
            )
        watcher = Watcher(home, exchange)
        watcher.say(f"dagster dev begins; {first} and the day after it are due and missing")
        try:
            while time.monotonic() - watcher._begun < seconds and not watcher.has_seen_enough:  # noqa: SLF001 -- ours
                if process.poll() is not None:
                    break
                watcher.look()
                time.sleep(LOOK_SECONDS)
        finally:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
            embedded.stop(folder / "postgres")
        if not watcher.has_seen_enough:
            sys.stdout.write((folder / "dagster.log").read_text()[-6000:])
            return 1
        watcher.say("stale, and fresh again by itself; everything is stopped and removed")
        return 0


if __name__ == "__main__":
    sys.exit(main())
