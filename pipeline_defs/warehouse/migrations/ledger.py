"""Which migrations a database holds, and how they compare with the files of this version."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline_defs.errors import WarehouseError
from pipeline_defs.warehouse.migrations.files import LAYERS, SQL_DIR, Migration, read_layers

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    import psycopg

_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class State(enum.StrEnum):
    """How a migration stands in a database."""

    APPLIED = "applied"
    OUTSTANDING = "outstanding"
    CHANGED = "changed"
    """Applied, and its file is another one since."""
    UNKNOWN = "unknown"
    """Applied by a version of the pipeline that has a file which this one does not have."""
    STRANDED = "stranded"
    """Applied, but the server can no longer carry its layer."""


@dataclass(frozen=True, slots=True)
class MigrationState:
    """A migration as one database sees it.

    Parameters
    ----------
    version : int
        Its number.
    name : str
        Layer and file name; as the database wrote it down where the file is missing.
    state : State
        How it stands.
    applied_at : datetime, optional
        When it was applied; None while outstanding.
    migration : Migration, optional
        The file; None if this version does not have it.

    """

    version: int
    name: str
    state: State
    applied_at: dt.datetime | None = None
    migration: Migration | None = None

    @property
    def layer(self) -> str:
        """The first part of the name."""
        return self.name.partition("/")[0]

    def to_json(self) -> dict[str, Any]:
        """Give a JSON-ready form."""
        return {
            "layer": self.layer,
            "version": self.version,
            "name": self.name,
            "state": self.state.value,
            "applied_at": None if self.applied_at is None else self.applied_at.isoformat(),
            "way_back": self.migration is not None and self.migration.back is not None,
            "loses": None if self.migration is None else self.migration.loses,
        }


def server_layers(connection: psycopg.Connection) -> list[str]:
    """Name the layers of migrations that the server can carry, in the order in which they are applied."""
    if not timescaledb_is_available(connection):
        return ["common"]
    licence = connection.execute("SELECT current_setting('timescaledb.license', true)").fetchone()
    full = licence is not None and licence[0] == "timescale"
    return ["common", "timescaledb", *(["timescaledb_full"] if full else [])]


def timescaledb_is_available(connection: psycopg.Connection) -> bool:
    """Tell whether the server offers the extension; plain PostgreSQL does not."""
    row = connection.execute("SELECT count(*) FROM pg_available_extensions WHERE name = 'timescaledb'").fetchone()
    return row is not None and bool(row[0])


def migration_states(connection: psycopg.Connection, directory: Path = SQL_DIR) -> list[MigrationState]:
    """Compare the database with the files; writes nothing.

    Parameters
    ----------
    connection : psycopg.Connection
        To the database.
    directory : Path, default the project's ``sql``
        Where the layers lie.

    Returns
    -------
    list of MigrationState
        Of every migration that is applied, or could be, in the order in which a new database gets them.

    """
    carried = set(server_layers(connection))
    files = {migration.version: migration for migration in read_layers(LAYERS, directory)}
    rows = {version: (name, checksum, applied_at) for version, name, checksum, applied_at in _read_ledger(connection)}
    states = [
        MigrationState(version, files[version].name, State.OUTSTANDING, migration=files[version])
        for version in files.keys() - rows.keys()
        if files[version].layer in carried
    ]
    for version, (name, checksum, applied_at) in rows.items():
        file = files.get(version)
        if file is None:
            state = State.UNKNOWN
        elif file.layer not in carried:
            state = State.STRANDED
        else:
            state = State.APPLIED if file.checksum == checksum else State.CHANGED
        states.append(MigrationState(version, name, state, applied_at, file))
    return sorted(states, key=lambda entry: entry.version)


def checked_states(connection: psycopg.Connection, directory: Path) -> list[MigrationState]:
    """Give the states of a database that may be migrated.

    Raises
    ------
    WarehouseError
        If an applied file has changed since, is unknown here, or belongs to a layer that the server no longer carries.

    """
    states = migration_states(connection, directory)
    for entry in states:
        if entry.state is State.UNKNOWN:
            raise WarehouseError(
                f"the database knows migration {entry.version} ({entry.name}), this version of the pipeline does not",
                where="schema_migrations",
                next_step="use the pipeline version that wrote this database, or a newer one",
            )
        if entry.state is State.CHANGED:
            raise WarehouseError(
                f"migration {entry.name} was changed after it had been applied",
                where=entry.name,
                next_step="restore the file and put the change into a new migration",
            )
        if entry.state is State.STRANDED:
            raise WarehouseError(
                f"the database holds {entry.name}, but the server can no longer carry the layer"
                f" {entry.layer!r}: it carries {', '.join(server_layers(connection))}",
                where="schema_migrations",
                next_step=(
                    "give the server back the edition it had: the timescaledb extension, and timescaledb.license ="
                    " 'timescale' for the full layer; to leave the full edition for good, undo its migrations on it"
                    " first with 'pipeline db downgrade'"
                ),
            )
    return states


def write_entry(connection: psycopg.Connection, migration: Migration) -> None:
    """Note that a migration was applied."""
    connection.execute(_LEDGER)
    connection.execute(
        "INSERT INTO schema_migrations (version, name, checksum) VALUES (%s, %s, %s)",
        [migration.version, migration.name, migration.checksum],
    )


def remove_entry(connection: psycopg.Connection, migration: Migration) -> None:
    """Note that a migration was undone."""
    connection.execute("DELETE FROM schema_migrations WHERE version = %s", [migration.version])


def _read_ledger(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    found = connection.execute("SELECT to_regclass('schema_migrations') IS NOT NULL").fetchone()
    if found is None or not found[0]:
        return []
    return connection.execute("SELECT version, name, checksum, applied_at FROM schema_migrations").fetchall()
