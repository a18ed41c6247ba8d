"""Changes by hand are told apart from what migrations did, and stay told after the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline_defs.warehouse.migrations import find_drift, upgrade
from pipeline_defs.warehouse.migrations.snapshot import SchemaObject, compare

if TYPE_CHECKING:
    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.migrations import Drift
    from pipeline_tests.warehouse.migrations.conftest import WriteLayer


def drift_after(warehouse: Warehouse, *statements: str) -> Drift:
    with warehouse.connect() as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        return find_drift(connection)


def test_a_migrated_database_has_no_drift(warehouse: Warehouse) -> None:
    drift = drift_after(warehouse)

    assert (drift.recorded, drift.differences, drift.foreign) == (True, (), ())


@pytest.mark.needs_real_backend("with one database for all tests, each kind of change costs all migrations anew")
@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("ALTER TABLE loads ADD COLUMN foo integer", "column loads.foo was added"),
        ("ALTER TABLE load_files DROP COLUMN layout", "column load_files.layout is missing"),
        (
            "ALTER TABLE load_files ALTER COLUMN layout DROP NOT NULL",
            "column load_files.layout was changed: expected 'text NOT NULL', found 'text'",
        ),
        (
            "ALTER TABLE catalogs ALTER COLUMN published_at SET DEFAULT '2020-01-01'",
            "column catalogs.published_at was changed: expected 'timestamp with time zone NOT NULL DEFAULT now()',",
        ),
        ("DROP INDEX loads_partition", "index loads_partition of loads is missing"),
        ("CREATE INDEX mine ON loads (source)", "index mine of loads was added"),
        (
            "ALTER TABLE pending_bars DROP CONSTRAINT pending_bars_check",
            "constraint pending_bars_check of pending_bars is",
        ),
        ("DROP PROCEDURE prepare_storage", "procedure prepare_storage(text, timestamp with time zone) is missing"),
        ("DROP VIEW v_equity_daily CASCADE", "view v_equity_daily is missing"),
        ("DROP TABLE quality_results CASCADE", "table quality_results is missing"),
        (
            "CREATE OR REPLACE PROCEDURE prepare_storage(table_name text, instant timestamptz) LANGUAGE sql AS ''",
            "procedure prepare_storage(text, timestamp with time zone) was changed: expected",
        ),
        (
            "CREATE TRIGGER a AFTER UPDATE ON loads FOR EACH ROW EXECUTE FUNCTION stamp_version()",
            "trigger a of loads was added",
        ),
        ("CREATE RULE mine AS ON DELETE TO load_files DO INSTEAD NOTHING", "rule mine of load_files was added"),
    ],
)
def test_each_kind_of_change_is_named(own_database: Warehouse, statement: str, expected: str) -> None:
    (difference, *others) = drift_after(own_database, statement).differences

    assert difference.startswith(expected)
    assert [other for other in others if not other.startswith("view ")] == []


def test_objects_beside_the_product_s_own_are_no_drift(own_database: Warehouse) -> None:
    drift = drift_after(
        own_database,
        "CREATE TABLE notebook (id integer PRIMARY KEY)",
        "CREATE VIEW mine AS SELECT source FROM loads",
        "CREATE TYPE mood AS ENUM ('calm')",
    )

    assert drift.differences == ()
    assert drift.foreign == ("table notebook", "type mood", "view mine")


def test_a_change_by_hand_is_still_named_after_the_next_migration(
    empty_database: Warehouse, write_layer: WriteLayer
) -> None:
    upgrade(empty_database, write_layer(m0001_a="CREATE TABLE a (a int, b int)"))
    drift_after(empty_database, "ALTER TABLE a DROP COLUMN b", "CREATE TABLE notebook (id integer)")

    upgrade(empty_database, write_layer(m0002_b="CREATE TABLE b (a int); ALTER TABLE a ADD COLUMN c int"))

    drift = drift_after(empty_database)
    assert drift.differences == ("column a.b is missing",)
    assert drift.foreign == ("table notebook",)


def test_a_table_that_was_there_before_the_first_migration_is_not_the_product_s(
    empty_database: Warehouse, write_layer: WriteLayer
) -> None:
    drift_after(empty_database, "CREATE TABLE notebook (id integer)")
    upgrade(empty_database, write_layer(m0001_a="CREATE TABLE a (a int)"))

    drift = drift_after(empty_database, "DROP TABLE notebook")
    assert (drift.recorded, drift.differences, drift.foreign) == (True, (), ())


def test_a_database_from_before_there_were_snapshots_gets_one(own_database: Warehouse) -> None:
    assert not drift_after(own_database, "DROP TABLE schema_snapshot").recorded

    assert upgrade(own_database) == []
    assert drift_after(own_database).recorded
    assert drift_after(own_database, "DROP INDEX loads_partition").differences == (
        "index loads_partition of loads is missing",
    )


def test_the_words_of_another_server_version_are_no_drift_but_what_is_missing_is(own_database: Warehouse) -> None:
    drift = drift_after(
        own_database,
        "UPDATE schema_snapshot SET server = 'PostgreSQL 12', objects = (SELECT jsonb_agg(CASE WHEN o ->> 0 = 'view'"
        " THEN jsonb_set(o, '{3}', '\"in other words\"') ELSE o END) FROM jsonb_array_elements(objects) AS o)",
        "DROP INDEX loads_partition",
    )
    assert drift.differences == ("index loads_partition of loads is missing",)

    upgrade(own_database)

    assert drift_after(own_database).differences == ("index loads_partition of loads is missing",)
    with own_database.connect() as connection:
        row = connection.execute("SELECT server, objects::text LIKE '%in other words%' FROM schema_snapshot").fetchone()
    assert row is not None
    assert row[0] != "PostgreSQL 12"
    assert row[1] is False


def test_the_order_of_columns_counts_only_if_none_came_or_went() -> None:
    table, a, b = SchemaObject("table", "", "t"), SchemaObject("column", "t", "a"), SchemaObject("column", "t", "b")

    assert compare({table: "a, b", a: "", b: ""}, {table: "b, a", a: "", b: ""})[0] == [
        "table t was changed: expected 'a, b', found 'b, a'"
    ]
    assert compare({table: "a, b", a: "", b: ""}, {table: "a", a: ""})[0] == ["column t.b is missing"]
