"""A migrated warehouse, short ways to move bundles in and to ask, and checksums of every table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.migration.applying import apply_plan
from pipeline_tests.migration.moving.made import readers_of, store_of
from pipeline_tests.migration.moving.tables import table_checksums

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.migration.moving import Outcome
    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_tests.migration.moving.made import Made


@pytest.fixture(scope="session")
def template_url(migrated_url: str) -> str:
    """Every test works on a copy of a migrated database."""
    return migrated_url


@pytest.fixture
def ask(warehouse: Warehouse) -> Callable[..., list[tuple[Any, ...]]]:
    """Run a query and give its rows."""

    def run(query: str, *values: object) -> list[tuple[Any, ...]]:
        with warehouse.connect() as connection:
            return connection.execute(query, values or None).fetchall()

    return run


@pytest.fixture
def move(warehouse: Warehouse) -> Callable[..., list[Outcome]]:
    """Move bundles in."""

    def run(*bundles: Made, **more: Any) -> list[Outcome]:
        return apply_plan(warehouse, store_of(*bundles), readers_of(*bundles), **more)

    return run


@pytest.fixture
def checksums(warehouse: Warehouse) -> Callable[..., dict[str, str]]:
    """Give a checksum of the contents of every table, but for what the test leaves out."""
    return lambda *without: table_checksums(warehouse, without)
