"""Every command's help page reads well: a whole sentence, a word on every option, lines that fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from typer.core import TyperGroup, TyperOption
from typer.main import get_command

from pipeline_defs.cli.main import COMMANDS, commands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_tests.cli.conftest import Pipeline

WIDEST = 100


def every_command(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    if isinstance(command, TyperGroup):
        for name, below in command.commands.items():
            yield from every_command(below, (*path, name))


EVERY = dict(every_command(get_command(commands)))


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_a_help_page_reads_well(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, path: tuple[str, ...]) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    ended = pipeline(*path, "--help")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"Usage: {' '.join(('pipeline', *path))} ")
    assert max(map(len, ended.out.splitlines())) <= WIDEST
    first = ended.out.splitlines()[2].strip()
    assert first[:1].isupper()
    assert "..." not in ended.out.partition("\n")[2]  # no sentence is cut off


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_every_option_and_argument_says_what_it_is(path: tuple[str, ...]) -> None:
    for parameter in EVERY[path].params:
        said = parameter.help or ""
        assert said[:1].isupper() or said.startswith(("s3://", "yfinance")), (path, parameter.name)
        assert said.endswith((".", "…", ")")), (path, parameter.name)
        if isinstance(parameter, TyperOption):
            assert all(name.startswith("--") for name in parameter.opts), (path, parameter.name)
            # A flag that can only be set has no twin that unsets it.
            assert not any(name.startswith("--no-") for name in parameter.secondary_opts), (path, parameter.name)


def test_commands_stand_in_panels_each_in_its_own(pipeline: Pipeline) -> None:
    page = pipeline("--help").out

    places = [page.index(f"\n{panel}:\n") for panel in dict.fromkeys(panel for panel, _, _ in COMMANDS)]
    assert places == sorted(places)
    for panel, name, _ in COMMANDS:
        section = page.partition(f"\n{panel}:\n")[2].partition("\n\n")[0]
        assert f"\n  {name} " in f"\n{section}", (panel, name)


def test_exit_codes_are_told_on_the_first_page(pipeline: Pipeline) -> None:
    page = pipeline("--help").out
    assert (
        "Exit codes: 0 done, 1 failed, 2 wrong use, 3 something is left (backfill, migrate), 70 a defect"
        in " ".join(page.split())
    )
    assert pipeline("-h").out == page


def test_the_version_is_told(pipeline: Pipeline) -> None:
    ended = pipeline("--version")
    assert (ended.code, ended.out.split()[:2]) == (0, ["pipeline,", "version"])


@pytest.mark.parametrize("path", [path for path, command in EVERY.items() if not isinstance(command, TyperGroup)])
def test_commands_that_print_data_print_json_when_asked(path: tuple[str, ...]) -> None:
    without = {("ui",), ("record",), ("kite-login",), ("tickers",), ("db", "stop"), ("metrics",)}  # its own form
    names = {name for parameter in EVERY[path].params for name in parameter.opts}

    assert ("--json" in names) is (path not in without)
