"""The reference says what the code says: variables, tables, commands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.settings import PROJECT_ROOT
from pipeline_defs.sources.registry import api_sources
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.migrations import upgrade
from tools.command_pages import commands_markdown, leaf_commands, root_command
from tools.table_pages import PAGE, tables_markdown

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = PROJECT_ROOT / "docs" / "reference" / "settings.md"
OURS = re.compile(r"\b(?:PIPELINE|ZERODHA|POLYGON|CCXT|IB)_[A-Z0-9_]*[A-Z0-9](?![A-Z0-9])")
PREFIXES = {"PIPELINE_ALERT_SMTP": ("HOST", "PORT", "SECURITY", "FROM", "TO", "USER", "PASSWORD", "CA_FILE")}
"""Names that the code puts together."""


def named_in_the_code() -> Iterator[str]:
    for path in (PROJECT_ROOT / "pipeline_defs").rglob("*.py"):
        for name in OURS.findall(path.read_text(encoding="utf-8")):
            if name in PREFIXES:
                yield from (f"{name}_{part}" for part in PREFIXES[name])
            else:
                yield name
    yield from (f"PIPELINE_{source.upper()}_ENDPOINT" for source in api_sources())


def test_every_variable_that_the_code_reads_is_listed_and_no_other() -> None:
    code = set(named_in_the_code())
    code -= {name for name in code if name.endswith("_FILE") and name.removesuffix("_FILE") in code}
    listed = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", SETTINGS.read_text(encoding="utf-8")))
    page = {name for name in listed if OURS.fullmatch(name)}
    assert code - page == set(), "add them to docs/reference/settings.md"
    assert {name for name in page - code if name.removesuffix("_FILE") not in code} == set(), "nobody reads these"


def test_the_page_of_the_tables_is_what_a_migrated_database_says(database_url: str) -> None:
    warehouse = Warehouse(database_url)
    upgrade(warehouse)
    written = PAGE.read_text(encoding="utf-8")
    assert written == tables_markdown(warehouse), "the schema has changed: run tools/table_pages.py"


def test_the_page_of_the_commands_has_every_command_and_every_option() -> None:
    page = commands_markdown()
    leaves = list(leaf_commands(root_command(), ("pipeline",)))
    assert len(leaves) > 25
    for path, command in leaves:
        section = page.partition(f" `{' '.join(path)}`\n")[2]
        assert section, path
        section = re.split(r"^#{2,4} ", section, maxsplit=1, flags=re.MULTILINE)[0]
        shown = [one for one in command.params if not getattr(one, "hidden", False)]
        names = [name for one in shown for name in (one.opts if one.opts[0].startswith("-") else [argument(one)])]
        missing = [name for name in names if f"`{name}`" not in section]
        assert missing == [], path


def argument(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name).upper()


@pytest.mark.parametrize("name", ["pipeline import", "pipeline export", "pipeline db upgrade", "pipeline backfill"])
def test_a_command_of_the_page_says_what_it_does(name: str) -> None:
    section = commands_markdown().partition(f" `{name}`\n")[2]
    assert re.match(r"\n[A-Z][^\n]+\.", section)
