"""The commands of backups, as a person and as a script see them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest
from typer.testing import CliRunner

from pipeline_defs.cli.main import commands

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PIPELINE_DATABASE_URL", database_url)
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "catalogs").mkdir(parents=True)
    (tmp_path / "home" / "catalogs" / "notes.txt").write_text("kept\n")
    return tmp_path


@pytest.fixture
def databases(postgres_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Dagster's database with a table, and two empty ones to restore to."""
    found = {}
    name = urlsplit(database_url).path.removeprefix("/")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for suffix in ("dagster", "empty", "empty_dagster"):
            connection.execute(f"CREATE DATABASE {name}_{suffix} TEMPLATE template0".encode())
            found[suffix] = urlsplit(postgres_url)._replace(path=f"/{name}_{suffix}").geturl()
    with psycopg.connect(found["dagster"]) as connection:
        connection.execute("CREATE TABLE runs (run_id text); INSERT INTO runs VALUES ('one')")
    use_for_dagster(found["dagster"], monkeypatch)
    yield found
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for suffix in found:
            connection.execute(f"DROP DATABASE {name}_{suffix} WITH (FORCE)".encode())


def use_for_dagster(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = urlsplit(url)
    for name, value in {
        "HOST": parts.hostname,
        "PORT": parts.port,
        "DB": parts.path.removeprefix("/"),
        "USER": parts.username,
        "PASSWORD": parts.password,
    }.items():
        monkeypatch.setenv(f"DAGSTER_POSTGRES_{name}", str(value or ""))


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(commands, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout


def run_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


def test_both_databases_and_the_files_go_there_and_back(
    home: Path, databases: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = str(home / "backups")
    made = run_json("backup", "create", place)
    assert made["databases"] == ["dagster", "warehouse"]
    assert [one["backup"] for one in run_json("backup", "list", place)["backups"]] == [made["backup"]]
    assert run_json("backup", "verify", place)["differences"] == []

    monkeypatch.setenv("PIPELINE_DATABASE_URL", databases["empty"])
    monkeypatch.setenv("PIPELINE_HOME", str(home / "other"))
    use_for_dagster(databases["empty_dagster"], monkeypatch)
    restored = run_json("restore", place, "--backup", made["backup"])

    assert (restored["rows"], restored["files"], restored["set_aside"]) == (made["rows"], 1, [])
    assert (home / "other" / "catalogs" / "notes.txt").read_text() == "kept\n"
    with psycopg.connect(databases["empty_dagster"]) as connection:
        assert connection.execute("SELECT run_id FROM runs").fetchall() == [("one",)]


def test_one_database_for_both_is_dumped_once(home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use_for_dagster(database_url, monkeypatch)

    assert run_json("backup", "create", str(home / "backups"))["databases"] == ["warehouse"]


def test_a_person_reads_what_was_done(home: Path) -> None:
    place = str(home / "backups")
    assert run("backup", "list", place) == ""
    assert "1 files were new" in run("backup", "create", place, "--keep", "1")
    assert "as it was made" in run("backup", "verify", place)
    assert "0 files that no backup needs" in run("backup", "prune", place, "--keep", "1")
    damaged = next(path for path in (home / "backups" / "files").rglob("*") if path.is_file())
    damaged.write_text("lost\n")
    assert damaged.name in run("backup", "verify", place, code=1)
