"""Shell completion, by the protocol in which a shell asks: names without a database, for bash, zsh and fish."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.cli.completing import (
    complete_dataset,
    complete_format,
    complete_source,
    complete_underlying,
    offer_values,
)
from pipeline_defs.cli.main import commands

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_tests.cli.conftest import Pipeline


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "catalogs" / "nautilus" / "NIFTY" / "2025-08").mkdir(parents=True)
    (tmp_path / "home" / "catalogs" / "lean" / "BANKNIFTY").mkdir(parents=True)
    (tmp_path / "home" / "catalogs" / "lean" / ".NIFTY.staging-1").mkdir()
    return tmp_path / "home"


def bash(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, line: str) -> list[str]:
    """Ask as bash does, with the cursor at the end of a line."""
    monkeypatch.setenv("_PIPELINE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    ended = pipeline()
    assert (ended.code, ended.err) == (0, "")
    return ended.out.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("pipeline ga", ["gaps"]),
        ("pipeline db up", ["upgrade"]),
        ("pipeline export --gr", ["--greeks"]),
        ("pipeline import --source nse", ["nse-csv"]),
        ("pipeline import --source interactive_", ["interactive_brokers"]),
        ("pipeline export --format na", ["nautilus", "nautilus-2"]),
        ("pipeline export --underlying N", ["NIFTY"]),
        ("pipeline certify --underlying ", ["BANKNIFTY", "NIFTY"]),
        ("pipeline gaps --dataset eq", ["equity_daily"]),
        ("pipeline gaps --cause no", ["no_trade", "not_yet_due"]),
        ("pipeline terms import --format ", ["kite", "udiff", "csv"]),
        ("pipeline reconcile --left pol", ["polygon"]),
        ("pipeline import --source nobody", []),
    ],
)
def test_bash_is_offered_what_could_come_next(
    pipeline: Pipeline, home: Path, monkeypatch: pytest.MonkeyPatch, line: str, offered: list[str]
) -> None:
    assert bash(pipeline, monkeypatch, line) == offered
    assert not (home / "postgres").exists()


def test_zsh_and_fish_are_offered_the_same_in_their_words(
    pipeline: Pipeline, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "pipeline export --format le")
    monkeypatch.setenv("_PIPELINE_COMPLETE", "complete_zsh")
    assert '"lean"' in pipeline().out
    monkeypatch.setenv("_PIPELINE_COMPLETE", "complete_fish")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    assert pipeline().out.split() == ["lean"]
    assert not (home / "postgres").exists()


@pytest.mark.parametrize(
    ("shell", "says"),
    [
        ("bash", "complete -o default -F _pipeline_completion pipeline"),
        ("zsh", "#compdef pipeline"),
        ("fish", "complete --command pipeline"),
    ],
)
def test_each_shell_gets_its_script(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, shell: str, says: str) -> None:
    monkeypatch.setenv("_PIPELINE_COMPLETE", f"source_{shell}")
    ended = pipeline()

    assert ended.code == 0
    assert says in ended.out


@pytest.mark.parametrize(
    ("shell", "written"),
    [
        ("bash", {".bash_completions/pipeline.sh": "_PIPELINE_COMPLETE", ".bashrc": ".bash_completions"}),
        ("zsh", {".zfunc/_pipeline": "_PIPELINE_COMPLETE", ".zshrc": ".zfunc"}),
        ("fish", {".config/fish/completions/pipeline.fish": "_PIPELINE_COMPLETE"}),
    ],
)
def test_completion_is_installed_for_the_shell_it_is_typed_in(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str, written: dict[str, str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("shellingham.detect_shell", lambda: (shell, f"/bin/{shell}"))

    assert pipeline("--install-completion").code == 0
    for place, text in written.items():
        assert text in (tmp_path / place).read_text(), place
    assert "_PIPELINE_COMPLETE" in pipeline("--show-completion").out


@pytest.mark.usefixtures("home")
def test_what_is_offered_for_values() -> None:
    assert complete_source("z") == ["zerodha"]
    assert complete_source("manual_") == ["manual_csv"]
    assert complete_format("c") == ["csv"]
    assert complete_dataset("") == ["equity_daily", "futures_ticks", "options_ticks", "spot_prices"]
    assert complete_underlying("B") == ["BANKNIFTY"]


def test_a_shell_waits_for_no_heavy_library() -> None:
    program = (
        "import sys; sys.argv = ['pipeline']\n"
        "from pipeline_defs.cli import main\n"
        "try:\n    main.main()\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'polars', 'pyarrow', 'dagster', 'pandas', 'psycopg', 'rich'} & set(sys.modules)\n"
        "sys.exit(str(sorted(heavy)) if heavy else 0)\n"
    )
    asked = {"_PIPELINE_COMPLETE": "complete_bash", "COMP_WORDS": "pipeline import --source n", "COMP_CWORD": "3"}
    completed = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **asked}, capture_output=True, text=True, check=False
    )

    assert (completed.returncode, completed.stderr) == (0, "")
    assert completed.stdout.split() == ["nse-csv"]


def test_offering_values_twice_changes_nothing() -> None:
    offer_values(commands)
    offer_values(commands)
