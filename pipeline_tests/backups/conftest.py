"""A warehouse with data of every kind and published catalogs, and empty places to restore to."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest

from pipeline_defs.backups.places import trees
from pipeline_defs.backups.repository import Repository
from pipeline_defs.backups.restoring import Restored, restore
from pipeline_defs.publishing import certify_partition, export_underlying
from pipeline_defs.samples.generate import tiny_day
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.settings import Settings
from pipeline_defs.sources.registry import get_source
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.loading import import_source
from pipeline_tests.storage.conftest import (  # noqa: F401 -- fixtures
    base,
    s3,
    s3_address,
    s3_door,
    s3_variables,
    shared_store,
    store,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DAY = dt.date(2025, 8, 13)


@dataclass(frozen=True)
class Installation:
    """A database and a home.

    Parameters
    ----------
    warehouse : Warehouse
        Its database.
    settings : Settings
        Its places.

    """

    warehouse: Warehouse
    settings: Settings

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.warehouse.url) as connection:
            cursor = connection.execute(query.encode())
            while cursor.nextset():  # of several statements, the last one's rows
                pass
            return cursor.fetchall()

    def restore(self, repository: Repository, *, replace: bool = False) -> Restored:
        databases = {"warehouse": self.warehouse}
        return restore(repository, repository.manifest(), databases, trees(self.settings), replace=replace)


def settings_of(home: Path, object_store: str | None = None) -> Settings:
    return Settings(home=home, database_url=None, object_store=object_store, raw_archive=object_store or str(home))


@pytest.fixture(scope="session")
def template_url(migrated_url: str) -> str:
    return migrated_url


@pytest.fixture(scope="session")
def filled(migrated_url: str, postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One day of every kind with a correction and quarantine, two catalogs, a certificate; not to be changed."""
    name = f"{urlsplit(migrated_url).path.removeprefix('/')}_backed_up"
    create(postgres_url, name, urlsplit(migrated_url).path.removeprefix("/"))
    home = tmp_path_factory.mktemp("backed-up")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIPELINE_HOME", str(home))
        patch.setenv("PIPELINE_RAW_ARCHIVE", str(home))
        warehouse = Warehouse(urlsplit(postgres_url)._replace(path=f"/{name}").geturl())
        landing = tiny_day(home / "sample").landing
        load(warehouse, landing)
        correct(landing)
        load(warehouse, landing)
        for format_name in ("nautilus", "csv"):
            output = home / "catalogs" / format_name / "NIFTY" / "2025-08"
            export_underlying(warehouse, format_name, "NIFTY", DAY, DAY, output=output)
        certificate = home / "catalogs" / "certificates" / "NIFTY" / "2025-08" / "certificate.json"
        certify_partition(warehouse, "NIFTY", DAY, DAY, output=certificate)
    yield Installation(warehouse, settings_of(home))
    drop(postgres_url, name)


@pytest.fixture
def small(warehouse: Warehouse, tmp_path: Path) -> Installation:
    """A migrated database with nothing but the rules of markets, and one file in its home."""
    (tmp_path / "small" / "catalogs").mkdir(parents=True)
    (tmp_path / "small" / "catalogs" / "notes.txt").write_text("kept\n")
    return Installation(warehouse, settings_of(tmp_path / "small"))


@pytest.fixture
def empty(postgres_url: str, tmp_path: Path) -> Iterator[Installation]:
    """An empty database and an empty home."""
    name = f"empty_{tmp_path.name.replace('-', '_')[-40:]}".lower()
    create(postgres_url, name, "template0")
    yield Installation(
        Warehouse(urlsplit(postgres_url)._replace(path=f"/{name}").geturl()), settings_of(tmp_path / "restored")
    )
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for (one,) in connection.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", [f"{name}%"]):
            drop(postgres_url, one)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.open(tmp_path / "backups")


def load(warehouse: Warehouse, landing: Path) -> None:
    for report in import_source(warehouse, get_source("nse_csv"), ImportRequest(path=landing)):
        assert report.status == "complete", report.message


def correct(landing: Path) -> None:
    """Have the vendor deliver the options again: one price is another, another cannot be."""
    (path,) = landing.rglob("GFDLNFO*.csv")
    lines = path.read_text().splitlines()
    changed = [number for number, line in enumerate(lines) if "CE.NFO," in line][:2]
    for number, volume, close in zip(changed, ("7500", None), (None, "0"), strict=True):
        cells = lines[number].split(",")
        cells[7] = volume or cells[7]
        cells[6] = close or cells[6]
        lines[number] = ",".join(cells)
    path.write_text("\n".join(lines) + "\n")


def create(postgres_url: str, name: str, template: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy".encode())


def drop(postgres_url: str, name: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


@pytest.fixture
def files_below() -> Callable[[Path], dict[str, bytes]]:
    """Read a tree."""

    def read(root: Path) -> dict[str, bytes]:
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    return read
