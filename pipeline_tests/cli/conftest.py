"""A home for the commands of a module: one database, one Dagster instance, and a way to look at both."""

from __future__ import annotations

import itertools
import shlex
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest

from pipeline_defs.cli import main as cli
from pipeline_defs.orchestration.runs import open_instance
from pipeline_defs.settings import Settings, load_settings
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.migrations import upgrade

if TYPE_CHECKING:
    from collections.abc import Iterator

    import dagster as dg

_NUMBERS = itertools.count(1)


@dataclass
class Home:
    """Where the commands of a module work.

    Parameters
    ----------
    settings : Settings
        Its folders.
    warehouse : Warehouse
        Its database.

    """

    settings: Settings
    warehouse: Warehouse
    seen: set[str] = field(default_factory=set)

    def new_runs(self) -> list[dg.DagsterRun]:
        """Give the runs since this was asked last, the oldest first."""
        with open_instance(self.settings, captures_output=False) as instance:
            runs = [run for run in instance.get_runs() if run.run_id not in self.seen]
        self.seen |= {run.run_id for run in runs}
        return runs[::-1]

    def events(self, run: dg.DagsterRun, kind: dg.DagsterEventType) -> list[Any]:
        """Give the events of a run that are of a kind."""
        with open_instance(self.settings, captures_output=False) as instance:
            entries = instance.all_logs(run.run_id, of_type=kind)
        return [entry.dagster_event.event_specific_data for entry in entries if entry.dagster_event is not None]

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with self.warehouse.connect() as connection:
            return connection.execute(query.encode(), values).fetchall()


@dataclass(frozen=True)
class Told:
    """What a command left behind: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def home(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Make a home of this module alone."""
    name = f"commands_{next(_NUMBERS)}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy".encode())
    url = urlsplit(postgres_url)._replace(path=f"/{name}").geturl()
    upgrade(Warehouse(url))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIPELINE_HOME", str(tmp_path_factory.mktemp("commands")))
        patch.setenv("PIPELINE_DATABASE_URL", url)
        yield Home(load_settings(), Warehouse(url))
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


class Command:
    """Runs a command line in this process, as the console script does."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, line: str) -> Told:
        """Run what one would type, ``pipeline`` left out."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["pipeline", *shlex.split(line)])
            with pytest.raises(SystemExit) as ended:
                cli.main()
        printed = self._capsys.readouterr()
        return Told(int(ended.value.code or 0), printed.out, printed.err)


@pytest.fixture
def pipeline(home: Home, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run commands in the module's home."""
    assert home.settings.database_url is not None
    home.new_runs()  # those of the test before
    return Command(capsys)
