"""Every API source through Dagster against its loopback server: rows, no second request, no secret anywhere."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from pipeline_defs.orchestration.runs import materialize_partition, open_instance
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.registry import SOURCES, get_source, source_entry
from pipeline_defs.warehouse.loading import import_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline_defs.orchestration.runs import PartitionRun
    from pipeline_defs.settings import Settings
    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_tests.sources.offline import Offline

API_SOURCES = sorted(name for name, entry in SOURCES.items() if entry.source_type == "api")
KEYLESS = {"yahoo", "interactive_brokers"}
"""Sources whose API asks for no key: there is nothing to be kept secret."""
KILLED_AFTER_REQUESTS = 3
KILLED_EACH_TIME = "polygon"
KILLED = [
    pytest.param(
        name,
        marks=()
        if name == KILLED_EACH_TIME
        else pytest.mark.thorough(f"answers are kept by one piece for all; {KILLED_EACH_TIME} is killed each time"),
    )
    for name in API_SOURCES
]


class Api:
    """One source with its server running, and the environment that leads there."""

    def __init__(self, name: str, offline: Offline) -> None:
        self.name, self.offline = name, offline
        self.selection = " or ".join(f'key:"{name}/{table}"' for table in sorted(offline.expected))
        self.partition = offline.trade_date.isoformat()


@pytest.fixture(params=API_SOURCES)
def api(request: pytest.FixtureRequest, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    package = source_entry(request.param).adapter.partition(":")[0].split(".")[-2]
    start = importlib.import_module(f"pipeline_tests.sources.{package}.offline").start
    with start() as offline:
        for name, value in offline.environment.items():
            monkeypatch.setenv(name, value)
        settings.home.mkdir(parents=True, exist_ok=True)
        (settings.home / "universe.yaml").write_text(yaml.safe_dump({request.param: offline.universe}))
        yield Api(request.param, offline)


def rows(warehouse: Warehouse, source: str, table: str) -> list[tuple[Any, ...]]:
    query = (
        f'SELECT a.symbol, o."timestamp", o.open, o.high, o.low, o.close, o.volume::numeric FROM {table} AS o'
        " JOIN instrument_aliases AS a ON a.instrument_id = o.instrument_id AND a.source = o.source"
        " WHERE o.source = %s"
    )
    with warehouse.connect() as connection:
        return connection.execute(query.encode(), [source]).fetchall()


def test_a_partition_holds_the_recorded_bodies_value_by_value_and_a_second_run_asks_nothing(
    api: Api, warehouse: Warehouse, materialize: Callable[[str, str], PartitionRun]
) -> None:
    first = materialize(api.selection, api.partition)
    assert first.succeeded, first.failures
    asked = len(api.offline.requests())
    for table, expected in api.offline.expected.items():
        assert sorted(rows(warehouse, api.name, table)) == sorted(expected), table
    failed = [check for check in first.checks if check.blocking and not check.passed]
    assert failed == []

    again = materialize(api.selection, api.partition)
    assert again.succeeded, again.failures
    assert len(api.offline.requests()) == asked
    for table, expected in api.offline.expected.items():
        assert sorted(rows(warehouse, api.name, table)) == sorted(expected), table


def test_every_batch_keeps_the_contract_of_sources(api: Api) -> None:
    source = get_source(api.name)
    day = api.offline.trade_date
    tables = frozenset(api.offline.expected)
    batches = list(source.fetch(ImportRequest(day, day, tables=tables)))

    for batch in batches:
        source.validate_data(batch)
    assert {batch.table for batch in batches} == tables
    assert {dataset.table for dataset in source.datasets} <= set(source_entry(api.name).tables)  # type: ignore[attr-defined]
    metadata = source.get_metadata()
    assert (metadata.source, metadata.source_type) == (api.name, "api")
    assert bool(api.offline.secrets) == (api.name not in KEYLESS)
    assert not any(secret in repr((source, metadata)) for secret in api.offline.secrets)


@pytest.mark.parametrize("api", [name for name in API_SOURCES if name not in KEYLESS], indirect=True)
def test_no_secret_is_in_the_home_the_database_or_an_error(
    api: Api, settings: Settings, warehouse: Warehouse, capfd: pytest.CaptureFixture[str]
) -> None:
    assert api.offline.secrets
    with open_instance(settings) as instance:
        good = materialize_partition(api.selection, api.partition, instance)
        if api.offline.fail_next is not None:
            api.offline.fail_next(401, {}, 50)
        first, last = api.offline.range or (api.offline.trade_date,) * 2
        bad_partition = get_source(api.name).market.sessions(first, last)[0].isoformat()  # type: ignore[attr-defined]
        bad = materialize_partition(api.selection, bad_partition, instance)
    printed = capfd.readouterr()
    texts = [repr((good, bad)), printed.out, printed.err, dump(warehouse)]
    files = [path for path in settings.home.rglob("*") if path.is_file() and "session" not in path.name]
    assert len(files) > 3

    for secret in api.offline.secrets:
        assert not any(secret in text for text in texts), secret
        assert [path for path in files if secret.encode() in path.read_bytes()] == []


def dump(warehouse: Warehouse) -> str:
    """Give every row of every table as text."""
    with warehouse.connect() as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        ).fetchall()
        return "\n".join(
            str(connection.execute(f'SELECT t::text FROM "{name}" AS t'.encode()).fetchall()) for (name,) in tables
        )


@pytest.mark.parametrize("api", KILLED, indirect=True)
def test_a_killed_backfill_goes_on_without_asking_twice(api: Api, warehouse: Warehouse) -> None:
    if api.offline.range is None:
        pytest.skip(f"the server of {api.name} has no longer range")
    first, last = api.offline.range
    command = [sys.executable, "-m", "pipeline_defs.cli.main", "import", "--source", api.name]
    command += ["--start-date", str(first), "--end-date", str(last)]
    killed = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while len(api.offline.requests()) < KILLED_AFTER_REQUESTS and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    with contextlib.suppress(ProcessLookupError):
        os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    resumed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert resumed.returncode == 0, resumed.stderr

    asked = Counter(api.offline.requests())
    # The one that was on its way when the process died may have been answered without anybody to hear it.
    assert sum(count - 1 for count in asked.values()) <= 1, asked.most_common(3)
    days = set(get_source(api.name).market.sessions(first, last))  # type: ignore[attr-defined]
    with warehouse.connect() as connection:
        stored = connection.execute(
            "SELECT DISTINCT trade_date FROM loads WHERE source = %s AND status = 'complete'", [api.name]
        ).fetchall()
    assert {day for (day,) in stored} == days


def test_too_many_requests_are_waited_out(api: Api, warehouse: Warehouse) -> None:
    if api.offline.fail_next is None:
        pytest.skip(f"{api.name} does not speak HTTP")
    api.offline.fail_next(429, {"Retry-After": "1"}, 1)
    day = api.offline.trade_date
    tables = frozenset(api.offline.expected)
    reports = list(import_source(warehouse, get_source(api.name), ImportRequest(day, day, tables=tables)))

    assert {report.status for report in reports} == {"complete"}
