"""The way back: highest number first, in whole or not at all, never below the baseline or over stored data unasked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import WarehouseError
from pipeline_defs.warehouse.migrations import State, downgrade, find_drift, migration_states, upgrade
from pipeline_defs.warehouse.migrations.files import BASELINE, FLOOR
from pipeline_defs.warehouse.migrations.snapshot import read_schema

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.migrations.snapshot import Schema
    from pipeline_tests.warehouse.migrations.conftest import WriteLayer


def schema(warehouse: Warehouse) -> Schema:
    with warehouse.connect() as connection:
        return read_schema(connection)


def without_column_order(warehouse: Warehouse) -> Schema:
    """A column that comes back stands last; the product names columns, it does not count them."""
    return {
        thing: ", ".join(sorted(definition.split(", "))) if thing.kind == "table" else definition
        for thing, definition in schema(warehouse).items()
    }


def applied(warehouse: Warehouse, directory: Path) -> list[int]:
    with warehouse.connect() as connection:
        entries = migration_states(connection, directory)
    return [entry.version for entry in entries if entry.state is State.APPLIED]


@pytest.fixture
def layers(empty_database: Warehouse, write_layer: WriteLayer) -> Path:
    """Three migrations above the floor, the last one on a higher layer, all applied."""
    del empty_database
    write_layer(
        m0006_floor="CREATE TABLE undone (number int GENERATED ALWAYS AS IDENTITY, what text)",
        m0007_a="CREATE TABLE a (a int)",
        m0007_a_back="DROP TABLE a; INSERT INTO undone (what) VALUES ('a')",
        m0008_b="CREATE TABLE b (a int)",
        m0008_b_back="DROP TABLE b; INSERT INTO undone (what) VALUES ('b')",
    )
    return write_layer(m0009_c="CREATE TABLE c (a int)", m0009_c_back="DROP TABLE c")


def test_back_to_the_baseline_and_up_again_gives_the_same_schema(own_database: Warehouse) -> None:
    fresh = schema(own_database)
    newest_first = [migration.version for migration in downgrade(own_database, FLOOR, accept_loss=True)]
    upgraded = [migration.version for migration in upgrade(own_database)]

    assert newest_first
    assert upgraded == newest_first[::-1] == sorted(upgraded)
    assert BASELINE.isdisjoint(upgraded)
    assert schema(own_database) == fresh
    with own_database.connect() as connection:
        assert find_drift(connection).differences == ()


def test_each_way_back_restores_the_schema_from_before_its_migration(empty_database: Warehouse) -> None:
    upgrade(empty_database, to=FLOOR)
    before = [without_column_order(empty_database)]
    with empty_database.connect() as connection:
        steps = [entry.version for entry in migration_states(connection) if entry.state is State.OUTSTANDING]
    for step in steps:
        upgrade(empty_database, to=step)
        before.append(without_column_order(empty_database))

    for step in [*steps[-2::-1], FLOOR]:
        before.pop()
        assert len(downgrade(empty_database, step, accept_loss=True)) == 1
        assert without_column_order(empty_database) == before[-1], f"back to {step}"


def test_migrations_are_undone_highest_number_first_with_their_lines_in_the_ledger(
    empty_database: Warehouse, layers: Path
) -> None:
    upgrade(empty_database, layers)

    assert [migration.version for migration in downgrade(empty_database, 6, layers)] == [9, 8, 7]
    with empty_database.connect() as connection:
        assert connection.execute("SELECT what FROM undone ORDER BY number").fetchall() == [("b",), ("a",)]
    assert applied(empty_database, layers) == [6]


def test_going_back_stops_at_the_number_to_keep(empty_database: Warehouse, layers: Path) -> None:
    upgrade(empty_database, layers)

    assert [migration.version for migration in downgrade(empty_database, 8, layers)] == [9]
    assert downgrade(empty_database, 8, layers) == []
    assert applied(empty_database, layers) == [6, 7, 8]


def test_a_number_below_the_baseline_is_refused(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError, match="ends at 6, the baseline of the first release; 3 lies below it"):
        downgrade(warehouse, 3, accept_loss=True)
    with pytest.raises(WarehouseError, match="there is no migration 500"):
        downgrade(warehouse, 500)


def test_a_missing_file_is_named_and_nothing_is_undone(empty_database: Warehouse, layers: Path) -> None:
    upgrade(empty_database, layers)
    (layers / "common" / "0008_b.back.sql").unlink()

    with pytest.raises(WarehouseError, match=r"no way back .* without its file: common/0008_b\.back\.sql"):
        downgrade(empty_database, 6, layers, accept_loss=True)
    assert applied(empty_database, layers) == [6, 7, 8, 9]


def test_what_would_be_lost_is_named_and_lost_only_when_accepted(
    empty_database: Warehouse, layers: Path, write_layer: WriteLayer
) -> None:
    upgrade(empty_database, layers)
    write_layer(m0008_b_back="-- loses: every b there is\nDROP TABLE b")

    with pytest.raises(WarehouseError, match=r"common/0008_b\.sql loses every b there is\nNext: .*--yes"):
        downgrade(empty_database, 6, layers)
    assert applied(empty_database, layers) == [6, 7, 8, 9]

    assert [migration.version for migration in downgrade(empty_database, 7, layers, accept_loss=True)] == [9, 8]


def test_a_way_back_that_fails_leaves_its_migration_applied(
    empty_database: Warehouse, layers: Path, write_layer: WriteLayer
) -> None:
    upgrade(empty_database, layers)
    write_layer(m0008_b_back="DROP TABLE b; SELECT 1/0")

    with pytest.raises(WarehouseError, match=r"common/0008_b\.back\.sql: .*division by zero"):
        downgrade(empty_database, 6, layers)

    assert applied(empty_database, layers) == [6, 7, 8]
    with empty_database.connect() as connection:
        assert connection.execute("SELECT to_regclass('b')::text, to_regclass('c')::text").fetchall() == [("b", None)]
        assert find_drift(connection).differences == ()
