"""A migrated warehouse for each test, and whole months of batches that are loaded and checked."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.markets.market import market
from pipeline_defs.quality.running import check_partition
from pipeline_defs.schema.batches import ImportBatch, ImportRequest
from pipeline_defs.warehouse.loading import import_source
from pipeline_tests.warehouse.deliveries import StubSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pipeline_defs.quality.specs import Outcome
    from pipeline_defs.warehouse.connection import Warehouse

AFTERWARDS = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
"""A time at which every session of the tests is over."""


@pytest.fixture(scope="session")
def template_url(migrated_url: str) -> str:
    """Every test works on a copy of a migrated database."""
    return migrated_url


@pytest.fixture
def load(warehouse: Warehouse) -> Callable[..., None]:
    """Import batches as a source gives them."""

    def run(*batches: ImportBatch, source: str = "nse_csv") -> None:
        for report in import_source(warehouse, StubSource(*batches, name=source), ImportRequest()):
            assert report.status != "rejected", report

    return run


@pytest.fixture
def check(warehouse: Warehouse) -> Callable[..., dict[str, Outcome]]:
    """Check a partition."""

    def run(
        dataset: str,
        trade_date: dt.date,
        *,
        source: str = "nse_csv",
        market_name: str = "NSE",
        now: dt.datetime = AFTERWARDS,
    ) -> dict[str, Outcome]:
        return check_partition(warehouse, dataset, source, trade_date, market(market_name), now=now)

    return run


def failing(outcomes: dict[str, Outcome]) -> set[str]:
    """Name the checks that fail."""
    return {name for name, outcome in outcomes.items() if not outcome.passed}


def dates_of(batches: Iterable[ImportBatch]) -> list[dt.date]:
    """List the trade dates of batches."""
    return sorted({batch.trade_date for batch in batches})
