"""A backfill over several hosts, of which one is cut off and another one's process is killed in mid-partition."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import psycopg
import pytest

from pipeline_defs.errors import PipelineError
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_defs.sources.registry import get_source
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.loading import import_source
from pipeline_defs.warehouse.migrations import upgrade
from pipeline_tests.scale_out.cluster import Cluster, cluster, wait_until
from pipeline_tests.scale_out.samples import days_of
from pipeline_tests.scale_out.services import BUCKET, upload_landing
from pipeline_tests.servers.places import ServerUnavailableError
from pipeline_tests.storage.test_nautilus_reads_objects import READ

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORKERS = ("north", "south", "east")
TABLES = ("options_ticks", "spot_prices")
ASSETS = [*(["nse_csv", table] for table in TABLES), ["options_hourly"], ["options_daily"]]
LEASE_SECONDS = 10


@pytest.fixture
def told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[str], None]]:
    """Lines of the log, on the terminal and in the file that ``PIPELINE_SCALE_OUT_LOG`` names."""
    began = time.monotonic()
    path = Path(os.environ.get("PIPELINE_SCALE_OUT_LOG") or tmp_path / "scale-out.log")
    with path.open("w", encoding="utf-8") as file:

        def tell(text: str) -> None:
            line = f"{time.monotonic() - began:6.1f} s  {text}"
            print(line, file=file, flush=True)
            with capsys.disabled():
                sys.stdout.write(f"{line}\n")

        yield tell


def test_a_backfill_over_hosts_is_complete_and_correct_though_one_is_cut_off_and_one_is_killed(
    told: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DAGSTER_HOME", "PIPELINE_DATABASE_URL", "PIPELINE_HOME", *os.environ):
        if name.startswith(("PIPELINE_", "DAGSTER_", "AWS_")):
            monkeypatch.setenv(name, os.environ.get(name, ""))  # put back afterwards, whatever is changed meanwhile
    sample, days = days_of(4, tmp_path / "sample")
    told(f"{len(days)} days of NSE files, {sum(sample.rows.values()):,} rows")
    try:
        with cluster(WORKERS, tmp_path, told, lease_seconds=LEASE_SECONDS) as made:
            _run(made, sample.landing, days, tmp_path, told)
    except ServerUnavailableError as error:
        told(f"not run: {error}")
        pytest.skip(f"no broker can be had on this machine: {error}")


def _run(made: Cluster, landing: Path, days: list[str], tmp_path: Path, told: Callable[[str], None]) -> None:
    with made.instance(tmp_path / "outside") as instance:
        from pipeline_defs.storage.objects import ObjectStore  # noqa: PLC0415 -- its environment was set just now

        told(f"{upload_landing(ObjectStore.open().client, landing)} files in s3://{BUCKET}/landing")
        market, reference = (Warehouse(made.shared.database(name)) for name in ("market", "market_alone"))
        with psycopg.connect(made.shared.postgres_url, autocommit=True) as connection:
            upgrade(market)
            connection.execute("CREATE DATABASE market_alone TEMPLATE market")
        for name in WORKERS:
            made.start_worker(name)
        made.start_coordinator()
        made.wait_for_workers(WORKERS)
        told(f"coordinator and workers {', '.join(WORKERS)} are up")
        with psycopg.connect(market.url, autocommit=True) as holder:
            cut, killed = _disturb(made, instance, holder, days, told)
        wait_until(lambda: _materialized(instance) >= len(days), 600, made)
        wait_until(lambda: not _in_progress(instance), 200, made)
        for name, host in made.members.items():
            told(f"{name}: {host.cpu_seconds():.1f} CPU s")
        left = [pid for pid in made.members[cut].processes() if _executes_run(pid)]
        made.members[cut].reconnect()
        told(f"{cut} is back; runs still executed there: {len(left)}")
        assert left == []
        _check_runs(instance, days, (cut, killed), told)

        load_alone(reference, landing)
        for table, (rows, digest) in contents(market).items():
            told(f"{table:<16} {rows:>7,} rows, md5 {digest}")
            assert (rows, digest) == contents(reference)[table]
            assert rows > 0
        assert _stored_twice(market) == []
        told("equal to a load by one process, table by table; nothing stored twice, nothing corrected")
        _check_catalog(made, instance, days, told)


def _disturb(
    made: Cluster,
    instance: dg.DagsterInstance,
    holder: psycopg.Connection[Any],
    days: list[str],
    told: Callable[[str], None],
) -> tuple[str, str]:
    """Hold two partitions in the middle of their loads, cut the one's host off and kill the other's process."""
    locks = [f"options_ticks|nse_csv|{day}|60" for day in days[:2]]
    for lock in locks:
        holder.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [lock])
    backfill = made.backfill(instance, ASSETS, days)
    told(f"backfill {backfill} of {len(days)} partitions asked for")

    def hosts() -> list[str | None]:
        return [made.host_of_waiting(holder, lock) for lock in locks]

    wait_until(lambda: None not in hosts(), 400, made)
    cut, killed = map(str, hosts())
    told(f"{days[0]} is in mid-load on {cut}, {days[1]} on {killed}")
    made.members[cut].cut_off()
    told(f"{cut} is cut off")
    (pid,) = [pid for pid in made.members[killed].processes() if _executes_run(pid)]
    os.kill(pid, signal.SIGKILL)
    told(f"kill -9 of the process on {killed} that executes {days[1]}")
    wait_until(lambda: len(_failed(instance)) == 2, 300, made)
    for run in _failed(instance):
        message = [entry.message for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)]
        told(f"run {run.run_id[:8]} of {run.tags['dagster/partition']}: {message[0].partition(chr(10))[0]}")
    holder.execute("SELECT pg_advisory_unlock_all()")
    return cut, killed


def _check_runs(
    instance: dg.DagsterInstance, days: list[str], disturbed: tuple[str, str], told: Callable[[str], None]
) -> None:
    runs = sorted(
        instance.get_runs(), key=lambda run: (run.tags["dagster/partition"], run.tags.get("dagster/retry_number", "0"))
    )
    for run in runs:
        retry = run.tags.get("dagster/retry_number")
        told(
            f"{run.tags['dagster/partition']}  {run.status.value:<8} on {run.tags['pipeline/worker']:<8}"
            f"{'' if retry is None else f'  retry {retry} of {run.parent_run_id and run.parent_run_id[:8]}'}"
        )
    ended = Counter(run.tags["dagster/partition"] for run in runs if run.status is dg.DagsterRunStatus.SUCCESS)
    assert ended == Counter(days)
    assert {run.tags["dagster/partition"] for run in _failed(instance)} == set(days[:2])
    assert {run.tags["pipeline/worker"].partition("/")[0].rpartition("@")[2] for run in _failed(instance)} == set(
        disturbed
    )
    assert len(runs) == len(days) + 2


def _check_catalog(made: Cluster, instance: dg.DagsterInstance, days: list[str], told: Callable[[str], None]) -> None:
    month = days[0][:7]
    made.backfill(instance, [["catalogs", "nautilus"]], [f"{month}|NIFTY"])

    def ended() -> bool:
        return any(
            run.is_finished
            for run in instance.get_runs()
            if run.asset_selection == {dg.AssetKey(["catalogs", "nautilus"])}
        )

    wait_until(ended, 400, made)
    place = f"s3://{BUCKET}/catalogs/nautilus/NIFTY/{month}"
    read = subprocess.run(
        [sys.executable, "-c", READ, place, "NIFTY.NSE-1-MINUTE-LAST-EXTERNAL"],
        capture_output=True, text=True, check=False, cwd=PROJECT_ROOT,
    )  # fmt: skip
    assert read.returncode == 0, read.stderr
    found = json.loads(read.stdout.splitlines()[-1])
    with psycopg.connect(made.shared.database("market")) as connection:
        closes = connection.execute(
            "SELECT close::text FROM v_spot_prices WHERE underlying = 'NIFTY' AND bar_seconds = 60 ORDER BY timestamp"
        ).fetchall()
    assert found["order"]
    assert found["closes"] == [f"{float(close):.2f}" for (close,) in closes]
    told(
        f"{place}: the engine reads {len(found['instruments'])} instruments, {len(closes)} bars of the index as stored"
    )


def load_alone(warehouse: Warehouse, landing: Path) -> None:
    """Load the same files in one process: what everything is compared with."""
    from pipeline_defs.schema.batches import ImportRequest  # noqa: PLC0415 -- imports polars

    request = ImportRequest(tables=frozenset(TABLES))
    for report in import_source(warehouse, get_source("nse_csv", path=str(landing)), request):
        if report.status == "rejected":
            raise PipelineError(f"{report}")


def contents(warehouse: Warehouse) -> dict[str, tuple[int, str]]:
    """Give rows and checksum of every table, by what the rows say: numbers of instruments and loads left out."""
    found = {}
    with warehouse.connect() as connection:
        for table in (*TABLES, "options_hourly", "options_daily"):
            view = f"v_{table}" if table in TABLES else table
            columns = [
                name
                for (name,) in connection.execute(
                    "SELECT column_name::text FROM information_schema.columns WHERE table_name = %s ORDER BY 1", [view]
                ).fetchall()
                if name not in {"load_id", "instrument_id"}
            ]
            row = f"concat_ws('|', {', '.join(f'{name}::text' for name in columns)})"
            (counted,) = connection.execute(
                f"SELECT count(*), md5(string_agg({row}, chr(10) ORDER BY {row})) FROM {view}".encode()
            ).fetchall()
            found[table] = counted
    return found


def _stored_twice(warehouse: Warehouse) -> list[Any]:
    with warehouse.connect() as connection:
        twice = connection.execute(
            "SELECT dataset, trade_date, bar_seconds FROM loads WHERE rows_stored > 0"
            " GROUP BY dataset, trade_date, bar_seconds HAVING count(*) > 1"
        ).fetchall()
        corrected = [
            (table, rows)
            for table in TABLES
            for (rows,) in connection.execute(f"SELECT count(*) FROM {table}_history".encode()).fetchall()
            if rows
        ]
    return [*twice, *corrected]


def _materialized(instance: dg.DagsterInstance) -> int:
    return len(instance.get_materialized_partitions(dg.AssetKey(["options_daily"])))


def _in_progress(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    return [run for run in instance.get_runs() if not run.is_finished]


def _failed(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    return [*instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))]


def _executes_run(pid: int) -> bool:
    """Tell the process that executes a run from its parent: only it has a connection to the warehouse's database."""
    try:
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"celery" in command and threads > 2  # its signs of life need threads; the parent has none
