"""Concurrency and faults: after each, the state is exactly what it would have been without, or nothing was done."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest

from pipeline_defs.errors import WarehouseError
from pipeline_defs.schema.batches import ImportBatch, ImportRequest
from pipeline_defs.warehouse import embedded, faults
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.loading import import_source
from pipeline_defs.warehouse.migrations import upgrade
from pipeline_defs.warehouse.partitions import Partition
from pipeline_tests.warehouse.deliveries import TRADE_DATE, Delivery, StubSource, make_batch
from pipeline_tests.warehouse.proxy import Proxy

if TYPE_CHECKING:
    from concurrent.futures import Future

    from pipeline_defs.warehouse.reports import LoadReport

type Ask = Callable[..., list[tuple[Any, ...]]]

CONTRACTS = 40
MINUTES = 50
ROWS = CONTRACTS * MINUTES
NEXT_DATE = TRADE_DATE + dt.timedelta(days=1)

pytestmark = pytest.mark.needs_real_backend("several connections work at once, or the server is stopped")


def chain(price: int, trade_date: dt.date = TRADE_DATE) -> ImportBatch:
    """Give a day of a chain in which every price is the same."""
    rows = [(f"C{key}", minute, str(price)) for key in range(CONTRACTS) for minute in range(1, MINUTES + 1)]
    return make_batch(Delivery(rows), trade_date=trade_date)


def load(warehouse: Warehouse, *batches: ImportBatch) -> list[LoadReport]:
    return list(import_source(warehouse, StubSource(*batches), ImportRequest()))


def state(ask: Ask) -> list[tuple[Any, ...]]:
    """Count rows and bars by price: the whole content, since a day has one price."""
    return ask(
        "SELECT 'rows', close::integer, count(*) FROM options_ticks GROUP BY 2"
        " UNION ALL SELECT 'daily', close::integer, count(*) FROM options_daily GROUP BY 2"
        " UNION ALL SELECT 'history', close::integer, count(*) FROM options_ticks_history GROUP BY 2"
        " UNION ALL SELECT 'pending', 0, count(*) FROM pending_bars HAVING count(*) > 0 ORDER BY 1, 2"
    )


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less between attempts than users do."""
    monkeypatch.setattr(faults, "WAITS_SECONDS", (0.05, 0.1, 0.2, 0.4, 0.8, 1.6))


@pytest.fixture
def held(warehouse: Warehouse) -> Iterator[psycopg.Connection]:
    """A connection that holds the partition's lock, so that an import of the day stops in the middle of its work."""
    with warehouse.connect() as connection:
        lock = Partition("options_ticks", "nse_csv", 60, TRADE_DATE).lock_name
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [lock])
        yield connection


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def is_waiting(ask: Ask) -> bool:
    """Tell whether some import of this database waits for a lock inside its transaction."""
    return bool(
        ask(
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            " AND wait_event = 'advisory'"
        )
    )


def in_background(work: Callable[[], list[LoadReport]]) -> Future[list[LoadReport]]:
    pool = ThreadPoolExecutor(1)
    future = pool.submit(work)
    pool.shutdown(wait=False)
    return future


# Two at once.


def test_two_backfills_of_different_days_both_arrive(warehouse: Warehouse, ask: Ask) -> None:
    first = in_background(lambda: load(warehouse, chain(5)))
    second = in_background(lambda: load(warehouse, chain(6, NEXT_DATE)))

    assert [report.stored for report in (*first.result(60), *second.result(60))] == [ROWS, ROWS]
    assert state(ask) == [("daily", 5, CONTRACTS), ("daily", 6, CONTRACTS), ("rows", 5, ROWS), ("rows", 6, ROWS)]
    assert ask("SELECT count(*) FROM instruments") == [(CONTRACTS,)]


def test_two_backfills_of_the_same_day_store_it_once(warehouse: Warehouse, ask: Ask) -> None:
    imports = [in_background(lambda: load(warehouse, chain(5))) for _ in range(2)]

    reports = [report for future in imports for report in future.result(60)]

    assert sorted((report.stored, report.unchanged) for report in reports) == [(0, ROWS), (ROWS, 0)]
    assert state(ask) == [("daily", 5, CONTRACTS), ("rows", 5, ROWS)]


def test_a_second_import_waits_only_for_its_own_day(warehouse: Warehouse, ask: Ask, held: psycopg.Connection) -> None:
    waiting = in_background(lambda: load(warehouse, chain(5)))
    wait_until(lambda: is_waiting(ask))

    (other,) = load(warehouse, chain(6, NEXT_DATE))

    assert other.stored == ROWS
    assert not waiting.done()
    held.rollback()
    assert waiting.result(60)[0].stored == ROWS


