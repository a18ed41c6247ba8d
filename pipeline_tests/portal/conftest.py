"""A migrated warehouse for each test, and a portal on a clock that stands where a test puts it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest

from pipeline_defs.portal import DataPortal, SimulationClock
from pipeline_defs.warehouse.connection import Warehouse

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def template_url(migrated_url: str) -> str:
    """Every test works on a copy of a migrated database."""
    return migrated_url


@pytest.fixture(scope="module")
def shared_warehouse(postgres_url: str, template_url: str) -> Iterator[Warehouse]:
    """A migrated warehouse for all tests of a module, which fill it once and then only read."""
    name, template = f"portal_{os.getpid()}", urlsplit(template_url).path.removeprefix("/")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        yield Warehouse(urlsplit(postgres_url)._replace(path=f"/{name}").geturl())
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def warehouse(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """A warehouse with all migrations and nothing in it."""
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    return Warehouse(database_url)


@pytest.fixture
def portal_at(warehouse: Warehouse) -> Iterator[Callable[..., DataPortal]]:
    """Make a portal of a backtest whose clock stands at an instant."""
    made: list[DataPortal] = []

    def make(now: dt.datetime, **arguments: Any) -> DataPortal:
        made.append(DataPortal(**{"warehouse": warehouse, "clock": SimulationClock(now), **arguments}))
        return made[-1]

    yield make
    for one in made:
        one.close()
