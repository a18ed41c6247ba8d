"""Migrations: once each, in order, from many processes, and never silently changed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import WarehouseError
from pipeline_defs.schema.tables import OBSERVATION_TABLES
from pipeline_defs.warehouse.migrations import _refuse_old_server, read_migrations, upgrade

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.warehouse.connection import Warehouse


@pytest.fixture
def empty_database(warehouse: Warehouse) -> Warehouse:
    with warehouse.connect(autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return warehouse


def layer(root: Path, **files: str) -> Path:
    for name, sql in files.items():
        (root / "common").mkdir(exist_ok=True)
        (root / "common" / f"{name}.sql").write_text(sql, encoding="utf-8")
    return root


def test_a_second_upgrade_applies_nothing(warehouse: Warehouse) -> None:
    assert upgrade(warehouse) == []


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
    for migration in read_migrations("common"):
        path = tmp_path / migration.name
        path.parent.mkdir(exist_ok=True)
        path.write_text(migration.sql + ("-- edited" if migration.version == 2 else ""), encoding="utf-8")

    with pytest.raises(WarehouseError, match=r"common/0002_loads\.sql was changed"):
        upgrade(warehouse, tmp_path)


def test_a_database_from_a_newer_version_is_refused(warehouse: Warehouse, tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="this version of the pipeline does not"):
        upgrade(warehouse, layer(tmp_path, **{"9000_later": "SELECT 1"}))


@pytest.mark.parametrize("files", [{"first": "SELECT 1"}, {"0001_a": "SELECT 1", "01_b": "SELECT 1"}])
def test_file_names_must_start_with_a_number_of_their_own(tmp_path: Path, files: dict[str, str]) -> None:
    with pytest.raises(WarehouseError, match="number of their own"):
        read_migrations("common", layer(tmp_path, **files))


def test_a_failing_migration_leaves_no_trace(empty_database: Warehouse, tmp_path: Path) -> None:
    directory = layer(
        tmp_path, **{"0001_good": "CREATE TABLE good (a int)", "0002_bad": "CREATE TABLE half (a int); SELECT 1/0"}
    )

    with pytest.raises(Exception, match="division by zero"):
        upgrade(empty_database, directory)
    with empty_database.connect() as connection:
        row = connection.execute("SELECT to_regclass('good')::text, to_regclass('half')::text").fetchone()
    assert row == ("good", None)


def test_many_upgrades_at_once_apply_each_migration_once(empty_database: Warehouse) -> None:
    applied: list[int] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            applied.extend(migration.version for migration in upgrade(empty_database))
        except BaseException as error:  # noqa: BLE001 -- handed to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    with empty_database.connect() as connection:
        ledger = connection.execute("SELECT version FROM schema_migrations ORDER BY version").fetchall()
    assert sorted(applied) == [version for (version,) in ledger]
    assert set(applied) >= {migration.version for migration in read_migrations("common")}


def test_sessions_and_expiry_rules_are_seeded(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        special = connection.execute(
            "SELECT session_date::text, kind FROM sessions WHERE segment = 'FO'"
            " AND session_date IN ('2025-02-01', '2024-11-01', '2025-08-15') ORDER BY 1"
        ).fetchall()
        rules = connection.execute("SELECT count(*) FROM expiry_rules WHERE underlying = 'NIFTY'").fetchone()

    assert [day for day, _ in special] == ["2024-11-01", "2025-02-01"]
    assert rules is not None
    assert rules[0] > 0


def test_a_server_that_is_too_old_is_refused_with_its_version() -> None:
    with pytest.raises(WarehouseError, match="PostgreSQL 14, expected 15 or newer"):
        _refuse_old_server(140_012)


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

    with warehouse.connect() as connection:
        segments = connection.execute(
            "SELECT segment FROM sessions WHERE session_date = %s ORDER BY 1", [trade_date]
        ).fetchall()
        bars = connection.execute("SELECT close FROM options_hourly").fetchall()
    assert segments == [("CM",), ("FO",)]
    assert bars == [(5,)]
