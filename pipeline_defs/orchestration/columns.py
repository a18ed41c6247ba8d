"""Column schemas of the tables, for the UI, before anything was materialised.

The descriptions live in `pipeline_defs.schema.tables` and are read from its source text, because importing it
imports polars, which would add a quarter to the CPU time in which every run and code server starts. A test holds
what is read here against the tables themselves, and the bars against the database.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import dagster as dg

import pipeline_defs

if TYPE_CHECKING:
    from collections.abc import Iterator

_TABLES_MODULE: Final = Path(pipeline_defs.__file__).parent / "schema" / "tables.py"

# Positional arguments of `schema.columns.Column`.
_NAME, _SQL_TYPE, _MEANING = 0, 2, 3

_NOT_NULL: Final = dg.TableColumnConstraints(nullable=False)

BAR_SCHEMA: Final = dg.TableSchema(
    [
        dg.TableColumn("bucket", "timestamp with time zone", "Start of the bar, UTC.", _NOT_NULL),
        dg.TableColumn("instrument_id", "integer", "Row of `instruments`.", _NOT_NULL),
        dg.TableColumn("bar_seconds", "integer", "Resolution of what the bar was made of; 0 is ticks.", _NOT_NULL),
        dg.TableColumn("source", "text", "Adapter whose observations these are.", _NOT_NULL),
        dg.TableColumn("open", "numeric", "First price; null when nothing traded."),
        dg.TableColumn("high", "numeric", "Highest price; null when nothing traded."),
        dg.TableColumn("low", "numeric", "Lowest price; null when nothing traded."),
        dg.TableColumn("close", "numeric", "Last price.", _NOT_NULL),
        dg.TableColumn("volume", "numeric", "Units traded; null when unknown."),
        dg.TableColumn("open_interest", "bigint", "Units open at the end of the bar; null when unknown."),
        dg.TableColumn("observations", "bigint", "How many observations the bar was made of.", _NOT_NULL),
    ]
)
"""`options_hourly` and `options_daily`."""


@cache
def observation_schema() -> dg.TableSchema:
    """Describe the columns that all observation tables share.

    Returns
    -------
    dagster.TableSchema
        In SQL order.

    """
    module = ast.parse(_TABLES_MODULE.read_text(encoding="utf-8"))
    assigned = {
        statement.target.id: statement.value
        for statement in module.body
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
    }
    return dg.TableSchema(list(_columns("OBSERVATION_COLUMNS", assigned)))


def _columns(name: str, assigned: dict[str, ast.expr | None]) -> Iterator[dg.TableColumn]:
    """Follow a tuple of `Column(…)` calls and of other such tuples, unpacked with a star."""
    described = assigned[name]
    for element in described.elts if isinstance(described, ast.Tuple) else ():
        if isinstance(element, ast.Starred) and isinstance(element.value, ast.Name):
            yield from _columns(element.value.id, assigned)
        elif isinstance(element, ast.Call):
            text = [ast.literal_eval(element.args[position]) for position in (_NAME, _SQL_TYPE, _MEANING)]
            may_be_null = any(keyword.arg == "nullable" for keyword in element.keywords)
            yield dg.TableColumn(text[0], text[1], text[2], None if may_be_null else _NOT_NULL)
