"""A run that was killed is continued by the next, and ends where one that nobody disturbed ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest

from pipeline_defs.migration import ledger
from pipeline_defs.migration.applying import apply_plan
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_tests.migration.moving.killed import long_bundle
from pipeline_tests.migration.moving.made import Made, readers_of, store_of
from pipeline_tests.migration.moving.tables import table_checksums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline_defs.migration.moving import Outcome

TIMES: Final = (
    *("committed_at", "fetched_at", "known_from", "known_at", "instant", "planned_at", "started_at", "finished_at"),
    *("created_at",),
)
"""When something happened differs between two runs; so do the numbers of loads after a transaction that was lost."""


@pytest.fixture
def undisturbed(postgres_url: str, template_url: str) -> Iterator[Warehouse]:
    """Another database, in which nothing is killed."""
    name, template = f"undisturbed_{os.getpid()}", template_url.rsplit("/", 1)[1]
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy".encode())
        yield Warehouse(f"{template_url.rsplit('/', 1)[0]}/{name}")
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def run_until_killed(url: str, point: str) -> int:
    completed = subprocess.run(
        [sys.executable, "-m", "pipeline_tests.migration.moving.killed", url, point],
        cwd=PROJECT_ROOT,
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
        check=False,
    )
    return completed.returncode


def test_killed_at_any_point_and_run_again_the_end_is_that_of_an_undisturbed_run(
    database_url: str, warehouse: Warehouse, undisturbed: Warehouse, ask: Callable[..., list[tuple[Any, ...]]]
) -> None:
    made = long_bundle()
    apply_plan(undisturbed, store_of(made), readers_of(made))

    # Each run begins where the one before was killed: before the second year, with the second year sent and not
    # committed, and with everything stored and the bundle's end not committed.
    stored = []
    for point in ("step:3", "copy:1", "finish"):
        assert run_until_killed(database_url, point) == -signal.SIGKILL
        ((rows, state),) = ask("SELECT (SELECT count(*) FROM equity_daily), state FROM migrated_bundles")
        stored.append(rows)
        assert state == "running"
        assert ask("SELECT count(*) FROM named_bundles") == [(0,)]
    assert 0 < stored[0] == stored[1] < stored[2]

    (outcome,) = apply_plan(warehouse, store_of(made), readers_of(made))

    assert (outcome.entry.state, outcome.stored_now) == ("done", 0)
    assert table_checksums(warehouse, (*TIMES, "load_id")) == table_checksums(undisturbed, (*TIMES, "load_id"))
    assert ask("SELECT count(*), count(DISTINCT trade_date) FROM loads") == [(530, 530)]


def test_two_runs_at_once_queue_and_the_second_finds_everything_done(warehouse: Warehouse) -> None:
    made = Made("nse50", long_bundle().rows[:30])
    outcomes: list[Outcome] = []

    def second() -> None:
        outcomes.extend(apply_plan(warehouse, store_of(made), readers_of(made)))

    thread = threading.Thread(target=second)
    with ledger.one_at_a_time(warehouse), warehouse.connect(autocommit=True) as connection:
        thread.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while connection.execute(waiting).fetchone() == (0,):
            assert thread.is_alive()
        assert connection.execute("SELECT count(*) FROM migrated_bundles").fetchone() == (0,)
    (first,) = apply_plan(warehouse, store_of(made), readers_of(made))
    thread.join()

    assert sorted(one.was_done for one in (first, *outcomes)) == [False, True]
