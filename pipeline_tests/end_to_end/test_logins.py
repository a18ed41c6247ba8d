"""The product under logins with the fewest rights: a loader does the day's work, a reader looks at all of it."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest

from pipeline_defs.cli import main as cli
from pipeline_defs.greeks.session import compute_session
from pipeline_defs.portal import DataPortal, SimulationClock
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_tests.test_recording import heard, record, rows

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
            if role == "pipeline_reader":  # as docs/security/roles.md advises
                connection.execute(f"ALTER ROLE {name} SET default_transaction_read_only = on".encode())
        made.append(name)
        parts = urlsplit(database_url)
        return parts._replace(netloc=f"{name}:open@{parts.hostname}:{parts.port}").geturl()

    yield make
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name in made:
            connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}".encode())


@pytest.fixture(scope="module")
def logins(template_url: str) -> Iterator[dict[str, str]]:
    """URLs of a loader and a reader of a migrated database, which no test fills."""
    made = {}
    with psycopg.connect(template_url, autocommit=True) as connection:
        for role in ("pipeline_loader", "pipeline_reader"):
            name = f"tried_{role}"
            connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'open' IN ROLE {role}".encode())
            parts = urlsplit(template_url)
            made[role] = parts._replace(netloc=f"{name}:open@{parts.hostname}:{parts.port}").geturl()
    yield made
    with psycopg.connect(template_url, autocommit=True) as connection:
        for role in made:
            connection.execute(f"DROP ROLE tried_{role}".encode())


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


def test_a_loader_records_a_stream(login: Callable[[str], str]) -> None:
    warehouse = Warehouse(login("pipeline_loader"))

    record(warehouse, heard(0, "1", "1"), heard(1, "9"), heard(0, "2"))
    record(warehouse, heard(0, "3"))

    assert [int(str(close).partition(".")[0]) for _, close, _ in rows(warehouse)] == [9, 1, 1, 2, 3]


def test_a_loader_loads_rates_computes_greeks_and_exports_for_engines(
    filled: object, run_as: Callable[[str], Run], database_url: str, tmp_path: Path
) -> None:
    del filled
    run = run_as("pipeline_loader")
    with psycopg.connect(database_url) as connection:
        (day,) = connection.execute("SELECT min(trade_date) FROM loads").fetchone() or (None,)
        (source,) = connection.execute("SELECT source FROM loads WHERE dataset = 'options_ticks'").fetchone() or ("",)
    assert day is not None
    (tmp_path / "rates.csv").write_text("currency,valid_from,rate,source\nINR,2025-01-01,0.065,T-bill\n")
    (tmp_path / "yields.csv").write_text(
        "underlying,valid_from,dividend_yield,source\nNIFTY,2025-01-01,0.0125,factsheet\n"
    )
    done(run, "rates", "load", tmp_path / "rates.csv")
    done(run, "rates", "load", tmp_path / "yields.csv")

    report = compute_session(Warehouse(os.environ["PIPELINE_DATABASE_URL"]), source, day)
    assert report.rows > 0
    for engine in ("lean", "backtrader"):
        done(
            run, "export", "--format", engine, "--underlying", "NIFTY", "--start-date", day, "--end-date", day,
            "--output", tmp_path / engine,
        )  # fmt: skip
        assert list((tmp_path / engine).rglob("_manifest.json"))


def test_a_reader_asks_the_portal(filled: object, login: Callable[[str], str], database_url: str) -> None:
    del filled
    with psycopg.connect(database_url) as connection:
        (symbol, instant) = connection.execute(
            'SELECT symbol, max("timestamp") FROM options_ticks JOIN instrument_terms USING (instrument_id)'
            " GROUP BY symbol ORDER BY count(*) DESC LIMIT 1"
        ).fetchone() or ("", None)
    assert instant is not None

    portal = DataPortal(warehouse=Warehouse(login("pipeline_reader")), clock=SimulationClock(instant))
    try:
        prices = portal.history([symbol], "close", 5, "1m")
    finally:
        portal.close()

    assert prices.height


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (x int)",
        "ALTER TABLE loads ADD COLUMN mine int",
        "DROP TABLE loads",
        "TRUNCATE options_ticks",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA mine",
        "GRANT pipeline_migrator TO CURRENT_USER",
        "ALTER TABLE loads DISABLE TRIGGER ALL",
        "SET ROLE pipeline_migrator",
        "COPY loads TO PROGRAM 'true'",
        "SELECT pg_read_file('/etc/passwd')",
    ],
)
@pytest.mark.parametrize("role", ["pipeline_loader", "pipeline_reader"])
def test_neither_loader_nor_reader_changes_the_schema_or_leaves_the_database(
    role: str, statement: str, logins: dict[str, str]
) -> None:
    with (
        psycopg.connect(logins[role]) as connection,
        pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)),
    ):
        connection.execute(statement.encode())


@pytest.mark.parametrize(
    "statement",
    ["UPDATE loads SET message = ''", "DELETE FROM options_ticks", "INSERT INTO named_bundles VALUES ('mine')"],
)
def test_a_reader_writes_nothing_even_without_the_setting_that_forbids_it(
    statement: str, logins: dict[str, str]
) -> None:
    with psycopg.connect(logins["pipeline_reader"]) as connection:
        connection.execute("SET TRANSACTION READ WRITE")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())
