"""PostgreSQL's programs: the right ones, and no password where others can read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline_defs.backups import programs
from pipeline_defs.backups.dumping import dump
from pipeline_defs.errors import ConfigurationError, WarehouseError

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.warehouse.connection import Warehouse


def test_the_password_goes_into_the_environment_and_nothing_else_of_the_caller_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("POLYGON_API_KEY", "key")

    told = programs.environment("postgresql://me:s3cret@db.example:5433/market?sslmode=require")

    assert {name: told[name] for name in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGSSLMODE")} == {
        "PGHOST": "db.example",
        "PGPORT": "5433",
        "PGUSER": "me",
        "PGDATABASE": "market",
        "PGSSLMODE": "require",
    }
    assert told["PGPASSWORD"] == "s3cret"
    assert "POLYGON_API_KEY" not in told


def test_a_password_that_a_program_repeats_is_masked() -> None:
    error = programs.failed("pg_dump", "bad: s3cret", {"PGPASSWORD": "s3cret"}, where="db", next_step="mend it")

    assert "s3cret" not in str(error)


def test_a_folder_without_the_programs_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(programs.PROGRAMS_VARIABLE, str(tmp_path))

    with pytest.raises(ConfigurationError, match=f"{tmp_path}/pg_dump: there is no pg_dump"):
        programs.program("pg_dump")


def test_programs_that_are_older_than_the_server_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 15.4'\n")
    old.chmod(0o755)
    monkeypatch.setenv(programs.PROGRAMS_VARIABLE, str(tmp_path))

    with pytest.raises(ConfigurationError, match="pg_dump is of PostgreSQL 15, the server of 17"):
        programs.refuse_older_programs(17)


def test_a_dump_that_fails_says_why(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    failing = tmp_path / "pg_dump"
    failing.write_text(
        "#!/bin/sh\n[ \"$1\" = --version ] && { echo 'pg_dump (PostgreSQL) 99'; exit; }\necho 'no space' >&2\nexit 1\n"
    )
    failing.chmod(0o755)
    monkeypatch.setenv(programs.PROGRAMS_VARIABLE, str(tmp_path))

    with pytest.raises(WarehouseError, match="pg_dump failed: no space"):
        dump("warehouse", warehouse, tmp_path)
