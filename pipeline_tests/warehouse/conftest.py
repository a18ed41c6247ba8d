"""A migrated warehouse for each test, and short ways to load a batch and to ask a question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.schema.batches import ImportBatch, ImportRequest
from pipeline_defs.warehouse.loading import import_source
from pipeline_tests.warehouse.deliveries import StubSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.reports import LoadReport


@pytest.fixture(scope="session")
def template_url(migrated_url: str) -> str:
    """Every test works on a copy of a migrated database."""
    return migrated_url


@pytest.fixture
def load(warehouse: Warehouse) -> Callable[..., LoadReport]:
    """Import one batch and give its report."""

    def run(batch: ImportBatch, source: str = "nse_csv") -> LoadReport:
        (report,) = import_source(warehouse, StubSource(batch, name=source), ImportRequest())
        return report

    return run


@pytest.fixture
def ask(warehouse: Warehouse) -> Callable[..., list[tuple[Any, ...]]]:
    """Run a query and give its rows."""

    def run(query: str, *values: object) -> list[tuple[Any, ...]]:
        with warehouse.connect() as connection:
            return connection.execute(query, values or None).fetchall()

    return run
