"""What every test may ask for: an environment of its own, and a fresh database on one server for the whole session.

``--server`` chooses the server, and the tests that are run on it: all on the embedded one, those that speak to the
database on the others. Fixtures that know a table or an adapter belong in the `conftest.py` of their room.
"""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest
from hypothesis import settings

from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.embedded import ensure_running, stop
from pipeline_defs.warehouse.migrations import upgrade
from pipeline_tests.servers import SERVERS, running
from pipeline_tests.servers.again import is_run_again
from pipeline_tests.servers.places import ServerUnavailableError, database_folder
from pipeline_tests.servers.pristine import Pristine

if TYPE_CHECKING:
    from collections.abc import Iterator

_TESTS = Path(__file__).parent
_NUMBERS = itertools.count(1)

# A shared machine is no stopwatch; and what CI tries, it tries again the same way.
# The same examples once more find nothing new: many of them are for `--thorough`, which draws others each time.
settings.register_profile("project", deadline=None, derandomize="CI" in os.environ, max_examples=30)
settings.register_profile("again", settings.get_profile("project"), max_examples=15)
settings.register_profile("thorough", deadline=None, derandomize=False, max_examples=300)
settings.load_profile("project")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--server", choices=SERVERS, default="embedded", help="the database server the tests run on")
    parser.addoption("--thorough", action="store_true", help="with the tests that are left to `make test-thorough`")


def pytest_configure(config: pytest.Config) -> None:
    """Try fewer examples on a server that runs again what the embedded one has run."""
    if config.getoption("--thorough"):
        settings.load_profile("thorough")
    elif config.getoption("--server") != "embedded":
        settings.load_profile("again")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests that are run on this server, and skip those that ask for more than it has."""
    server, thorough = config.getoption("--server"), config.getoption("--thorough")
    for item in items:
        if not thorough and (marker := item.get_closest_marker("thorough")) is not None:
            item.add_marker(pytest.mark.skip(reason=f"left to `make test-thorough`: {marker.args[0]}"))
    if server == "embedded":
        return
    kept: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        function = item.originalname if isinstance(item, pytest.Function) else item.name
        again = is_run_again(server, item.path.relative_to(_TESTS), function, thorough=thorough)
        (kept if again else left).append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = kept
    if server == "full":
        for item in items:
            if (marker := item.get_closest_marker("needs_real_backend")) is not None:
                item.add_marker(pytest.mark.skip(reason=f"needs a real backend: {marker.args[0]}"))


@pytest.fixture(scope="session")
def server(pytestconfig: pytest.Config) -> str:
    """Name the server of this session."""
    name: str = pytestconfig.getoption("--server")
    return name


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
def postgres_url(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for the session, which trades durability for speed; the URL of its maintenance database.

    ``PIPELINE_TEST_SERVER_URL`` names another server, so that the same tests run there.
    """
    if named := os.environ.get("PIPELINE_TEST_SERVER_URL"):
        yield named
        return
    folder = tmp_path_factory.mktemp("server")
    if server != "embedded":
        try:
            with running(server, folder) as url:
                yield url
        except ServerUnavailableError as error:
            pytest.exit(f"no {server} server: {error}", returncode=pytest.ExitCode.INTERNAL_ERROR)
        return
    with database_folder(folder) as data:
        yield _with_database(ensure_running(data / "postgres", durable=False), "postgres")
        stop(data / "postgres")


@pytest.fixture(scope="session")
def template_url(server: str, postgres_url: str) -> Iterator[str]:
    """The database that every `database_url` is a copy of: empty here.

    A room whose tests need more overrides this fixture, fills the database once, and closes its connections.
    """
    if server == "full":  # the only database there is
        yield postgres_url
        return
    name = _new_name()
    yield _create(postgres_url, name, "template0")
    _execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def migrated_url(server: str, postgres_url: str) -> Iterator[str]:
    """A database with all migrations and nothing in it, made once: what most rooms' `template_url` is."""
    if server == "full":  # the only database there is
        upgrade(Warehouse(postgres_url))
        yield postgres_url
        return
    name = _new_name()
    url = _create(postgres_url, name, "template0")
    upgrade(Warehouse(url))
    yield url
    _execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def pristine(server: str, template_url: str) -> Pristine | None:
    """What the template holds, where it cannot be copied."""
    return Pristine.of(template_url) if server == "full" else None


@pytest.fixture
def database_url(postgres_url: str, template_url: str, pristine: Pristine | None) -> Iterator[str]:
    """A database of this test alone; on the full server the only one, as if nobody had used it."""
    if pristine is not None:
        pristine.put_back(template_url)
        yield template_url
        return
    name = _new_name()
    yield _create(postgres_url, name, urlsplit(template_url).path.removeprefix("/"))
    _execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def warehouse(database_url: str) -> Warehouse:
    """The warehouse in a database of this test alone, with what the room's template holds."""
    return Warehouse(database_url)


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
