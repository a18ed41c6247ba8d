"""The bar of long commands: there for a person at a terminal, and for nobody else."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.cli.progress import progress_bar
from pipeline_defs.progress import Step, ignore
from pipeline_defs.samples.generate import tiny_day

if TYPE_CHECKING:
    from pathlib import Path

DAY = "2025-08-13"


@pytest.fixture(scope="session")
def template_url(migrated_url: str) -> str:
    """Every test works on a copy of a migrated database."""
    return migrated_url


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """An import of one small session."""
    landing = tiny_day(tmp_path / "tiny").landing
    return ["import", "--source", "nse-csv", "--path", str(landing), "--start-date", DAY, "--end-date", DAY]


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> dict[str, str]:
    """A database of this test alone, and a terminal that can move its cursor."""
    own = {"PIPELINE_DATABASE_URL": database_url, "PIPELINE_HOME": str(tmp_path), "TERM": "xterm", "COLUMNS": "120"}
    return {**os.environ, **own}


def run_at_a_terminal(arguments: list[str], environment: dict[str, str]) -> tuple[str, str]:
    """Run with standard error on a terminal; gives standard output, which is none, and what the terminal showed."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pipeline_defs.cli.main", *arguments]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, text=True
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # how Linux says that the other end was closed
                break
            if not part:
                break
            shown += part
        output = process.stdout.read() if process.stdout is not None else ""
    os.close(ours)
    assert process.returncode == 0, shown
    return output, shown.decode()


def test_at_a_terminal_an_import_shows_what_it_does_and_its_output_stays_clean(
    arguments: list[str], environment: dict[str, str]
) -> None:
    output, shown = run_at_a_terminal(arguments, environment)

    assert "reading nse_csv" in shown
    assert "1/1" in shown
    assert output.count(": complete; read ") == len(output.splitlines()) > 3
    assert "\x1b" not in output


def test_an_import_that_writes_json_shows_nothing(arguments: list[str], environment: dict[str, str]) -> None:
    output, shown = run_at_a_terminal([*arguments, "--json"], environment)

    assert shown == ""
    assert json.loads(output)["loads"]


def test_without_a_terminal_nothing_is_shown_and_nothing_for_it_is_loaded(
    arguments: list[str], environment: dict[str, str]
) -> None:
    program = (
        "import sys; from pipeline_defs.cli import main\n"
        "try:\n    main.main()\n"
        "except SystemExit as ended:\n    sys.exit(ended.code or ('rich.progress' in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], env=environment, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(": complete; read ") > 3


def test_quiet_or_without_a_terminal_nobody_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet in (True, False):
        with progress_bar(quiet=quiet) as shown:
            assert shown.on_progress is ignore
            shown.on_progress(Step("reading", 1, 2))
            shown.say("a line")
    assert capsys.readouterr() == ("a line\na line\n", "")


def test_lines_stand_above_the_bar_when_both_go_to_one_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(list[str]):
        encoding = "utf-8"

        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> int:
            self.append(text)
            return len(text)

        def flush(self) -> None:
            pass

    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", terminal)
    with progress_bar(quiet=False) as shown:
        shown.on_progress(Step("storing [x]", 1, 2))
        shown.say("load 1: [bold]options_ticks[/bold]")
    told = "".join(terminal)

    assert "load 1: [bold]options_ticks[/bold]" in told
    assert "storing [x]" in told
