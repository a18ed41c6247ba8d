"""Write docs/reference/tables.md: every table, view and function of a migrated database, as the database describes it.

Run it after a migration that adds or changes one: ``.venv/bin/python tools/table_pages.py``. The page is kept in
git, so that a change of the schema can be read as a change of the page; a test makes it anew and compares.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline_defs.schema.tables import OBSERVATION_TABLES
from pipeline_defs.settings import load_settings
from pipeline_defs.warehouse.connection import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.warehouse.connection import Warehouse

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "reference" / "tables.md"

_COLUMNS: Final = """
SELECT c.relkind IN ('v', 'm') AS is_view, c.relname, coalesce(obj_description(c.oid, 'pg_class'), ''),
       a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       coalesce(col_description(c.oid, a.attnum), ''), coalesce(a.attnum = ANY (k.conkey), false)
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = 'public'
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_constraint AS k ON k.conrelid = c.oid AND k.contype = 'p'
WHERE c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
ORDER BY 1, c.relname, a.attnum
"""

_FUNCTIONS: Final = """
SELECT p.proname, p.prokind = 'p', pg_get_function_identity_arguments(p.oid), obj_description(p.oid, 'pg_proc')
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace AND n.nspname = 'public'
WHERE obj_description(p.oid, 'pg_proc') IS NOT NULL AND p.prorettype <> 'trigger'::regtype
ORDER BY p.proname, 3
"""

_HEAD: Final = """\
# Tables and views

What a migrated database holds, as it describes itself; made by `tools/table_pages.py`, compared with a real database by
a test. The observation tables are hypertables where TimescaleDB is there; names and columns are the same on every
server. [The warehouse](../warehouse.md) says how they belong together.

Columns of the key are **bold**. A type followed by `?` may be null.
"""


def tables_markdown(warehouse: Warehouse) -> str:
    """Describe the relations and the functions of a database.

    Parameters
    ----------
    warehouse : Warehouse
        Migrated.

    Returns
    -------
    str
        The page.

    """
    with warehouse.connect() as connection:
        columns = connection.execute(_COLUMNS).fetchall()
        functions = connection.execute(_FUNCTIONS).fetchall()
    lines = [_HEAD]
    for is_view, relations in groupby(columns, key=lambda row: row[0]):
        lines.append(f"## {'Views' if is_view else 'Tables'}\n")
        for name, found in groupby(relations, key=lambda row: row[1]):
            lines += _relation(name, list(found), is_view=is_view)
    lines.append("## Functions\n\nThose that are meant to be called; a procedure is called with `CALL`.\n")
    lines += ["| | |", "|---|---|"]
    for name, is_procedure, arguments, meaning in functions:
        verb = "CALL " if is_procedure else ""
        lines.append(f"| `{verb}{name}({arguments})` | {_cell(meaning)} |")
    return "\n".join(lines) + "\n"


def _relation(name: str, columns: list[tuple[object, ...]], *, is_view: bool) -> Iterator[str]:
    described = OBSERVATION_TABLES.get(name)
    known = {} if described is None else {column.name: column.meaning for column in described.columns}
    comment = str(columns[0][2]) or ("" if described is None else described.meaning)
    yield f"### `{name}`\n"
    if comment:
        yield f"{_cell(comment)}\n"
    yield "| column | type | |"
    yield "|---|---|---|"
    for _, _, _, column, sql_type, is_required, meaning, is_key in columns:
        shown = f"**`{column}`**" if is_key else f"`{column}`"
        null = "" if is_required or is_view else "?"
        yield f"| {shown} | `{sql_type}`{null} | {_cell(str(meaning) or known.get(str(column), ''))} |"
    yield ""


def _cell(text: str) -> str:
    """Keep Markdown from reading what is meant as it stands."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "\\<").replace("*", "\\*").replace("_", "\\_")


if __name__ == "__main__":
    PAGE.write_text(tables_markdown(open_warehouse(load_settings())), encoding="utf-8")
    print(PAGE)
