"""The command line's contract: JSON on standard output, messages on standard error, exit code 0 only on success."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from pipeline_defs.cli import main as cli
from pipeline_defs.warehouse.embedded import status

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run the command in this process, as the console script does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pipeline", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


def tickers(capsys: pytest.CaptureFixture[str], grammar: str, *names: str) -> tuple[int, list[dict[str, Any]]]:
    code, out, _ = run("tickers", "--grammar", grammar, "--trade-date", "2025-08-20", *names, capsys=capsys)
    return code, [json.loads(line) for line in out.splitlines()]


def test_each_ticker_is_one_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = tickers(capsys, "gdfl", "NIFTY28AUG2524500CE.NFO", "NIFTY-II.NFO", "M&MFIN.N1.NSE")

    assert code == 0
    assert lines == [
        {
            "ticker": "NIFTY28AUG2524500CE.NFO",
            "kind": "OPT",
            "underlying": "NIFTY",
            "expiry": "2025-08-28",
            "strike": 24500,
            "option_type": "CE",
            "rank": None,
            "series": None,
        },
        {
            "ticker": "NIFTY-II.NFO",
            "kind": "CONT",
            "underlying": "NIFTY",
            "expiry": "2025-09-25",
            "strike": None,
            "option_type": None,
            "rank": 2,
            "series": None,
        },
        {
            "ticker": "M&MFIN.N1.NSE",
            "kind": "EQ",
            "underlying": "M&MFIN",
            "expiry": None,
            "strike": None,
            "option_type": None,
            "rank": None,
            "series": "N1",
        },
    ]


def test_an_unreadable_ticker_is_an_error_line_and_the_others_are_still_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, lines = tickers(capsys, "exchange", "NONSENSE", "NIFTY25SEPFUT")

    assert code == 1
    assert set(lines[0]) == {"ticker", "error"}
    assert lines[1]["expiry"] == "2025-09-25"


def test_auto_shows_both_readings_of_an_ambiguous_name(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = tickers(capsys, "auto", "NIFTY25AUG2524500CE")

    assert code == 1
    assert "2025-08-25" in lines[0]["error"]
    assert "2524500" in lines[0]["error"]


def test_a_wrong_date_says_what_was_expected(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run("tickers", "--grammar", "gdfl", "--trade-date", "20.08.2025", "X", capsys=capsys)

    assert (code, out) == (2, "")
    assert "expected YYYY-MM-DD" in err


def test_an_unknown_source_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run("import", "--source", "nope", "--path", "x", capsys=capsys)

    assert (code, out) == (2, "")
    assert "nse_csv" in err


def test_the_embedded_server_is_started_shown_and_stopped(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    try:
        code, out, _ = run("db", "url", capsys=capsys)
        assert code == 0
        assert out.startswith("postgresql://")

        code, out, _ = run("doctor", "--json", capsys=capsys)
        state = json.loads(out)
        assert (code, state["home"], state["datasets"]) == (0, str(tmp_path), [])

        code, out, _ = run("doctor", capsys=capsys)
        assert "server:" in out
        assert "***" in out
    finally:
        code, _, err = run("db", "stop", capsys=capsys)
    assert (code, err) == (0, "stopped\n")
    assert status(tmp_path / "postgres").postmaster is None


def test_a_server_of_ones_own_is_not_stopped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_DATABASE_URL", "postgresql://user:s3cret@127.0.0.1:1/x")
    code, _, err = run("db", "stop", capsys=capsys)

    assert code == 1
    assert "did not start" in err
    code, _, err = run("doctor", capsys=capsys)
    assert code == 1
    assert "s3cret" not in err


def test_a_refusal_of_the_database_is_a_message_not_a_traceback(
    capsys: pytest.CaptureFixture[str], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute("DROP SCHEMA public CASCADE")  # so that there is something to migrate
        connection.execute("CREATE SCHEMA public")
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
    monkeypatch.setenv("PIPELINE_DATABASE_URL", database_url)
    code, _, err = run("db", "upgrade", capsys=capsys)

    assert code == 1
    assert "the database refused" in err
    assert "SQLSTATE 25006" in err


def test_a_mapping_is_for_sources_that_take_one(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run("import", "--source", "nse-csv", "--mapping", "mine.toml", capsys=capsys)

    assert (code, out) == (1, "")
    assert "no setting mapping, expected some of path" in err
