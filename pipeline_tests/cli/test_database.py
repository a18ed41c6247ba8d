"""``pipeline db`` and ``pipeline doctor`` on a database of their own: exit codes, JSON and readable lines."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from pipeline_defs.cli import main as cli
from pipeline_defs.warehouse.migrations.files import FLOOR

if TYPE_CHECKING:
    from collections.abc import Callable

type Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    # Other rooms migrate the template that this database is a copy of.
    execute(database_url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    monkeypatch.setenv("PIPELINE_DATABASE_URL", database_url)

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pipeline", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return command


def execute(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement)


def report(run: Run, *arguments: str) -> tuple[int, dict[str, Any]]:
    code, out, _ = run(*arguments, "--json")
    return code, json.loads(out)


def test_status_lists_what_is_outstanding_and_changes_nothing(run: Run, database_url: str) -> None:
    code, out, err = run("db", "status")

    assert code == 1
    assert out.splitlines()[0].split() == ["common/0001_instruments_and_rules.sql", "outstanding"]
    assert "pipeline db upgrade" in err
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT to_regclass('schema_migrations')").fetchone() == (None,)


def test_upgrade_applies_them_once_and_status_is_in_order(run: Run) -> None:
    code, applied = report(run, "db", "upgrade")
    assert (code, applied["applied"][0]) == (0, "common/0001_instruments_and_rules.sql")

    code, status = report(run, "db", "status")

    assert (code, status["in_order"], status["drift"]) == (0, True, [])
    assert [entry["name"] for entry in status["migrations"]] == applied["applied"]
    first = status["migrations"][0]
    assert (first["layer"], first["version"], first["state"], first["way_back"]) == ("common", 1, "applied", False)
    assert first["applied_at"].startswith("20")
    assert run("db", "upgrade")[:2] == (0, "")


def test_status_fails_on_a_schema_changed_by_hand(run: Run, database_url: str) -> None:
    run("db", "upgrade")
    execute(database_url, "ALTER TABLE loads ADD COLUMN foo integer")

    code, out, _ = run("db", "status")

    assert code == 1
    assert out.splitlines()[-1] == "schema: column loads.foo was added"
    assert "outstanding" not in out


def test_downgrade_names_what_would_be_lost_and_goes_back_when_told_to(run: Run) -> None:
    run("db", "upgrade")
    code, out, err = run("db", "downgrade", "--to", str(FLOOR))
    assert (code, out) == (1, "")
    assert "0007_knowledge.sql loses" in err
    assert "--yes" in err
    assert report(run, "db", "status")[0] == 0

    code, out, _ = run("db", "downgrade", "--to", str(FLOOR), "--yes")

    assert code == 0
    assert out.splitlines()[-1] == "undone common/0007_knowledge.sql"
    outstanding = {
        entry["version"] for entry in report(run, "db", "status")[1]["migrations"] if entry["state"] == "outstanding"
    }
    assert min(outstanding) == FLOOR + 1
    assert run("db", "upgrade", "--to", "7")[1] == "applied common/0007_knowledge.sql\n"


def test_downgrade_below_the_baseline_is_refused(run: Run) -> None:
    run("db", "upgrade")

    code, _, err = run("db", "downgrade", "--to", "1", "--yes")

    assert code == 1
    assert "the way back ends at 6" in err


def test_the_doctor_is_content_with_a_migrated_database_and_names_what_is_wrong(run: Run, database_url: str) -> None:
    code, out, _ = run("doctor")
    assert code == 1
    assert "migrations outstanding: common/0001" in out
    run("db", "upgrade")

    code, out, _ = run("doctor")
    assert code == 0
    assert out.splitlines()[-1] == "in order"
    assert "server:      PostgreSQL " in out

    execute(database_url, "DROP INDEX loads_partition; CREATE TABLE notebook (id integer)")
    code, out, _ = run("doctor", "--quick")
    assert code == 1
    assert "index loads_partition of loads is missing" in out
    assert "beside the pipeline's own:\n  table notebook\n" in out
    assert "next: undo the change by hand" in out
    code, state = report(run, "doctor")
    assert (code, len(state["problems"])) == (1, 1)
