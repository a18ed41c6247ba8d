"""Upgrades: once each, in order, from many processes, in whole or not at all, and never silently changed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.errors import WarehouseError
from pipeline_defs.schema.tables import OBSERVATION_TABLES
from pipeline_defs.warehouse.doctor import describe
from pipeline_defs.warehouse.migrations import (
    SQL_DIR,
    State,
    find_drift,
    ledger,
    migration_states,
    read_migrations,
    running,
    upgrade,
)
from pipeline_defs.warehouse.migrations.files import BASELINE

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_tests.warehouse.migrations.conftest import WriteLayer

_PROGRAM = """
import json, sys
from pathlib import Path
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.migrations import upgrade
print(json.dumps([migration.version for migration in upgrade(Warehouse(sys.argv[1]), Path(sys.argv[2]))]))
"""


def start_upgrade(warehouse: Warehouse, directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, warehouse.url, str(directory)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> list[int]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    applied: list[int] = json.loads(out)
    return applied


def ask(warehouse: Warehouse, query: str) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(query).fetchall()


def states(warehouse: Warehouse, directory: Path = SQL_DIR) -> dict[int, State]:
    with warehouse.connect() as connection:
        return {entry.version: entry.state for entry in migration_states(connection, directory)}


def test_a_second_upgrade_applies_nothing(warehouse: Warehouse) -> None:
    assert upgrade(warehouse) == []
    assert set(states(warehouse).values()) == {State.APPLIED}


def test_every_described_column_is_in_the_database_as_described(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        for table in OBSERVATION_TABLES.values():
            found = connection.execute(
                "SELECT attname, format_type(atttypid, atttypmod), NOT attnotnull FROM pg_attribute"
                " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
                [table.name],
            ).fetchall()
            assert found == [(column.name, column.sql, column.nullable) for column in table.columns]
            key = connection.execute(
                "SELECT array_agg(attname::text ORDER BY k.position) FROM pg_index, unnest(indkey) WITH ORDINALITY"
                " AS k (attnum, position) JOIN pg_attribute AS a USING (attnum)"
                " WHERE indrelid = %s::regclass AND indisprimary AND a.attrelid = indrelid",
                [table.name],
            ).fetchone()
            assert key == (list(table.key),)


def test_a_changed_file_is_refused_and_named(warehouse: Warehouse, tmp_path: Path) -> None:
    for layer in ("common", "timescaledb", "timescaledb_full"):
        for migration in read_migrations(layer):
            path = tmp_path / migration.name
            path.parent.mkdir(exist_ok=True)
            path.write_text(migration.sql + ("-- edited" if migration.version == 2 else ""), encoding="utf-8")

    assert states(warehouse, tmp_path)[2] is State.CHANGED
    with pytest.raises(WarehouseError, match=r"common/0002_loads\.sql was changed"):
        upgrade(warehouse, tmp_path)


def test_a_database_from_a_newer_version_is_refused(warehouse: Warehouse, write_layer: WriteLayer) -> None:
    directory = write_layer(m9000_later="SELECT 1")

    assert {version: states(warehouse, directory)[version] for version in (1, 9000)} == {
        1: State.UNKNOWN,
        9000: State.OUTSTANDING,
    }
    with pytest.raises(WarehouseError, match="this version of the pipeline does not"):
        upgrade(warehouse, directory)


def test_a_failing_migration_leaves_no_trace_and_the_one_before_it_stays(
    empty_database: Warehouse, write_layer: WriteLayer
) -> None:
    directory = write_layer(
        m0001_good="CREATE TABLE good (a int)", m0002_bad="CREATE TABLE half (a int); SELECT 1/0", m0003_next="SELECT 1"
    )

    with pytest.raises(WarehouseError, match=r"common/0002_bad\.sql: .*division by zero[^$]*nothing of it was kept"):
        upgrade(empty_database, directory)

    assert ask(empty_database, "SELECT to_regclass('good')::text, to_regclass('half')::text") == [("good", None)]
    assert states(empty_database, directory) == {1: State.APPLIED, 2: State.OUTSTANDING, 3: State.OUTSTANDING}
    with empty_database.connect() as connection:
        assert find_drift(connection).differences == ()


@pytest.mark.needs_real_backend("several processes migrate at once")
def test_processes_that_upgrade_at_once_apply_each_migration_once(empty_database: Warehouse) -> None:
    processes = [start_upgrade(empty_database, SQL_DIR) for _ in range(3)]

    applied = sorted(version for process in processes for version in finish(process))

    assert applied == [
        version for (version,) in ask(empty_database, "SELECT version FROM schema_migrations ORDER BY 1")
    ]
    assert set(states(empty_database).values()) == {State.APPLIED}


@pytest.mark.needs_real_backend("several processes migrate at once")
def test_a_process_killed_between_two_migrations_keeps_the_first_and_the_next_one_goes_on(
    empty_database: Warehouse, write_layer: WriteLayer
) -> None:
    directory = write_layer(
        m0001_first="CREATE TABLE first (a int)",
        m0002_second="CREATE TABLE second (a int); SELECT pg_advisory_xact_lock(4711); CREATE TABLE third (a int)",
    )
    with empty_database.connect(autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(4711)")
        process = start_upgrade(empty_database, directory)
        deadline = time.monotonic() + 60
        # Both migrations take locks: the second is under way when somebody waits for the one held here.
        while not holder.execute(
            "SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted"
        ).fetchall():
            assert time.monotonic() < deadline, "the second migration never started"
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
        process.communicate()
        assert states(empty_database, directory) == {1: State.APPLIED, 2: State.OUTSTANDING}
        assert ask(empty_database, "SELECT to_regclass('first')::text, to_regclass('second')::text") == [
            ("first", None)
        ]

    assert [migration.version for migration in upgrade(empty_database, directory)] == [2]
    assert ask(empty_database, "SELECT to_regclass('second')::text, to_regclass('third')::text") == [
        ("second", "third")
    ]


@pytest.mark.needs_real_backend("several processes migrate at once")
def test_an_index_that_is_built_concurrently_does_not_wait_for_a_process_that_waits_for_it(
    empty_database: Warehouse, write_layer: WriteLayer
) -> None:
    directory = write_layer(
        m0001_table="CREATE TABLE big AS SELECT n FROM generate_series(1, 300000) AS n",
        m0002_index="-- no transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS big_n ON big (n)",
    )
    processes = [start_upgrade(empty_database, directory) for _ in range(3)]

    assert sorted(version for process in processes for version in finish(process)) == [1, 2]
    assert ask(empty_database, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'big_n'::regclass") == [(True,)]


def test_what_no_transaction_holds_is_run_again_after_it_failed_halfway(
    empty_database: Warehouse, write_layer: WriteLayer
) -> None:
    directory = write_layer(
        m0001_switch="CREATE TABLE switch (a int)",
        m0002_two_steps="-- no transaction\nCREATE TABLE IF NOT EXISTS step (a int);\n"
        "SELECT 1 / (SELECT count(*) FROM switch); CREATE TABLE IF NOT EXISTS last (a int)",
    )
    with pytest.raises(WarehouseError, match=r"0002_two_steps\.sql: .*zero[^$]*can be run again"):
        upgrade(empty_database, directory)
    assert ask(empty_database, "SELECT to_regclass('step')::text, to_regclass('last')::text") == [("step", None)]
    assert states(empty_database, directory)[2] is State.OUTSTANDING
    with empty_database.connect() as connection:
        connection.execute("INSERT INTO switch VALUES (1)")

    assert [migration.version for migration in upgrade(empty_database, directory)] == [2]

    with empty_database.connect() as connection:
        drift = find_drift(connection)
    assert (drift.recorded, drift.differences, drift.foreign) == (True, (), ())


def test_an_upgrade_to_a_number_leaves_out_what_lies_above_it_but_nothing_of_the_baseline(
    empty_database: Warehouse,
) -> None:
    first = [migration.version for migration in upgrade(empty_database, to=7)]

    assert first == sorted({7, *(version for version in states(empty_database) if version in BASELINE)})
    # Rules are written by code that knows the newest schema, so not before it is there.
    assert ask(empty_database, "SELECT count(*) FROM sessions") == [(0,)]

    rest = [migration.version for migration in upgrade(empty_database)]

    assert sorted(first + rest) == sorted(states(empty_database))
    assert ask(empty_database, "SELECT count(*) > 1000 FROM sessions") == [(True,)]


def test_an_upgrade_to_a_number_that_does_not_exist_is_refused(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError, match="there is no migration 500 for this server, expected one of 1, 2"):
        upgrade(warehouse, to=500)


def test_a_database_gets_the_further_layer_once_its_server_can_carry_it(
    empty_database: Warehouse, write_layer: WriteLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_layer(m0001_a="CREATE TABLE a (a int)")
    directory = write_layer("timescaledb_full", m2001_b="CREATE TABLE b (a int)")
    monkeypatch.setattr(ledger, "server_layers", lambda _: ["common"])
    assert [migration.version for migration in upgrade(empty_database, directory)] == [1]

    monkeypatch.setattr(ledger, "server_layers", lambda _: ["common", "timescaledb", "timescaledb_full"])

    assert states(empty_database, directory) == {1: State.APPLIED, 2001: State.OUTSTANDING}
    assert [migration.version for migration in upgrade(empty_database, directory)] == [2001]


def test_a_server_that_lost_a_layer_is_told_so(
    empty_database: Warehouse, write_layer: WriteLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_layer(m0001_a="CREATE TABLE a (a int)")
    directory = write_layer("timescaledb_full", m2001_b="CREATE TABLE b (a int)")
    monkeypatch.setattr(ledger, "server_layers", lambda _: ["common", "timescaledb", "timescaledb_full"])
    upgrade(empty_database, directory)
    monkeypatch.setattr(ledger, "server_layers", lambda _: ["common", "timescaledb"])

    assert states(empty_database, directory)[2001] is State.STRANDED
    with pytest.raises(
        WarehouseError,
        match=r"no longer carry the layer 'timescaledb_full': it carries common, timescaledb\nNext: give",
    ):
        upgrade(empty_database, directory)


def test_the_doctor_describes_a_database_without_migrations(empty_database: Warehouse) -> None:
    state = describe(empty_database)

    assert (state["datasets"], state["tables"], state["pending_bar_windows"]) == ([], [], 0)
    assert state["migrations"]["applied"] == {}
    (problem,) = state["problems"]
    assert problem["what"].startswith("migrations outstanding: common/0001_")


def test_sessions_and_expiry_rules_are_seeded(warehouse: Warehouse) -> None:
    special = ask(
        warehouse,
        "SELECT session_date::text FROM sessions WHERE segment = 'FO'"
        " AND session_date IN ('2025-02-01', '2024-11-01', '2025-08-15') ORDER BY 1",
    )

    assert special == [("2024-11-01",), ("2025-02-01",)]
    assert ask(warehouse, "SELECT count(*) > 0 FROM expiry_rules WHERE underlying = 'NIFTY'") == [(True,)]


def test_a_server_that_is_too_old_is_refused_with_its_version() -> None:
    with pytest.raises(WarehouseError, match="PostgreSQL 14, expected 15 or newer"):
        running._refuse_old_server(140_012)


def test_a_session_that_was_added_to_the_files_reaches_a_database_in_use(warehouse: Warehouse) -> None:
    trade_date = "2019-01-01"
    with warehouse.connect() as connection:
        connection.execute("DELETE FROM sessions WHERE session_date = %s", [trade_date])
        connection.execute(
            "INSERT INTO options_ticks (timestamp, instrument_id, bar_seconds, sequence, source, open, high, low,"
            " close, load_id) VALUES ('2019-01-01 03:46+00', 1, 60, 0, 'nse_csv', 5, 5, 5, 5, 1)"
        )
        connection.execute("UPDATE market_rules_ledger SET checksum = 'of earlier files'")

    assert upgrade(warehouse) == []

    segments = ask(warehouse, f"SELECT segment FROM sessions WHERE session_date = '{trade_date}' ORDER BY 1")
    assert segments == [("CM",), ("FO",)]
    assert ask(warehouse, "SELECT close FROM options_hourly") == [(5,)]
