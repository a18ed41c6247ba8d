"""Databases that a test may spoil, and folders of made-up migrations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from pipeline_defs.warehouse.migrations import upgrade

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline_defs.warehouse.connection import Warehouse

# Not the schema with all that is in it: the extension may live there, and a session cannot load it twice.
_EMPTY = r"""
DO $body$
DECLARE
    doomed text;
BEGIN
    IF to_regclass('timescaledb_information.continuous_aggregates') IS NOT NULL THEN
        FOR doomed IN SELECT format('%I', view_name) FROM timescaledb_information.continuous_aggregates
                      WHERE view_schema = 'public' LOOP
            EXECUTE 'DROP MATERIALIZED VIEW IF EXISTS ' || doomed || ' CASCADE';
        END LOOP;
    END IF;
    FOR doomed IN
        SELECT format('%s IF EXISTS %I', CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, relname)
        FROM pg_class AS c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('v', 'r')
          AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e') LOOP
        EXECUTE 'DROP ' || doomed || ' CASCADE';
    END LOOP;
    FOR doomed IN
        SELECT format('%I(%s)', proname, pg_get_function_identity_arguments(oid)) FROM pg_proc AS p
        WHERE pronamespace = 'public'::regnamespace
          AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e') LOOP
        EXECUTE 'DROP ROUTINE IF EXISTS ' || doomed || ' CASCADE';
    END LOOP;
END
$body$
"""


class WriteLayer(Protocol):
    def __call__(self, layer: str = "common", **files: str) -> Path: ...


@pytest.fixture
def own_database(warehouse: Warehouse) -> Iterator[Warehouse]:
    """A migrated database whose schema the test may change: put right again where all tests share one."""
    yield warehouse
    if _has_one_backend(warehouse):
        _make_empty(warehouse)
        upgrade(warehouse)


@pytest.fixture
def empty_database(own_database: Warehouse) -> Warehouse:
    """A database without a single migration."""
    _make_empty(own_database)
    return own_database


@pytest.fixture
def write_layer(tmp_path: Path) -> WriteLayer:
    """Write migration files, by name without the ending; ``_back`` at the end of a name is the way back."""

    def write(layer: str = "common", **files: str) -> Path:
        folder = tmp_path / layer
        folder.mkdir(exist_ok=True)
        for name, sql in files.items():
            stem = name.removeprefix("m").removesuffix("_back")
            (folder / (stem + (".back.sql" if name.endswith("_back") else ".sql"))).write_text(sql, encoding="utf-8")
        return tmp_path

    return write


def _make_empty(warehouse: Warehouse) -> None:
    with warehouse.connect(autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute(_EMPTY)


def _has_one_backend(warehouse: Warehouse) -> bool:
    with warehouse.connect() as one, warehouse.connect() as other:
        pids = []
        for connection in (one, other):
            pids.append(connection.execute("SELECT pg_backend_pid()").fetchone())
            connection.rollback()
    return pids[0] == pids[1]
