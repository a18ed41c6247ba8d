"""What a person does in the UI: a backfill over days, against a real web server, daemon and code server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline_defs.orchestration.instance import prepare_dagster_home
from pipeline_defs.samples.generate import DEMO, generate
from pipeline_defs.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline_defs.settings import Settings
    from pipeline_defs.warehouse.connection import Warehouse

ASSETS = [
    ["nse_csv", "options_ticks"],
    ["options_hourly"],
    ["options_daily"],
]

DAYS = 2
"""Each is a run, whose process takes some seconds to start."""

LAUNCH = """
mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}"""

STATUS = """
query Status($id: String!, $tags: [ExecutionTag!]!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { error { message } } }
  runsOrError(filter: {tags: $tags}) { ... on Runs { results { status tags { key value } } } }
}"""


class UserInterface:
    """The GraphQL side of the UI."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}/graphql"

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(self._address, body, {"Content-Type": "application/json"})  # noqa: S310 -- our own
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 -- as above
            content = json.loads(answer.read())
        assert "errors" not in content, content["errors"]
        data: dict[str, Any] = content["data"]
        return data

    def is_up(self) -> bool:
        try:
            answer = self.ask("{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }")
        except urllib.error.URLError:
            return False
        return bool(answer["repositoriesOrError"].get("nodes"))


@contextmanager
def dagster_running(settings: Settings, log: Path) -> Iterator[UserInterface]:
    """Start what ``pipeline ui`` starts, and end all of its processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        str(Path(sys.executable).with_name("dagster")),
        "dev",
        "--workspace",
        str(PROJECT_ROOT / "workspace.yaml"),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            env={**os.environ, "DAGSTER_HOME": str(prepare_dagster_home(settings))},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            interface = UserInterface(port)
            wait_until(interface.is_up, log, seconds=120)
            yield interface
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def wait_until(done: Callable[[], bool], log: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, log.read_text(errors="replace")[-5_000:]
        time.sleep(0.5)


def test_a_backfill_from_the_ui_fills_the_warehouse(settings: Settings, warehouse: Warehouse, tmp_path: Path) -> None:
    sample = generate(DEMO, tmp_path / "sample")
    days = [day.isoformat() for day in sample.trade_dates][-DAYS:]
    settings.landing_dir.parent.mkdir(parents=True, exist_ok=True)
    settings.landing_dir.symlink_to(sample.landing, target_is_directory=True)
    log = tmp_path / "dagster.log"
    with dagster_running(settings, log) as interface:
        launched = interface.ask(
            LAUNCH,
            params={"assetSelection": [{"path": path} for path in ASSETS], "partitionNames": days},
        )["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched

        tags = [{"key": "dagster/backfill", "value": launched["backfillId"]}]

        def runs() -> list[dict[str, Any]]:
            found = interface.ask(STATUS, id=launched["backfillId"], tags=tags)
            assert found["partitionBackfillOrError"]["error"] is None, found
            results: list[dict[str, Any]] = found["runsOrError"]["results"]
            return [run for run in results if run["status"] in {"SUCCESS", "FAILURE", "CANCELED"}]

        wait_until(lambda: len(runs()) == len(days), log, seconds=240)
        finished = runs()

    partitions = [tag["value"] for run in finished for tag in run["tags"] if tag["key"] == "dagster/partition"]
    assert sorted(partitions) == days
    assert {run["status"] for run in finished} == {"SUCCESS"}
    with warehouse.connect() as connection:
        loaded = connection.execute(
            "SELECT DISTINCT trade_date::text FROM loads WHERE dataset = 'options_ticks' AND status = 'complete'"
        ).fetchall()
        bars = connection.execute("SELECT count(DISTINCT bucket) FROM options_daily").fetchone()
    assert sorted(day for (day,) in loaded) == days
    assert bars == (len(days),)
