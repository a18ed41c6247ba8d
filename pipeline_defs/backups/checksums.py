"""Checksums of tables, computed by the server: as many rows, and the same ones, whatever their order.

A row is hashed as the server prints it, so that 10.5 and 10.50 differ; a table's checksum is the sum of its rows', so
that it can be had in one pass without sorting. It finds accidents; files are guarded by SHA-256.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

SETTINGS: Final = (
    "SET search_path = ''",
    "SET timezone = 'UTC'",
    "SET datestyle = 'ISO, YMD'",
    "SET intervalstyle = 'postgres'",
    "SET bytea_output = 'hex'",
    "SET extra_float_digits = 1",
)
"""On which the text of a row depends."""

TABLES: Final = """
SELECT n.nspname, c.relname
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^(pg_|_?timescaledb)'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
"""
"""Tables of people's own, of every schema: not those of the server or of an extension, nor the chunks below them."""

_CONTINUOUS: Final = """
SELECT view_schema::text, view_name::text FROM timescaledb_information.continuous_aggregates
"""

_CHECKSUM: Final = """
SELECT count(*)::text || ' ' || coalesce(sum(('x' || left(h, 16))::bit(64)::bigint), 0)
    || ' ' || coalesce(sum(('x' || right(h, 16))::bit(64)::bigint), 0)
FROM (SELECT md5("the row"::text) AS h FROM {} AS "the row" OFFSET 0) AS hashes
"""


@dataclass(frozen=True, slots=True)
class TableChecksum:
    """What a table holds.

    Parameters
    ----------
    name : str
        With its schema.
    rows : int
        How many there are.
    checksum : str
        Equal for the same rows in any order.

    """

    name: str
    rows: int
    checksum: str

    @classmethod
    def of_line(cls, name: str, line: str) -> Self:
        """Read what the server printed."""
        rows, _, checksum = line.partition(" ")
        return cls(name, int(rows), checksum)

    def to_json(self) -> dict[str, Any]:
        """Give a JSON-ready form."""
        return {"name": self.name, "rows": self.rows, "checksum": self.checksum}


def list_tables(connection: psycopg.Connection) -> list[tuple[str, str]]:
    """List the tables that hold what cannot be computed anew, and continuous aggregates, by schema and name."""
    found = connection.execute(TABLES).fetchall()
    known = connection.execute("SELECT to_regclass('timescaledb_information.continuous_aggregates')::text").fetchone()
    if known is not None and known[0] is not None:
        found += connection.execute(_CONTINUOUS).fetchall()
    return sorted((str(schema), str(name)) for schema, name in found)


def quoted(schema: str, name: str) -> str:
    """Write a table's name as SQL takes it."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in (schema, name))


def statement(schema: str, name: str) -> str:
    """Give the query that computes a table's checksum, on one line."""
    return " ".join(_CHECKSUM.split()).format(quoted(schema, name))


def compute(connection: psycopg.Connection) -> list[TableChecksum]:
    """Compute the checksums of all tables in the transaction of a connection, whose settings this changes."""
    tables = list_tables(connection)
    for setting in SETTINGS:
        connection.execute(setting.encode())
    found = []
    for schema, name in tables:
        row = connection.execute(statement(schema, name).encode()).fetchone()
        assert row is not None  # noqa: S101 -- an aggregate gives one row
        found.append(TableChecksum.of_line(f"{schema}.{name}", row[0]))
    return found


def differences(expected: Iterable[TableChecksum], found: Iterable[TableChecksum]) -> list[str]:
    """Say what differs, a line for each table; nothing if all are equal."""
    before = {table.name: table for table in expected}
    after = {table.name: table for table in found}
    lines = []
    for name in sorted(before | after):
        if name not in after:
            lines.append(f"{name}: is missing")
        elif name not in before:
            lines.append(f"{name}: is not in the backup")
        elif before[name].rows != after[name].rows:
            lines.append(f"{name}: expected {before[name].rows:,} rows, found {after[name].rows:,}")
        elif before[name].checksum != after[name].checksum:
            lines.append(f"{name}: {before[name].rows:,} rows as expected, but not the same ones")
    return lines
