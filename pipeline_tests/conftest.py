"""What every test may ask for: an environment of its own, and a fresh database on one server for the whole session.

Fixtures that know a table or an adapter belong in the `conftest.py` of their room.
"""

from __future__ import annotations

import itertools
import os
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest
from hypothesis import settings

from pipeline_defs.warehouse.embedded import ensure_running, stop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NUMBERS = itertools.count(1)

# A shared machine is no stopwatch; and what CI tries, it tries again the same way.
settings.register_profile("project", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("project")


@pytest.fixture(scope="session", autouse=True)
def pipeline_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the session away from the state, the server and the time zone of the person who runs it."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIPELINE_HOME", str(home))
        patch.setenv("TZ", "UTC")
        patch.delenv("PIPELINE_DATABASE_URL", raising=False)
        patch.delenv("DAGSTER_HOME", raising=False)
        time.tzset()
        yield home
    time.tzset()
    stop(home / "postgres")


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for the session, which trades durability for speed; the URL of its maintenance database.

    ``PIPELINE_TEST_SERVER_URL`` names another server, so that the same tests run on TimescaleDB.
    """
    if server := os.environ.get("PIPELINE_TEST_SERVER_URL"):
        yield server
        return
    folder = tmp_path_factory.mktemp("server") / "postgres"
    yield _with_database(ensure_running(folder, durable=False), "postgres")
    stop(folder)


@pytest.fixture(scope="session")
def template_url(postgres_url: str) -> Iterator[str]:
    """The database that every `database_url` is a copy of: empty here.

    A room whose tests need more overrides this fixture, fills the database once, and closes its connections.
    """
    name = _new_name()
    yield _create(postgres_url, name, "template0")
    _execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(postgres_url: str, template_url: str) -> Iterator[str]:
    """A database of this test alone."""
    name = _new_name()
    yield _create(postgres_url, name, urlsplit(template_url).path.removeprefix("/"))
    _execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


def _new_name() -> str:
    """Name a database as no other session of tests on the same server does."""
    return f"test_{os.getpid()}_{next(_NUMBERS)}"


def _with_database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def _create(postgres_url: str, name: str, template: str) -> str:
    # Copying files is the faster strategy where nothing is flushed to the disk.
    _execute(postgres_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    return _with_database(postgres_url, name)


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)
