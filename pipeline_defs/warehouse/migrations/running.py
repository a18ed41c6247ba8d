"""Upgrade and downgrade: one process at a time, one transaction a migration."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline_defs.errors import WarehouseError
from pipeline_defs.warehouse.migrations.files import BASELINE, FLOOR, SQL_DIR, Migration
from pipeline_defs.warehouse.migrations.ledger import (
    MigrationState,
    State,
    checked_states,
    remove_entry,
    timescaledb_is_available,
    write_entry,
)
from pipeline_defs.warehouse.migrations.privileges import apply_privileges, become_migrator, warn_of
from pipeline_defs.warehouse.migrations.snapshot import SchemaRecorder, snapshot_is_current
from pipeline_defs.warehouse.migrations.statements import split_statements
from pipeline_defs.warehouse.seeds import market_rules_are_current, seed_market_rules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psycopg

    from pipeline_defs.warehouse.connection import Warehouse

OLDEST_SERVER = 150_000
"""PostgreSQL 15: unique indexes that treat nulls as equal keep an instrument from being made twice."""

LOCK_POLL_SECONDS = 0.1

_NO_RIGHT = "42501"

_LOCK = "market-data-pipeline migrations"


def upgrade(warehouse: Warehouse, directory: Path = SQL_DIR, *, to: int | None = None) -> list[Migration]:
    """Apply outstanding migrations; safe from any number of processes at once.

    Parameters
    ----------
    warehouse : Warehouse
        The database.
    directory : Path, default the project's ``sql``
        Where the layers lie.
    to : int, optional
        Leave out migrations with a higher number, except those of the baseline. The default applies all.

    Returns
    -------
    list of Migration
        Those applied by this call.

    Raises
    ------
    WarehouseError
        If an applied file has changed since, is unknown here or beyond what the server carries; if `to` is no
        migration's number; or if a migration fails, of which nothing is then kept.

    """
    with warehouse.connect() as connection, _explained("schema_migrations", keeps_nothing=True):
        _refuse_old_server(connection.info.server_version)
        states = checked_states(connection, directory)
        if not _wanted(states, to) and snapshot_is_current(connection) and not _rules_are_behind(connection, states):
            return []
    applied: list[Migration] = []
    problems: list[str] = []
    with _migrating(warehouse) as connection:
        _create_extension(connection)
        states = checked_states(connection, directory)
        recorder = SchemaRecorder(connection, is_new=all(entry.applied_at is None for entry in states))
        for migration in _wanted(states, to):
            with _explained(migration.name, keeps_nothing=migration.in_transaction):
                problems = _apply(connection, migration, recorder)
            applied.append(migration)
        if not snapshot_is_current(connection):
            recorder.note_changes()
        if _rules_are_behind(connection, checked_states(connection, directory)):
            with _explained("market rules", keeps_nothing=True):
                seed_market_rules(connection)
    warn_of(problems)
    return applied


def downgrade(
    warehouse: Warehouse, to: int, directory: Path = SQL_DIR, *, accept_loss: bool = False
) -> list[Migration]:
    """Undo the migrations that have a higher number, highest first, by the files that lie beside them.

    Each is undone in one transaction together with its line in the ledger. The next `upgrade` applies them again.

    Parameters
    ----------
    warehouse : Warehouse
        The database.
    to : int
        Number of the highest migration to keep; those of the baseline are kept in any case.
    directory : Path, default the project's ``sql``
        Where the layers lie.
    accept_loss : bool, default False
        Undo also what takes stored information with it.

    Returns
    -------
    list of Migration
        Those undone by this call.

    Raises
    ------
    WarehouseError
        If `to` is no migration's number or lies below the baseline; if a file with the way back is missing, or would
        destroy something that was not accepted: nothing is undone then; or if a file fails, of which nothing is kept.

    """
    undone: list[Migration] = []
    with _migrating(warehouse) as connection:
        states = checked_states(connection, directory)
        doomed = [
            entry.migration
            for entry in reversed(states)
            if entry.migration is not None and entry.applied_at is not None and _lies_above(entry.version, to)
        ]
        _check_number(states, to)
        _check_way_back(doomed, to, accept_loss=accept_loss)
        recorder = SchemaRecorder(connection, is_new=False)
        for migration in doomed:
            with _explained(migration.back_name, keeps_nothing=True), connection.transaction():
                connection.execute(migration.back or "")
                remove_entry(connection, migration)
                recorder.note_changes()
                apply_privileges(connection)
            undone.append(migration)
    return undone


def _lies_above(version: int, limit: int) -> bool:
    return version > limit and version not in BASELINE


def _wanted(states: list[MigrationState], to: int | None) -> list[Migration]:
    if to is not None:
        _check_number(states, to)
    return [
        entry.migration
        for entry in states
        if entry.state is State.OUTSTANDING
        and entry.migration is not None
        and (to is None or not _lies_above(entry.version, to))
    ]


def _check_number(states: list[MigrationState], number: int) -> None:
    known = [entry.version for entry in states]
    if number not in known:
        raise WarehouseError(
            f"there is no migration {number} for this server, expected one of {', '.join(map(str, known))}",
            next_step="take a number from 'pipeline db status'",
        )


def _check_way_back(doomed: list[Migration], to: int, *, accept_loss: bool) -> None:
    if to < FLOOR:
        raise WarehouseError(
            f"the way back ends at {FLOOR}, the baseline of the first release; {to} lies below it",
            next_step=f"take {FLOOR} or a higher number; to be rid of everything, drop the database",
        )
    missing = [migration.back_name for migration in doomed if migration.back is None]
    if missing:
        raise WarehouseError(
            "there is no way back from a migration without its file: " + ", ".join(missing),
            next_step="use the pipeline version that has the file, or restore a backup",
        )
    losses = [f"{migration.name} loses {migration.loses}" for migration in doomed if migration.loses is not None]
    if losses and not accept_loss:
        raise WarehouseError(
            "the way back would destroy what is stored:\n  " + "\n  ".join(losses),
            next_step="make a backup (pg_dump), then repeat the command with --yes",
        )


def _apply(connection: psycopg.Connection, migration: Migration, recorder: SchemaRecorder) -> list[str]:
    """Apply one migration; give what the user had no right to say about owners and rights."""
    if not migration.in_transaction:
        recorder.begin_unfinished()
        for statement in split_statements(migration.sql):
            connection.execute(statement)
    with connection.transaction():
        if migration.in_transaction:
            connection.execute(migration.sql)
        write_entry(connection, migration)
        recorder.note_changes()
        return apply_privileges(connection)


def _rules_are_behind(connection: psycopg.Connection, states: list[MigrationState]) -> bool:
    """Sessions and expiry rules are written only into the newest schema: this code knows no other."""
    if any(entry.state is not State.APPLIED for entry in states):
        return False
    found = connection.execute("SELECT to_regclass('market_rules_ledger') IS NOT NULL").fetchone()
    return found is not None and bool(found[0]) and not market_rules_are_current(connection)


@contextmanager
def _migrating(warehouse: Warehouse) -> Iterator[psycopg.Connection]:
    """Give a connection that no other migrating process has at the same time; the lock ends with it."""
    with warehouse.connect(autocommit=True) as connection:
        # Asking again in place of waiting inside a statement: that would hold a snapshot, for which an index that is
        # built concurrently by the process with the lock would wait in its turn.
        while not _take_lock(connection):
            time.sleep(LOCK_POLL_SECONDS)
        connection.execute("SET client_min_messages = warning")
        become_migrator(connection)
        yield connection


def _take_lock(connection: psycopg.Connection) -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [_LOCK]).fetchone()
    return row is not None and bool(row[0])


@contextmanager
def _explained(name: str, *, keeps_nothing: bool) -> Iterator[None]:
    from psycopg import Error  # noqa: PLC0415 -- a client library is loaded where it is used

    try:
        yield
    except Error as error:
        kept = "nothing of it was kept" if keeps_nothing else "it may have been run in part and can be run again"
        mend = "mend the cause and run the command again"
        if error.sqlstate == _NO_RIGHT:
            mend = (
                "have a login that is in pipeline_migrator, or owns the tables, run 'pipeline db upgrade'; then run the"
                " command again"
            )
        state = f" (SQLSTATE {error.sqlstate})" if error.sqlstate else ""
        raise WarehouseError(
            f"the database refused: {str(error).strip()}{state}",
            where=name,
            next_step=f"{kept}, what went before it stays; {mend}",
        ) from error


def _create_extension(connection: psycopg.Connection) -> None:
    if not timescaledb_is_available(connection):
        return
    with _explained("CREATE EXTENSION timescaledb", keeps_nothing=True):
        connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")


def _refuse_old_server(version: int) -> None:
    if version < OLDEST_SERVER:
        raise WarehouseError(
            f"the server is PostgreSQL {version // 10_000}, expected 15 or newer",
            next_step="upgrade the server, or unset PIPELINE_DATABASE_URL to use the embedded one",
        )
