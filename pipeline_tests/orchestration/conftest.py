"""A home with a migrated warehouse for each test, a landing folder to fill, and a Dagster instance in memory."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import dagster as dg
import psycopg
import pytest

from pipeline_defs.orchestration.runs import PartitionRun, materialize_partition
from pipeline_defs.samples.generate import DEMO, GeneratedSample, generate, tiny_day
from pipeline_defs.settings import Settings, load_settings
from pipeline_defs.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TINY_DATE = "2025-08-13"
DIRTY_DATE = "2025-08-12"

_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class CleanRun:
    """One run over the tiny session, made once: what it gave, what it told, and its warehouse, which stays as it is."""

    run: PartitionRun
    progress: list[str]
    warehouse: Warehouse
    landing: Path


@pytest.fixture(scope="session")
def template_url(migrated_url: str) -> str:
    """Every test works on a copy of a migrated database."""
    return migrated_url


@pytest.fixture(scope="session")
def tiny_sample(tmp_path_factory: pytest.TempPathFactory) -> GeneratedSample:
    """One clean session of a few hundred rows."""
    return tiny_day(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def dirty_sample(tmp_path_factory: pytest.TempPathFactory) -> GeneratedSample:
    """One session with every known defect planted."""
    day = dt.date.fromisoformat(DIRTY_DATE)
    return generate(dataclasses.replace(DEMO, start_date=day, end_date=day), tmp_path_factory.mktemp("dirty"))


@pytest.fixture
def settings(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home and a database of this test alone."""
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIPELINE_DATABASE_URL", database_url)
    return load_settings()


@pytest.fixture
def warehouse(settings: Settings) -> Warehouse:
    """The database of `settings`."""
    assert settings.database_url is not None
    return Warehouse(settings.database_url)


@pytest.fixture
def land(settings: Settings) -> Callable[[GeneratedSample], Path]:
    """Put a sample's files into the landing folder."""

    def copy(sample: GeneratedSample) -> Path:
        shutil.copytree(sample.landing, settings.landing_dir, dirs_exist_ok=True)
        return settings.landing_dir

    return copy


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """Runs and events in memory."""
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


@pytest.fixture
def materialize(settings: Settings, instance: dg.DagsterInstance) -> Callable[[str, str], PartitionRun]:
    """Materialise a selection for a partition of this test's home."""
    del settings

    def run(selection: str, partition: str) -> PartitionRun:
        return materialize_partition(selection, partition, instance)

    return run


@pytest.fixture(scope="session")
def clean(
    postgres_url: str, template_url: str, tiny_sample: GeneratedSample, tmp_path_factory: pytest.TempPathFactory
) -> CleanRun:
    """Import the tiny session and its bars once, for all tests that only look."""
    home = tmp_path_factory.mktemp("clean")
    shutil.copytree(tiny_sample.landing, home / "landing")
    url = _copy_database(postgres_url, template_url)
    progress: list[str] = []
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as ephemeral:
        patch.setenv("PIPELINE_HOME", str(home))
        patch.setenv("PIPELINE_DATABASE_URL", url)
        run = materialize_partition("group:ingestion or group:bars", TINY_DATE, ephemeral, on_progress=progress.append)
    return CleanRun(run, progress, Warehouse(url), home / "landing")


@pytest.fixture
def imported(
    clean: CleanRun, postgres_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Warehouse]:
    """A warehouse of this test alone that holds the tiny session already; its files are in the landing folder."""
    url = _copy_database(postgres_url, clean.warehouse.url)
    monkeypatch.setenv("PIPELINE_DATABASE_URL", url)
    shutil.copytree(clean.landing, settings.landing_dir)
    yield Warehouse(url)
    _execute(postgres_url, f"DROP DATABASE {_name(url)} WITH (FORCE)")


def _copy_database(postgres_url: str, url: str) -> str:
    name = f"orchestration_{next(_NUMBERS)}"
    _execute(postgres_url, f"CREATE DATABASE {name} TEMPLATE {_name(url)} STRATEGY file_copy")
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def _name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())
