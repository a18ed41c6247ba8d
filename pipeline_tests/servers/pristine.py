"""The state of a just migrated database, put back before each test where all tests share one database.

Contents are put back, and tables and types that a test left behind are dropped. A test that changes the product's own
schema puts that right itself. What no transaction has touched since is left alone: on this server, truncating and
filling everything before each test took longer than most tests.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import LiteralString, Self

import psycopg
from psycopg import sql

_NOT_OF_AN_EXTENSION = """
NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
"""

_TABLES = f"""
SELECT c.relname, array_agg(a.attname ORDER BY a.attnum) FILTER (WHERE a.attgenerated = '')
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND {_NOT_OF_AN_EXTENSION}
GROUP BY c.relname ORDER BY c.relname
"""

_SEQUENCES = f"""
SELECT c.relname, pg_sequence_last_value(c.oid) FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'S' AND {_NOT_OF_AN_EXTENSION}
"""

_TYPES = """
SELECT typname FROM pg_type AS t WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd')
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid
                  AND d.deptype = 'e')
"""

_AGGREGATES = """
SELECT view_name FROM timescaledb_information.continuous_aggregates WHERE view_schema = 'public' ORDER BY view_name
"""

# A hypertable without rows may still have chunks.
_WITH_CHUNKS = """
SELECT DISTINCT hypertable_name FROM timescaledb_information.chunks WHERE hypertable_schema = 'public'
"""

_TRANSACTION = "SELECT pg_current_xact_id()::text::bigint"


@dataclass
class Pristine:
    """What the tables hold before any test, and how far the sequences have come.

    Parameters
    ----------
    contents : dict of str to tuple
        By table: its columns, and its rows as COPY gives them; only tables that are not empty.
    sequences : dict of str to int
        Last value of each sequence that has been used.
    relations : frozenset of tuple
        The kind and name of each table and type.
    counts : dict of str to int
        Rows of each table that is not empty.
    transaction : int
        The last one that is known to have left this state.

    """

    contents: dict[str, tuple[list[str], bytes]]
    sequences: dict[str, int]
    relations: frozenset[tuple[LiteralString, str]]
    counts: dict[str, int]
    transaction: int = field(compare=False)

    @classmethod
    def of(cls, url: str) -> Self:
        """Read the state of a database."""
        contents, counts = {}, {}
        with psycopg.connect(url) as connection, connection.cursor() as cursor:
            for table, columns in cursor.execute(_TABLES).fetchall():
                query = sql.SQL("COPY {} ({}) TO STDOUT (FORMAT binary)").format(*_names(table, columns))
                if cursor.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(table))).fetchone() is None:
                    continue
                with cursor.copy(query) as copy:
                    contents[table] = (columns, b"".join(bytes(part) for part in copy))
                counts[table] = cursor.rowcount
            used = {name: last for name, last in cursor.execute(_SEQUENCES).fetchall() if last is not None}
            relations = frozenset(_relations(cursor))
            transaction = _number(cursor, _TRANSACTION)
        return cls(contents, used, relations, counts, transaction)

    def put_back(self, url: str) -> None:
        """Give the database this state again."""
        with psycopg.connect(url) as connection, connection.cursor() as cursor:
            cursor.execute("SET LOCAL client_min_messages = warning")  # a cascade names what it reaches
            cursor.execute("SET LOCAL session_replication_role = replica")  # triggers guard and stamp what is written
            for kind, name in _relations(cursor) - self.relations:
                cursor.execute(sql.SQL("DROP {} IF EXISTS {} CASCADE").format(sql.SQL(kind), sql.Identifier(name)))
            touched = self._touched(cursor)
            aggregates = "SELECT to_regclass('timescaledb_information.continuous_aggregates') IS NOT NULL"
            if cursor.execute(aggregates).fetchone() == (True,):
                for (view,) in cursor.execute(_AGGREGATES).fetchall():
                    cursor.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(view)))
                touched |= {name for (name,) in cursor.execute(_WITH_CHUNKS).fetchall()}
            if touched:
                names = sql.SQL(", ").join(map(sql.Identifier, sorted(touched)))
                cursor.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(names))
            for table, (columns, rows) in self.contents.items():
                # The cascade may have reached a table that was not touched.
                if not _number(cursor, sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))):
                    query = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(*_names(table, columns))
                    with cursor.copy(query) as copy:
                        copy.write(rows)
            self.transaction = _number(cursor, _TRANSACTION)
            for name, _ in cursor.execute(_SEQUENCES).fetchall():
                last = self.sequences.get(name)
                sequence = sql.Identifier(name).as_string(connection)
                if last is None:
                    cursor.execute(sql.SQL("ALTER SEQUENCE {} RESTART").format(sql.Identifier(name)))
                else:
                    cursor.execute("SELECT setval(%s::regclass, %s)", (sequence, last))

    def _touched(self, cursor: psycopg.Cursor) -> set[str]:
        """Name the tables with another number of rows, or with a row of a later transaction."""
        tables = [name for name, _ in cursor.execute(_TABLES).fetchall()]
        asked = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {} WHERE {}").format(sql.Literal(table), self._is_touched(table)) for table in tables
        )
        return {name for (name,) in cursor.execute(asked).fetchall()}

    def _is_touched(self, table: str) -> sql.Composed:
        name = sql.Identifier(table)
        if table not in self.counts:
            return sql.SQL("EXISTS (SELECT FROM {})").format(name)
        return sql.SQL(
            "(SELECT count(*) FROM {0}) <> {1} OR EXISTS (SELECT FROM {0} WHERE xmin::text::bigint > {2})"
        ).format(name, sql.Literal(self.counts[table]), sql.Literal(self.transaction))


def _number(cursor: psycopg.Cursor, query: LiteralString | sql.Composed) -> int:
    ((number,),) = cursor.execute(query).fetchall()
    return int(number)


def _relations(cursor: psycopg.Cursor) -> set[tuple[LiteralString, str]]:
    tables: set[tuple[LiteralString, str]] = {("TABLE", name) for name, _ in cursor.execute(_TABLES).fetchall()}
    return tables | {("TYPE", name) for (name,) in cursor.execute(_TYPES).fetchall()}


def _names(table: str, columns: list[str]) -> tuple[sql.Identifier, sql.Composed]:
    return sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
