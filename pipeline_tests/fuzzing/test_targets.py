"""Every parser has a target; what was found stays found; a few new inputs are tried each time."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline_defs.exports.registry import EXPORTERS, FURTHER_EXPORTERS
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_defs.sources.nse_csv.layouts import LAYOUTS_BY_NAME
from pipeline_defs.sources.registry import SOURCES
from pipeline_defs.sources.terms.registry import READERS
from pipeline_tests.fuzzing.damage import MOST, damaged
from pipeline_tests.fuzzing.exempt import EXEMPT
from pipeline_tests.fuzzing.target import CORPUS, CRASHES, Target, fault_of, files_of
from pipeline_tests.fuzzing.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterator

_PARSER: Final = re.compile(r"_?(parse|read|decode|understand|split|redact)(_[a-z_0-9]+)?")
_ROOMS: Final = ("alerting", "cli", "exports", "greeks", "markets", "migration", "quality", "reconciliation", "schema")
_MORE_ROOMS: Final = ("sources", "storage", "uploads", "warehouse")
_OURS: Final = ("connection", "warehouse", "market", "store", "session", "day")
"""First arguments of readers that read our own database or frames, and no bytes from outside."""
_MOST_BYTES: Final = 8_000
_MOST_BYTES_TOGETHER: Final = 600_000
_EDITS: Final = st.lists(st.tuples(*[st.integers(0, MOST - 1)] * 3), min_size=1, max_size=4)
EXAMPLES: Final = 6


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_kept_is_read_or_refused_as_promised(name: str) -> None:
    target = TARGETS[name]
    outcomes = {target.run(data) for data in target.kept()}
    assert "read" in outcomes, "nothing that is kept can be read: the target tries refusals alone"


@pytest.mark.parametrize("name", TARGETS)
def test_a_damaged_input_is_read_or_refused_as_promised(name: str) -> None:
    target = TARGETS[name]
    seeds = target.kept()

    @settings(max_examples=EXAMPLES, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(seed=st.sampled_from(seeds), edits=_EDITS)
    def holds(seed: bytes, edits: list[tuple[int, int, int]]) -> None:
        target.run(damaged(seed, edits, target.form))

    holds()


def test_every_parser_has_a_target_or_a_reason_to_have_none() -> None:
    tried = {function for target in TARGETS.values() for function in target.reads}
    found = set(_parsers())
    assert sorted(found - tried - EXEMPT.keys()) == []
    assert sorted(EXEMPT.keys() & tried) == []
    assert sorted(EXEMPT.keys() - found) == []


def test_every_function_that_a_target_names_exists() -> None:
    named = {function for target in TARGETS.values() for function in target.reads}
    assert sorted(function for function in named if function.partition(":")[2] not in _functions(function)) == []


def test_every_source_format_layout_and_list_of_terms_has_a_target() -> None:
    wanted = {
        *(entry for entry in SOURCES if entry != "migrated"),
        *(f"nse_csv-{layout}" for layout in LAYOUTS_BY_NAME),
        *(f"terms-{name}" for name in READERS),
        *({"csv": "generic-csv", "parquet": "generic-parquet"}.get(name, name) for name in EXPORTERS),
        *(name.partition("-")[0] for name in FURTHER_EXPORTERS),
    }
    without = sorted(name for name in wanted if not any(target.startswith(name) for target in TARGETS))
    assert without == []


def test_the_corpus_is_small_and_of_targets_that_exist() -> None:
    files = [path for root in (CORPUS, CRASHES) for path in root.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= _MOST_BYTES_TOGETHER
    assert [str(path) for path in files if path.stat().st_size > _MOST_BYTES] == []
    folders = {path.name for root in (CORPUS, CRASHES) for path in root.iterdir() if path.is_dir()}
    assert folders <= TARGETS.keys()


def test_every_kept_crash_says_what_went_wrong() -> None:
    told = tomllib.loads((CRASHES / "faults.toml").read_text(encoding="utf-8"))
    kept = {name: {path.name for path in files_of(CRASHES / name)} for name in TARGETS}
    assert {name: set(lines) for name, lines in told.items()} == {name: files for name, files in kept.items() if files}
    assert all(line for lines in told.values() for line in lines.values())


def test_a_broken_promise_another_error_and_a_hang_are_faults() -> None:
    def broken(data: bytes) -> None:
        if data == b"hang":
            while True:
                pass
        if data == b"error":
            raise KeyError("x")
        assert data == b"fine"

    target = Target(name="x", reads=(), check=broken, form="text", seeds=(), seconds=0.05)
    assert target.run(b"fine") == "read"
    for data, name in ((b"hang", "Hang"), (b"error", "KeyError"), (b"", "AssertionError")):
        with pytest.raises(BaseException, match=r".*") as caught:
            target.run(data)
        assert fault_of(caught.value).startswith(f"{name} at test_targets.py")


def test_a_refusal_must_name_the_place() -> None:
    def refuse(_: bytes) -> None:
        raise ValueError("wrong")

    target = Target(name="x", reads=(), check=refuse, form="text", seeds=(), place="a.csv", refusals=(ValueError,))
    with pytest.raises(AssertionError, match=r"does not name 'a\.csv'"):
        target.run(b"")


@given(data=st.binary(max_size=60), edits=_EDITS, form=st.sampled_from(["text", "lines", "json", "binary", "archive"]))
@settings(max_examples=50)
def test_damage_is_the_same_each_time(data: bytes, edits: list[tuple[int, int, int]], form: str) -> None:
    assert damaged(data, edits, form) == damaged(data, edits, form)  # type: ignore[arg-type] # one of the forms


@cache
def _trees() -> dict[str, ast.Module]:
    root = PROJECT_ROOT / "pipeline_defs"
    paths = [path for room in (*_ROOMS, *_MORE_ROOMS) for path in sorted((root / room).rglob("*.py"))]
    return {".".join(path.relative_to(root).with_suffix("").parts): _tree(path) for path in paths}


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _parsers() -> Iterator[str]:
    """Name the functions that are called like parsers, but for those that are handed our own database or frames."""
    for module, tree in _trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _PARSER.fullmatch(node.name):
                arguments = [one.arg for one in node.args.args if one.arg not in {"self", "cls"}]
                if not (arguments and arguments[0] in _OURS):
                    yield f"{module}:{node.name}"


def _functions(function: str) -> set[str]:
    module = f"pipeline_defs.{function.partition(':')[0]}"
    tree = _tree(Path(str(importlib.import_module(module).__file__)))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
