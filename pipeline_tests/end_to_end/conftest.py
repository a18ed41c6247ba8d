"""The product as a person runs it: the command line against a database of its own, on a generated delivery."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest

from pipeline_defs.cli import main as cli
from pipeline_defs.samples.generate import DEMO, GeneratedSample, generate
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.registry import get_source
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.loading import import_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PIPELINE = (sys.executable, "-m", "pipeline_defs.cli.main")


@dataclass(frozen=True)
class CommandLine:
    """Runs `pipeline` and gives what it printed.

    In this process, as the console script does, without the seconds in which a process of its own imports; where an
    exit code or output is to be proved to the end, as a process of its own.
    """

    environment: dict[str, str]

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name, value in self.environment.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["pipeline", *map(str, arguments)])
            with pytest.raises(SystemExit) as ended:
                cli.main()
        code = int(ended.value.code or 0)
        return subprocess.CompletedProcess(["pipeline", *map(str, arguments)], code, out.getvalue(), err.getvalue())

    def run_apart(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run it as a process of its own."""
        return subprocess.run(
            [*PIPELINE, *map(str, arguments)],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*PIPELINE, *map(str, arguments)],
            env={**os.environ, **self.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def json(self, *arguments: str | Path) -> Any:
        completed = self.run(*arguments, "--json")
        assert completed.returncode == 0, completed.stderr
        return json.loads(completed.stdout)

    def json_list(self, *arguments: str | Path) -> list[Any]:
        """Run a command whose one value holds one list."""
        (found,) = self.json(*arguments).values()
        return list(found)


@pytest.fixture(scope="session")
def template_url(migrated_url: str) -> str:
    """Every test works on a copy of a migrated database."""
    return migrated_url


@pytest.fixture
def pipeline(database_url: str, tmp_path: Path) -> CommandLine:
    return CommandLine({"PIPELINE_DATABASE_URL": database_url, "PIPELINE_HOME": str(tmp_path / "home")})


@pytest.fixture
def ask(database_url: str) -> Callable[..., list[tuple[Any, ...]]]:
    """Run a query and give its rows."""

    def run(query: str, *values: object) -> list[tuple[Any, ...]]:
        with Warehouse(database_url).connect() as connection:
            return connection.execute(query, values or None).fetchall()

    return run


@pytest.fixture(scope="session")
def filled_template_url(template_url: str, postgres_url: str, demo: GeneratedSample) -> str:
    """The demo's five sessions, imported once."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        name = urlsplit(template_url).path.removeprefix("/")
        connection.execute(f"CREATE DATABASE {name}_filled TEMPLATE {name}".encode())
    url = urlsplit(postgres_url)._replace(path=f"/{name}_filled").geturl()
    request = ImportRequest(path=demo.landing)
    for _ in import_source(Warehouse(url), get_source("nse_csv"), request):
        pass
    return url


@pytest.fixture
def filled(pipeline: CommandLine, database_url: str, filled_template_url: str, postgres_url: str) -> CommandLine:
    """The command line on a copy of the filled warehouse."""
    name, template = (urlsplit(url).path.removeprefix("/") for url in (database_url, filled_template_url))
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    return pipeline


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> GeneratedSample:
    return generate(DEMO, tmp_path_factory.mktemp("demo"))
