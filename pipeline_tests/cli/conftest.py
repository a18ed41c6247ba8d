"""The command as the console script runs it, in this process; and a home for the commands of a module."""

from __future__ import annotations

import itertools
import shlex
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import psycopg
import pytest

from pipeline_defs.cli import main as cli
from pipeline_defs.settings import Settings, load_settings
from pipeline_defs.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import dagster as dg


class Ended(NamedTuple):
    """Exit code, and what was printed on either stream."""

    code: int
    out: str
    err: str


type Pipeline = Callable[..., Ended]


@pytest.fixture
def pipeline(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """Run ``pipeline`` with arguments."""

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["pipeline", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return run


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
        from pipeline_defs.orchestration.runs import open_instance  # noqa: PLC0415 -- most commands need no Dagster

        with open_instance(self.settings, captures_output=False) as instance:
            runs = [run for run in instance.get_runs() if run.run_id not in self.seen]
        self.seen |= {run.run_id for run in runs}
        return runs[::-1]

    def events(self, run: dg.DagsterRun, kind: dg.DagsterEventType) -> list[Any]:
        """Give the events of a run that are of a kind."""
        from pipeline_defs.orchestration.runs import open_instance  # noqa: PLC0415 -- most commands need no Dagster

        with open_instance(self.settings, captures_output=False) as instance:
            entries = instance.all_logs(run.run_id, of_type=kind)
        return [entry.dagster_event.event_specific_data for entry in entries if entry.dagster_event is not None]

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with self.warehouse.connect() as connection:
            return connection.execute(query.encode(), values).fetchall()


@pytest.fixture(scope="module")
def home(postgres_url: str, migrated_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Make a home of this module alone."""
    name, template = f"commands_{next(_NUMBERS)}", urlsplit(migrated_url).path.removeprefix("/")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy".encode())
    url = urlsplit(postgres_url)._replace(path=f"/{name}").geturl()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIPELINE_HOME", str(tmp_path_factory.mktemp("commands")))
        patch.setenv("PIPELINE_DATABASE_URL", url)
        yield Home(load_settings(), Warehouse(url))
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


type Typed = Callable[[str], Ended]


@pytest.fixture
def typed(home: Home, pipeline: Pipeline) -> Typed:
    """Run a line as one would type it, ``pipeline`` left out, in the module's home."""
    home.new_runs()  # those of the test before
    return lambda line: pipeline(*shlex.split(line))
