"""The schema as the migrations left it, kept in the database, to tell what was changed by hand since.

Every migration writes the snapshot in its own transaction, and only what that migration changed: a column that somebody
dropped before an upgrade is still missing after it. Objects that were there before the first migration, or that people
add beside the product's, are told apart from the product's own.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pipeline_defs.warehouse.migrations.catalog_queries import OBJECTS, TIMESCALEDB_OBJECTS

if TYPE_CHECKING:
    import psycopg

_TABLE = """
CREATE TABLE IF NOT EXISTS schema_snapshot (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    server text NOT NULL,
    fingerprint text NOT NULL,
    objects jsonb NOT NULL,
    before_unfinished jsonb
)
"""

# The server numbers the tables behind continuous aggregates as they come.
_SERIAL_NAME = re.compile(r"(_materialized_hypertable)_\d+")


class SchemaObject(NamedTuple):
    """What an object of the schema is called.

    Parameters
    ----------
    kind : str
        ``table``, ``column``, ``index``, ``function``, …
    parent : str
        The relation it belongs to; empty for what stands alone.
    name : str
        Its own name; of functions with the types of their arguments.

    """

    kind: str
    parent: str
    name: str

    def __str__(self) -> str:
        """Name it as a person would."""
        if not self.parent:
            return f"{self.kind} {self.name}"
        if self.kind == "column":
            return f"column {self.parent}.{self.name}"
        return f"{self.kind} {self.name} of {self.parent}"


type Schema = dict[SchemaObject, str]
"""Definition by object."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How the database differs from what the migrations left.

    Parameters
    ----------
    recorded : bool
        Whether there is a snapshot to compare with.
    fingerprint : str
        Of the schema as it is now.
    differences : tuple of str
        What somebody changed, one sentence each.
    foreign : tuple of str
        Objects beside the product's own, which do not disturb it.

    """

    recorded: bool
    fingerprint: str
    differences: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Snapshot:
    server: str
    schema: Schema
    before_unfinished: Schema | None


def read_schema(connection: psycopg.Connection) -> Schema:
    """Read every object of the product's schema, without what extensions own and without the ledgers themselves."""
    rows = connection.execute(OBJECTS).fetchall()
    found = connection.execute("SELECT to_regclass('timescaledb_information.dimensions') IS NOT NULL").fetchone()
    if found is not None and found[0]:
        rows += connection.execute(TIMESCALEDB_OBJECTS).fetchall()
    return {
        SchemaObject(kind, parent, name): _SERIAL_NAME.sub(r"\1", definition) for kind, parent, name, definition in rows
    }


def fingerprint(schema: Schema) -> str:
    """Give a SHA-256 that two equal schemas share."""
    return hashlib.sha256(_to_json(schema).encode()).hexdigest()


def find_drift(connection: psycopg.Connection) -> Drift:
    """Compare the database with the snapshot that the last migration left; writes nothing."""
    live = read_schema(connection)
    snapshot = _read_snapshot(connection)
    if snapshot is None:
        return Drift(recorded=False, fingerprint=fingerprint(live))
    expected = snapshot.schema
    if snapshot.server != _server(connection):
        expected = _reworded(expected, live)
    differences, foreign = compare(expected, live)
    return Drift(True, fingerprint(live), tuple(differences), tuple(foreign))  # noqa: FBT003 -- recorded


def compare(expected: Schema, live: Schema) -> tuple[list[str], list[str]]:
    """Name what differs; parts of a relation that is missing or new are not named one by one.

    Returns
    -------
    tuple of two lists of str
        What was done to the product's objects, and objects that stand beside them.

    """
    missing = expected.keys() - live.keys()
    added = live.keys() - expected.keys()
    gone = {thing.name for thing in missing if not thing.parent}
    come = {thing.name for thing in added if not thing.parent}
    reordered = {thing.parent for thing in missing | added if thing.kind == "column"}
    differences = [f"{thing} is missing" for thing in missing if thing.parent not in gone]
    differences += [f"{thing} was added" for thing in added if thing.parent and thing.parent not in come]
    differences += [
        f"{thing} was changed: expected {_excerpt(expected[thing])}, found {_excerpt(live[thing])}"
        for thing in expected.keys() & live.keys()
        # A table lists its columns in order: that is of interest only if none came or went.
        if expected[thing] != live[thing] and not (thing.kind == "table" and thing.name in reordered)
    ]
    return sorted(differences), sorted(str(thing) for thing in added if not thing.parent)


