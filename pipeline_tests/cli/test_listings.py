"""``pipeline sources`` and ``formats``: what there is, what is missing, and no secret."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.cli.tables import print_table
from pipeline_defs.exports.registry import EXPORTERS, FURTHER_EXPORTERS
from pipeline_defs.sources import listing
from pipeline_defs.sources.registry import FURTHER_SOURCES, PLUGINS, SOURCES

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_tests.cli.conftest import Pipeline

SECRET = "s3cret-polygon-key"  # noqa: S105 -- a value that must not be seen


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    for name in ("POLYGON_API_KEY", "POLYGON_API_KEY_FILE", "ZERODHA_API_KEY", "PIPELINE_UNIVERSE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_every_source_is_listed_with_what_it_can_and_needs(pipeline: Pipeline) -> None:
    ended = pipeline("sources")

    assert (ended.code, ended.err) == (0, "")
    header, *rows = (line.split() for line in ended.out.splitlines())
    assert header == ["source", "kind", "market", "tables", "live", "universe", "needs"]
    listed = {row[0]: row[1:] for row in rows}
    assert set(listed) == {name.replace("_", "-") for name in SOURCES | FURTHER_SOURCES}
    assert listed["polygon"][:2] == ["api", "US"]
    assert listed["polygon"][-3:] == ["POLYGON_API_KEY", "not", "set"]
    assert listed["nse-csv"][:2] == ["file", "NSE"]
    assert listed["interactive-brokers"][3] == "-"  # it does not stream


def test_a_key_is_told_to_be_set_and_its_value_is_not_told(
    pipeline: Pipeline, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "universe.yaml").write_text("polygon:\n  equities: [AAPL, MSFT]\n  options: [AAPL]\n")
    monkeypatch.setenv("POLYGON_API_KEY", SECRET)
    monkeypatch.setenv("ZERODHA_API_KEY_FILE", str(home / "kite-key"))

    shown, told = pipeline("sources", "--details"), pipeline("sources", "--json")
    assert "2 equities,1 options  POLYGON_API_KEY set" in shown.out
    assert "ZERODHA_API_KEY set" in shown.out
    assert "POLYGON_REQUESTS_PER_MINUTE  not set" in shown.out
    assert SECRET not in shown.out + told.out
    found = {one["name"]: one for one in json.loads(told.out)["sources"]}
    assert found["polygon"]["universe"] == {"equities": 2, "options": 1}
    assert found["polygon"]["missing"] == []
    assert {one["name"]: one["is_set"] for one in found["polygon"]["environment"]}["POLYGON_API_KEY"] is True


def test_a_universe_that_is_wrong_is_told(pipeline: Pipeline, home: Path) -> None:
    (home / "universe.yaml").write_text("yahoo:\n  equitys: [AAPL]\n")

    shown = pipeline("sources").out
    assert "yahoo: " in shown
    assert "equitys: Extra inputs are not permitted" in shown


def test_a_package_that_cannot_be_loaded_is_listed_with_its_trouble(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PLUGINS.troubles, "a_plugin", "cannot be loaded: ValueError: no")
    monkeypatch.setattr(listing, "source_class", _no_class)
    found = {one["name"]: one for one in json.loads(pipeline("sources", "--json").out)["sources"]}

    assert found["a_plugin"]["trouble"] == "cannot be loaded: ValueError: no"
    assert found["ccxt"]["trouble"] == "no module named ccxt"


def _no_class(name: str) -> type:
    message = f"no module named {name}"
    raise ImportError(message)


def test_every_format_is_listed_with_its_engine(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_NAUTILUS2_PYTHON", "/nowhere/python")
    shown, told = pipeline("formats"), json.loads(pipeline("formats", "--json").out)["formats"]

    assert [line.split()[0] for line in shown.out.splitlines()[1:]] == sorted(EXPORTERS | FURTHER_EXPORTERS)
    found = {one["name"]: one for one in told}
    assert found["backtrader"]["engine_version"] is not None
    assert (found["backtrader"]["ticks"], found["lean"]["lengths"]) == (None, "1s, 1m, 1h, 1d")
    assert found["nautilus-2"]["is_installed"] is False
    assert all(found[name]["is_installed"] for name in EXPORTERS)


class Terminal(list[str]):
    """A terminal that remembers what was written to it."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.append(text)
        return len(text)

    def flush(self) -> None:
        pass


@pytest.mark.parametrize("is_colour_wanted", [True, False])
def test_a_person_at_a_terminal_sees_rules_and_colour_unless_told_not_to(
    monkeypatch: pytest.MonkeyPatch,
    is_colour_wanted: bool,  # noqa: FBT001 -- pytest passes it by name
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    if is_colour_wanted:
        monkeypatch.delenv("NO_COLOR", raising=False)
    else:
        monkeypatch.setenv("NO_COLOR", "1")
    print_table(("name", "count"), [("[bold]x[/bold]", "7"), ("", "12")], numbers=["count"], bad=["7"])
    shown = "".join(terminal)

    assert "[bold]x[/bold]" in shown
    assert "─" in shown
    assert ("\x1b[31m" in shown) is is_colour_wanted


def test_a_pipe_gets_plain_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "count"), [("[bold]x[/bold]", "7"), ("", "12")], numbers=["count"], bad=["7"])

    assert capsys.readouterr().out == "name            count\n[bold]x[/bold]      7\n-                  12\n"
