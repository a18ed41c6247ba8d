"""The product under logins with the fewest rights: a loader does the day's work, a reader looks at all of it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest

from pipeline_defs.cli import main as cli

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline_defs.samples.generate import GeneratedSample

type Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def login(database_url: str) -> Iterator[Callable[[str], str]]:
    """Make a login in a role; gives its URL."""
    made: list[str] = []

    def make(role: str) -> str:
        name = f"desk_{role}"
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'open' IN ROLE {role}".encode())
        made.append(name)
        parts = urlsplit(database_url)
        return parts._replace(netloc=f"{name}:open@{parts.hostname}:{parts.port}").geturl()

    yield make
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name in made:
            connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}".encode())


@pytest.fixture
def run_as(
    login: Callable[[str], str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[str], Run]:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))

    def become(role: str) -> Run:
        monkeypatch.setenv("PIPELINE_DATABASE_URL", login(role))

        def run(*arguments: Any) -> tuple[int, str, str]:
            monkeypatch.setattr(sys, "argv", ["pipeline", *map(str, arguments)])
            with pytest.raises(SystemExit) as ended:
                cli.main()
            printed = capsys.readouterr()
            return int(ended.value.code or 0), printed.out, printed.err

        return run

    return become


def done(run: Run, *arguments: Any, code: int = 0) -> str:
    found, out, err = run(*arguments)
    assert found == code, f"{arguments}: exit {found}, expected {code}\n{out[-500:]}\n{err[-2000:]}"
    return out


def test_a_loader_imports_corrects_assesses_compares_exports_and_maintains(
    filled: object, run_as: Callable[[str], Run], demo: GeneratedSample, tmp_path: Path, database_url: str
) -> None:
    del filled
    run = run_as("pipeline_loader")
    with psycopg.connect(database_url) as connection:
        (day,) = connection.execute("SELECT min(trade_date)::text FROM loads").fetchone() or ("",)
        # As if a vendor had said something else before: the next import corrects it and keeps what was there.
        connection.execute(
            'UPDATE options_ticks SET close = close + 1, high = high + 1 WHERE ("timestamp", instrument_id) ='
            ' (SELECT "timestamp", instrument_id FROM options_ticks ORDER BY 1, 2 LIMIT 1)'
        )
        connection.execute("DELETE FROM partition_fingerprints")
        connection.execute("UPDATE loads SET delivery_digest = NULL, delivery_parts = NULL")
    span = ("--from", day, "--to", day)

    landing = ("--source", "nse-csv", "--path", demo.landing, "--start-date", day, "--end-date", day)
    done(run, "import", *landing)
    assert json.loads(done(run, "corrections", "--json"))["corrections"]
    done(run, "gaps", "--assess", *span, "--dataset", "equity_daily")
    done(run, "quality", "--run", "--date", day, "--dataset", "equity_daily")
    done(run, "reconcile", *span, "--dataset", "equity_daily", "--right", "bhavcopy", "--left", "nse_csv")
    done(run, "db", "maintain")
    done(
        run, "export", "--format", "csv", "--underlying", "NIFTY", "--start-date", day, "--end-date", day,
        "--output", tmp_path / "out",
    )  # fmt: skip
    assert list((tmp_path / "out").rglob("_manifest.json"))

    with psycopg.connect(database_url) as connection:
        stored = connection.execute(
            "SELECT (SELECT count(*) FROM options_ticks_history), (SELECT count(*) FROM catalogs),"
            " (SELECT count(*) FROM gap_assessments), (SELECT count(*) FROM quality_checks)"
        ).fetchone()
    assert stored is not None
    assert all(stored), stored


def test_a_loader_may_neither_set_retention_nor_go_back(filled: object, run_as: Callable[[str], Run]) -> None:
    del filled
    run = run_as("pipeline_loader")

    code, _, err = run("db", "retention", "options_ticks", "--keep", "5y")
    assert code == 1
    assert "pipeline_migrator" in err
    assert "permission denied" in err
    code, _, err = run("db", "downgrade", "--to", "22")
    assert code == 1
    assert "pipeline_migrator" in err


def test_a_reader_sees_everything_and_can_change_nothing(
    filled: object, run_as: Callable[[str], Run], tmp_path: Path
) -> None:
    del filled
    run = run_as("pipeline_reader")

    done(run, "gaps")
    done(run, "quality")
    done(run, "corrections")
    done(run, "bundles", "list")
    done(run, "db", "status")
    done(run, "report", "--output", tmp_path / "report.html", "--sessions", "3")
    assert (tmp_path / "report.html").stat().st_size > 10_000
    code, _, err = run("gaps", "--assess")
    assert (code, "pipeline_loader" in err) == (1, True), err
