"""Arrows point inward: which room may import which, read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE = PROJECT_ROOT / "pipeline_defs"

MAY_IMPORT = {
    "schema": set[str](),
    "markets": set[str](),
    "freshness": {"markets"},
    "storage": set[str](),
    "sources": {"schema", "markets", "freshness"},
    "warehouse": {"schema", "markets"},
    "quality": {"schema", "markets", "warehouse"},
    "samples": {"schema", "markets"},
    "plots": set[str](),
    "reconciliation": {"schema", "markets", "warehouse"},
    "greeks": {"schema", "warehouse"},
    "alerting": {"sources"},
    "reporting": {"markets", "plots", "sources", "warehouse"},
    "backtests": {"exports"},
    "exports": {"schema", "markets", "storage", "backtests"},
    "gaps": {"schema", "markets", "sources", "storage", "warehouse"},
    "backups": {"storage", "warehouse"},
    "migration": {"schema", "markets", "sources", "warehouse"},
    "operations": {"sources", "storage", "warehouse"},
    "portal": {"schema", "markets", "freshness", "sources", "warehouse"},
}
"""Rooms beside one's own. `errors`, `settings` and the version are everybody's."""


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_lies_further_in(room: str) -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir()}
    for path in (PACKAGE / room).rglob("*.py"):
        parts = [name.split(".") for name in imports(path) if name.startswith("pipeline_defs.")]
        found = {part[1] for part in parts} & rooms - {room}
        assert found <= MAY_IMPORT[room], f"{path.relative_to(PROJECT_ROOT)} imports {sorted(found - MAY_IMPORT[room])}"
        assert not any(name.partition(".")[0] == "dagster" for name in imports(path)), path


def test_no_module_is_longer_than_one_idea() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.rglob("*.py")}

    assert {path.name: length for path, length in lengths.items() if length > 350} == {}


@pytest.mark.parametrize("arguments", [["--help"], ["import", "--help"]])
def test_help_loads_no_heavy_library(arguments: list[str]) -> None:
    program = (
        "import sys; sys.argv = ['pipeline', *sys.argv[1:]]\n"
        "from pipeline_defs.cli import main\n"
        "try:\n    main.main()\n"
        "except SystemExit:\n    pass\n"
        "heavy = {'polars', 'pyarrow', 'dagster', 'pandas', 'psycopg', 'nautilus_trader', 'matplotlib', 'jinja2',"
        " 'rich'} & set(sys.modules)\n"
        "sys.exit(str(sorted(heavy)) if heavy else 0)\n"
    )
    completed = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)

    assert completed.returncode == 0, completed.stderr