class SchemaRecorder:
    """Follows the schema through a run of migrations and keeps the snapshot of what it ought to be.

    Parameters
    ----------
    connection : psycopg.Connection
        The one that migrates.
    is_new : bool
        Whether no migration was ever applied: what is there already is then not the product's.

    """

    def __init__(self, connection: psycopg.Connection, *, is_new: bool) -> None:
        self._connection = connection
        self._seen = read_schema(connection)
        snapshot = _read_snapshot(connection)
        if snapshot is None:
            # A database from before there were snapshots is taken as it is found.
            self._expected: Schema = {} if is_new else dict(self._seen)
            return
        moved = snapshot.server != _server(connection)
        self._expected = _reworded(snapshot.schema, self._seen) if moved else snapshot.schema
        if snapshot.before_unfinished is not None:
            self._seen = snapshot.before_unfinished

    def begin_unfinished(self) -> None:
        """Keep what was there before statements that no transaction holds, in case only some of them are run."""
        self._write(before_unfinished=self._seen)

    def note_changes(self) -> None:
        """Take what changed since the last call as meant, and write the snapshot."""
        now = read_schema(self._connection)
        for thing in self._seen.keys() | now.keys():
            if self._seen.get(thing) == now.get(thing):
                continue
            if thing in now:
                self._expected[thing] = now[thing]
            else:
                self._expected.pop(thing, None)
        self._seen = now
        self._write()

    def _write(self, before_unfinished: Schema | None = None) -> None:
        self._connection.execute(_TABLE)
        self._connection.execute(
            "INSERT INTO schema_snapshot (server, fingerprint, objects, before_unfinished) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (only_row) DO UPDATE SET recorded_at = now(), server = excluded.server,"
            " fingerprint = excluded.fingerprint, objects = excluded.objects,"
            " before_unfinished = excluded.before_unfinished",
            [
                _server(self._connection),
                fingerprint(self._expected),
                _to_json(self._expected),
                None if before_unfinished is None else _to_json(before_unfinished),
            ],
        )


def snapshot_is_current(connection: psycopg.Connection) -> bool:
    """Tell whether there is a snapshot, in the words of this version of the server."""
    if not _has_snapshot(connection):
        return False
    row = connection.execute("SELECT server FROM schema_snapshot").fetchone()
    return row is not None and row[0] == _server(connection)


def _reworded(expected: Schema, live: Schema) -> Schema:
    """Another version of the server prints the same definition in other words: only names can be compared."""
    return {thing: live.get(thing, definition) for thing, definition in expected.items()}


def _read_snapshot(connection: psycopg.Connection) -> _Snapshot | None:
    if not _has_snapshot(connection):
        return None
    row = connection.execute("SELECT server, objects, before_unfinished FROM schema_snapshot").fetchone()
    if row is None:
        return None
    server, objects, unfinished = row
    return _Snapshot(server, _from_json(objects), None if unfinished is None else _from_json(unfinished))


def _has_snapshot(connection: psycopg.Connection) -> bool:
    row = connection.execute("SELECT to_regclass('schema_snapshot') IS NOT NULL").fetchone()
    return row is not None and bool(row[0])


def _server(connection: psycopg.Connection) -> str:
    row = connection.execute(
        "SELECT concat_ws(', ', 'PostgreSQL ' || current_setting('server_version_num')::integer / 10000,"
        " (SELECT 'TimescaleDB ' || extversion FROM pg_extension WHERE extname = 'timescaledb'))"
    ).fetchone()
    return "" if row is None else str(row[0])


def _to_json(schema: Schema) -> str:
    return json.dumps(sorted([*thing, definition] for thing, definition in schema.items()))


def _from_json(objects: list[list[str]]) -> Schema:
    return {SchemaObject(kind, parent, name): definition for kind, parent, name, definition in objects}


def _excerpt(definition: str, limit: int = 120) -> str:
    text = " ".join(definition.split())
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")
