"""A command that fails says so in one message, without a traceback, and never ends with 0."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import typer

from pipeline_defs.cli.exit_codes import ExitCode
from pipeline_defs.cli.failing import end
from pipeline_defs.markets.tickers import grammars
from pipeline_defs.sources.asking.credentials import remember_secret

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_tests.cli.conftest import Pipeline

TICKERS = ("tickers", "--grammar", "gdfl", "--trade-date", "2025-08-20", "X")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of this test alone, without a database: whoever starts one here fails the test's time."""
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    monkeypatch.delenv("PIPELINE_TRACEBACK", raising=False)
    return tmp_path


def break_tickers(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def broken(*_: Any) -> None:
        raise error

    monkeypatch.setattr(grammars, "parse_ticker", broken)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("exprt",), "No such command 'exprt'. Did you mean 'export'"),
        (("db", "upgrad"), "No such command 'upgrad'. Did you mean 'upgrade'"),
        (("export", "--fromat", "lean"), "No such option: --fromat (Possible options: --format"),
        (("export",), "Missing option '--format'"),
        (("import", "--source", "yahooo"), "no source 'yahooo', expected one of ccxt"),
        (("gaps", "--source", "nse-cvs"), "no source 'nse-cvs', expected one of ccxt"),
        (("backfill", "--dataset", "equity_dialy"), "no table 'equity_dialy', expected one of equity_daily"),
        (("record", "--source", "zerodah", "--table", "spot_prices"), "no source 'zerodah'"),
        (("gaps", "--cause", "no_trades"), "'no_trades' is not one of 'source_missing'"),
        (("gaps", "--from", "14.08.2025"), "'14.08.2025' is not a date; expected YYYY-MM-DD"),
        (("gaps", "--from", "2025-08-14", "--to", "2025-08-13"), "2025-08-14 is later than --to 2025-08-13"),
        (("corrections", "--since", "2025-08-14"), "expected date, time and offset"),
        (("reconcile", "--from", "2025-08-14", "--to", "2025-08-14", "--bars", "1x"), "'1x' is not a length of bars"),
        (("db", "retention", "options_ticks", "--keep", "5 years"), "'5 years' is not an age"),
        (("db", "downgrade", "--to", "seven"), "Input should be a valid integer"),
        (("cache", "clear", "everything"), "unexpected extra argument"),
        (("storage", "publish", "nowhere", "s3://bucket/x"), "nowhere"),
    ],
)
def test_a_wrong_command_line_is_refused_before_anything_begins(
    pipeline: Pipeline, home: Path, arguments: tuple[str, ...], message: str
) -> None:
    ended = pipeline(*arguments)

    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    lines = ended.err.splitlines()
    assert [line.startswith("error: ") for line in lines] == [True] + [False] * (len(lines) - 1)
    assert all(line.startswith("Next: ") for line in lines[1:])
    assert "Traceback" not in ended.err
    assert not any(home.iterdir())


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (("import", "--source", "yahooo"), "yahoo"),
        (("gaps", "--source", "nse-cvs"), "nse_csv"),
        (("gaps", "--dataset", "equity_dialy"), "equity_daily"),
        (("record", "--source", "Zerodah", "--table", "spot_prices"), "zerodha"),
    ],
)
@pytest.mark.usefixtures("home")
def test_a_name_that_is_spelt_alike_is_offered(pipeline: Pipeline, arguments: tuple[str, ...], near: str) -> None:
    assert f"Next: did you mean {near}" in pipeline(*arguments).err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("verify", "nowhere"), "nowhere: does not exist"),
        (("verify", "gopher://x"), "gopher://x"),
        (("storage", "list"), "PIPELINE_OBJECT_STORE is not set"),
        (("storage", "list", "s3://Bucket"), "s3://Bucket"),
        (("import", "--source", "nse-csv", "--path", "nowhere", "--dry-run"), "nowhere"),
        (("terms", "import", "--format", "csv", "nowhere.csv"), "nowhere.csv"),
        (("rates", "load", "nowhere.csv"), "nowhere.csv"),
        (("pools", "--set", "polygon", "many"), "limit 'many' is no number"),
        (("kite-login",), "ZERODHA_API_KEY: the API key of the Kite Connect app is missing"),
    ],
)
def test_what_is_not_there_is_named_with_what_to_do(
    pipeline: Pipeline, home: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(home)
    for name in ("PIPELINE_OBJECT_STORE", "ZERODHA_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    ended = pipeline(*arguments)

    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("error: ")
    assert message in ended.err
    assert "Traceback" not in ended.err


def test_a_command_without_a_name_shows_its_help_and_is_no_success(pipeline: Pipeline) -> None:
    for arguments in ((), ("db",), ("storage", "lifecycle")):
        ended = pipeline(*arguments)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.startswith(f"Usage: {' '.join(('pipeline', *arguments))} ")


def test_a_defect_is_one_line_with_the_place_of_its_traceback(
    pipeline: Pipeline, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_tickers(monkeypatch, ZeroDivisionError("by nothing"))
    ended = pipeline(*TICKERS)

    (kept,) = (home / "tracebacks").iterdir()
    assert (ended.code, ended.out) == (70, "")
    error, next_step = ended.err.splitlines()
    assert error == "error: a defect of the pipeline: ZeroDivisionError: by nothing"
    assert str(kept) in next_step
    assert "pipeline --traceback" in next_step
    assert "Traceback (most recent call last)" in kept.read_text()
    assert kept.read_text().endswith("ZeroDivisionError: by nothing\n")
    assert kept.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_traceback_is_shown_to_whoever_asks_for_it(
    pipeline: Pipeline, home: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    break_tickers(monkeypatch, ZeroDivisionError("by nothing"))
    if how == "variable":
        monkeypatch.setenv("PIPELINE_TRACEBACK", "1")
    ended = pipeline(*(["--traceback"] if how == "option" else []), *TICKERS)

    assert ended.code == 70
    assert ended.err.startswith("Traceback (most recent call last):")
    assert ended.err.endswith("error: a defect of the pipeline: ZeroDivisionError: by nothing\n")
    assert not (home / "tracebacks").exists()


@pytest.mark.usefixtures("home")
def test_an_error_of_ones_own_has_a_traceback_only_when_asked(pipeline: Pipeline) -> None:
    assert "Traceback" not in pipeline("verify", "nowhere").err
    shown = pipeline("--traceback", "verify", "nowhere")
    assert shown.code == 1
    assert "Traceback" in shown.err
    assert "pipeline_defs.errors.ExportError" in shown.err


def test_no_secret_gets_into_a_traceback(pipeline: Pipeline, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remember_secret("a-very-secret-token")
    break_tickers(monkeypatch, RuntimeError("the vendor said a-very-secret-token"))
    ended = pipeline(*TICKERS)
    (kept,) = (home / "tracebacks").iterdir()

    assert "RuntimeError: the vendor said ***" in ended.err
    assert "a-very-secret-token" not in ended.err + kept.read_text()


def test_only_the_newest_tracebacks_are_kept(pipeline: Pipeline, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = home / "tracebacks"
    folder.mkdir()
    for number in range(30):
        (folder / f"20200101T0000{number:02}Z-1.txt").touch()
    break_tickers(monkeypatch, ZeroDivisionError())
    pipeline(*TICKERS)

    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 20
    assert names[0].startswith("20200101T000011Z")
    assert not names[-1].startswith("2020")


def test_where_no_traceback_can_be_kept_the_message_says_how_to_see_it(
    pipeline: Pipeline, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "tracebacks").write_text("a file where the folder should be")
    break_tickers(monkeypatch, ZeroDivisionError())
    ended = pipeline(*TICKERS)

    assert ended.code == 70
    assert ended.err.endswith("Next: see where with 'pipeline --traceback …' or PIPELINE_TRACEBACK=1\n")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (typer.Abort(), 130, "interrupted\n"),
        (PermissionError(errno.EACCES, "Permission denied", "/etc/x"), 1, "error: /etc/x: Permission denied\n"),
        (OSError(errno.ENOSPC, "No space left"), 1, "error: the system refused: No space left\n"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 1, "error: the system refused: Broken pipe\n"),
    ],
)
@pytest.mark.usefixtures("home")
def test_what_is_no_defect_is_told_as_what_it_is(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    break_tickers(monkeypatch, error)

    assert pipeline(*TICKERS) == (code, "", message)


def test_whoever_reads_no_more_ends_the_command_quietly(home: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    names = [f"NIFTY28AUG25{strike}CE.NFO" for strike in range(20000, 20100, 50)]
    done = subprocess.run(
        [sys.executable, "-m", "pipeline_defs.cli.main", *TICKERS[:-1], *names],
        stdout=theirs,
        stderr=subprocess.PIPE,
        env={**os.environ, "PIPELINE_HOME": str(home)},
        check=False,
    )
    os.close(theirs)

    assert (done.returncode, done.stderr) == (141, b"")


def test_no_error_ends_with_success() -> None:
    for error in (Exception(), OSError(), KeyboardInterrupt(), typer.BadParameter("x"), typer.TyperException("x")):
        assert end(error, show_traceback=True) is not ExitCode.SUCCESS