def test_a_reader_sees_the_old_day_or_the_new_one_never_a_mixture(warehouse: Warehouse, ask: Ask) -> None:
    load(warehouse, chain(5), chain(5, NEXT_DATE))
    seen: set[tuple[int, int, int]] = set()
    finished = threading.Event()

    def read() -> None:
        with warehouse.connect(autocommit=True) as connection:
            while not finished.is_set():
                seen.update(
                    connection.execute(
                        "SELECT min(close)::integer, max(close)::integer, count(*) FROM options_ticks"
                        " GROUP BY (\"timestamp\" AT TIME ZONE 'Asia/Kolkata')::date"
                    ).fetchall()
                )

    reader = threading.Thread(target=read)
    reader.start()
    writers = [in_background(lambda day=day: load(warehouse, chain(6, day))) for day in (TRADE_DATE, NEXT_DATE)]  # type: ignore[misc]
    for writer in writers:
        writer.result(60)
    time.sleep(0.1)
    finished.set()
    reader.join()

    assert seen == {(5, 5, ROWS), (6, 6, ROWS)}
    assert state(ask) == [("daily", 6, 2 * CONTRACTS), ("history", 5, 2 * ROWS), ("rows", 6, 2 * ROWS)]


# The server or the network goes away.


def test_a_connection_that_is_killed_in_the_middle_is_made_again(
    warehouse: Warehouse, ask: Ask, held: psycopg.Connection
) -> None:
    running = in_background(lambda: load(warehouse, chain(5)))
    wait_until(lambda: is_waiting(ask))

    ask(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event = 'advisory'"
    )
    held.rollback()

    assert running.result(60)[0].stored == ROWS
    assert state(ask) == [("daily", 5, CONTRACTS), ("rows", 5, ROWS)]
    assert ask("SELECT count(*) FROM loads") == [(1,)]


@pytest.mark.parametrize("sent_bytes", [0, 2_000, 20_000, 60_000, 150_000])
def test_a_cut_connection_is_made_again_wherever_it_was_cut(warehouse: Warehouse, ask: Ask, sent_bytes: int) -> None:
    with Proxy(warehouse.url) as proxy:
        proxy.cut_when = lambda sent, chunk: proxy.connections == 1 and sent + len(chunk) > sent_bytes

        (report,) = load(Warehouse(proxy.url), chain(5)) if sent_bytes else load_after_first_refusal(proxy)

        assert report.stored + report.unchanged == ROWS
        assert proxy.connections > 1
    assert state(ask) == [("daily", 5, CONTRACTS), ("rows", 5, ROWS)]


def load_after_first_refusal(proxy: Proxy) -> list[LoadReport]:
    """A server that is not there from the start is an error at once; the next try finds it."""
    with pytest.raises(WarehouseError, match="did not accept a connection"):
        load(Warehouse(proxy.url), chain(5))
    return load(Warehouse(proxy.url), chain(5))


def test_a_connection_cut_after_the_commit_was_sent_stores_nothing_twice(warehouse: Warehouse, ask: Ask) -> None:
    awaited = [b"COMMIT", b"UPDATE loads SET status"]

    def cut_when(_sent: int, chunk: bytes) -> bool:
        if awaited and awaited[-1] in chunk:
            awaited.pop()
            return not awaited
        return False

    with Proxy(warehouse.url) as proxy:
        proxy.cut_when = cut_when
        (report,) = load(Warehouse(proxy.url), chain(5))

    assert (report.stored, report.unchanged) == (0, ROWS), "the second attempt found what the first had committed"
    assert state(ask) == [("daily", 5, CONTRACTS), ("rows", 5, ROWS)]
    assert ask("SELECT rows_stored, rows_unchanged FROM loads ORDER BY load_id") == [(ROWS, 0), (0, ROWS)]


def test_a_restart_of_the_server_in_the_middle_of_a_load_is_survived(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    folder = tmp_path / "postgres"
    upgrade(Warehouse(embedded.ensure_running(folder)))
    try:
        with Proxy(embedded.ensure_running(folder)) as proxy, psycopg.connect(proxy.target) as holder:
            warehouse = Warehouse(proxy.url)

            def ask(query: str) -> list[tuple[Any, ...]]:
                with psycopg.connect(proxy.target) as connection:
                    return connection.execute(query.encode()).fetchall()

            lock = Partition("options_ticks", "nse_csv", 60, TRADE_DATE).lock_name
            holder.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [lock])
            running = in_background(lambda: load(warehouse, chain(5)))
            wait_until(lambda: is_waiting(ask))

            embedded.stop(folder)
            proxy.target = embedded.ensure_running(folder)

            assert running.result(60)[0].stored == ROWS
            assert state(ask) == [("daily", 5, CONTRACTS), ("rows", 5, ROWS)]
            holder.close()
    finally:
        embedded.stop(folder)


def test_a_server_that_does_not_come_back_is_an_error_that_says_so(warehouse: Warehouse, ask: Ask) -> None:
    with Proxy(warehouse.url) as proxy:
        # Every connection dies within its first query.
        proxy.cut_when = lambda _, chunk: b"pending_bars" in chunk

        with pytest.raises(WarehouseError, match=r"failed 7 times in a row \(the connection was lost\)") as caught:
            load(Warehouse(proxy.url), chain(5))

    assert "see that the server runs" in str(caught.value)
    assert state(ask) == []


# The server refuses.


def test_a_lock_conflict_is_tried_again(
    warehouse: Warehouse, held: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    set_for_database(warehouse, "lock_timeout = '50ms'")
    running = in_background(lambda: load(warehouse, chain(5)))
    wait_until(lambda: "trying again" in caplog.text)
    held.rollback()

    assert running.result(60)[0].stored == ROWS
    assert "options_ticks 2019-01-01, 60 s, source nse_csv" in caplog.text


def test_a_statement_timeout_is_an_error_and_leaves_the_old_day(warehouse: Warehouse, ask: Ask) -> None:
    load(warehouse, chain(5))
    before = state(ask)
    with warehouse.connect() as holder:
        lock = Partition("options_ticks", "nse_csv", 60, TRADE_DATE).lock_name
        holder.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [lock])
        set_for_database(warehouse, "statement_timeout = '1s'")

        with pytest.raises(WarehouseError, match="statement_timeout") as caught:
            load(warehouse, chain(6))

    assert "options_ticks 2019-01-01" in str(caught.value)
    assert "raise statement_timeout" in str(caught.value)
    assert state(ask) == before
    assert ask("SELECT count(*) FROM loads") == [(1,)]


def test_a_full_disk_is_an_error_leaves_the_old_days_and_heals(warehouse: Warehouse, ask: Ask, tmp_path: Path) -> None:
    with tiny_tablespace(ask, warehouse, tmp_path) as tablespace:
        with warehouse.connect(autocommit=True) as connection:
            connection.execute(f"ALTER TABLE options_ticks SET TABLESPACE {tablespace}".encode())
        load(warehouse, chain(5))
        before = state(ask)

        days = [chain(6, TRADE_DATE + dt.timedelta(days=day)) for day in range(1, 100)]
        with pytest.raises(WarehouseError, match="disk is full") as caught:
            load(warehouse, *days)

        whole = len(ask("SELECT DISTINCT trade_date FROM loads"))
        assert "make room" in str(caught.value)
        assert ask("SELECT close::integer, count(*) FROM options_ticks GROUP BY 1 ORDER BY 1") == [
            (5, ROWS),
            (6, (whole - 1) * ROWS),
        ], "whole days only"
        assert before[-1] == ("rows", 5, ROWS)
        with warehouse.connect(autocommit=True) as connection:
            connection.execute("ALTER TABLE options_ticks SET TABLESPACE pg_default")
        (report,) = load(warehouse, chain(7, TRADE_DATE + dt.timedelta(days=whole)))
        assert report.stored == ROWS


def set_for_database(warehouse: Warehouse, setting: str) -> None:
    name = urlsplit(warehouse.url).path.removeprefix("/")
    with warehouse.connect(autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET {setting}".encode())


class tiny_tablespace:  # noqa: N801 -- used as a context manager
    """A tablespace on a disk of its own of a few megabytes; skips the test where no disk can be mounted."""

    def __init__(self, ask: Ask, warehouse: Warehouse, folder: Path) -> None:
        ((data,),) = ask("SHOW data_directory")
        self.owner = Path(data).stat() if Path(data).exists() else None
        self.warehouse = warehouse
        self.mount = folder / "disk"
        self.name = f"tiny_{os.getpid()}_{time.monotonic_ns()}"

    def __enter__(self) -> str:
        self.mount.mkdir()
        for parent in self.mount.parents:
            if os.access(parent, os.W_OK) and str(parent).startswith("/tmp/"):  # noqa: S108 -- pytest's own folders
                parent.chmod(parent.stat().st_mode | 0o055)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(self.mount)],
            capture_output=True,
            text=True,
            check=False,
        )
        if mounted.returncode or self.owner is None:
            pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip() or 'the server is elsewhere'}")
        place = self.mount / "tablespace"
        place.mkdir()
        os.chown(place, self.owner.st_uid, self.owner.st_gid)
        with self.warehouse.connect(autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE {self.name} LOCATION '{place}'".encode())
            connection.execute(f"GRANT CREATE ON TABLESPACE {self.name} TO PUBLIC".encode())  # the tables' owner, too
        return self.name

    def __exit__(self, *_: object) -> None:
        with self.warehouse.connect(autocommit=True) as connection:
            connection.execute("TRUNCATE options_ticks")
            connection.execute("ALTER TABLE options_ticks SET TABLESPACE pg_default")
            connection.execute(f"DROP TABLESPACE {self.name}".encode())
        subprocess.run(["umount", str(self.mount)], check=True)
