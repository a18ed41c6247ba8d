"""Numbered SQL files under ``sql/``: applied once each, in order, by one process at a time.

``sql/common`` runs on every server; ``sql/timescaledb`` only where the extension can be had. A file that has been
applied must not change: its checksum is compared on every start.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline_defs.errors import WarehouseError
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_defs.warehouse.seeds import market_rules_are_current, seed_market_rules

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

    from pipeline_defs.warehouse.connection import Warehouse

SQL_DIR = PROJECT_ROOT / "sql"
OLDEST_SERVER = 150_000
"""PostgreSQL 15: unique indexes that treat nulls as equal keep an instrument from being made twice."""

_LOCK = "market-data-pipeline migrations"

_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One SQL file.

    Parameters
    ----------
    version : int
        The number the file name starts with.
    name : str
        Layer and file name, e.g. ``common/0001_instruments_and_rules.sql``.
    sql : str
        Content.

    """

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the content."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read_migrations(layer: str, directory: Path = SQL_DIR) -> list[Migration]:
    """Read the migrations of a layer.

    Parameters
    ----------
    layer : str
        ``common`` or ``timescaledb``.
    directory : Path, default the project's ``sql``
        Where the layers lie.

    Returns
    -------
    list of Migration
        By version.

    Raises
    ------
    WarehouseError
        If a file does not start with a number, or two share one.

    """
    migrations: dict[int, Migration] = {}
    for path in sorted((directory / layer).glob("*.sql")):
        number = path.name.partition("_")[0]
        if not number.isdecimal() or int(number) in migrations:
            raise WarehouseError(
                f"migration file names start with a number of their own, this one with {number!r}",
                where=f"{layer}/{path.name}",
                next_step="rename the file",
            )
        migrations[int(number)] = Migration(int(number), f"{layer}/{path.name}", path.read_text(encoding="utf-8"))
    return list(migrations.values())


def upgrade(warehouse: Warehouse, directory: Path = SQL_DIR) -> list[Migration]:
    """Apply outstanding migrations; safe from any number of processes at once.

    Parameters
    ----------
    warehouse : Warehouse
        The database.
    directory : Path, default the project's ``sql``
        Where the layers lie.

    Returns
    -------
    list of Migration
        Those applied by this call.

    Raises
    ------
    WarehouseError
        If an applied file has changed since, or one is unknown here.

    """
    applied: list[Migration] = []
    with warehouse.connect() as connection:
        _refuse_old_server(connection.info.server_version)
        if not _outstanding(connection, directory) and market_rules_are_current(connection):
            return applied
    with warehouse.connect(autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [_LOCK])
        connection.execute("SET client_min_messages = warning")
        if _timescaledb_is_available(connection):
            connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        for migration in _outstanding(connection, directory):
            with connection.transaction():
                connection.execute(migration.sql)
                connection.execute(_LEDGER)
                connection.execute(
                    "INSERT INTO schema_migrations (version, name, checksum) VALUES (%s, %s, %s)",
                    [migration.version, migration.name, migration.checksum],
                )
            applied.append(migration)
        if not market_rules_are_current(connection):
            seed_market_rules(connection)
    return applied


def _refuse_old_server(version: int) -> None:
    if version < OLDEST_SERVER:
        raise WarehouseError(
            f"the server is PostgreSQL {version // 10_000}, expected 15 or newer",
            next_step="upgrade the server, or unset PIPELINE_DATABASE_URL to use the embedded one",
        )


def _outstanding(connection: psycopg.Connection, directory: Path) -> list[Migration]:
    known = read_migrations("common", directory)
    if _timescaledb_is_available(connection):
        known += read_migrations("timescaledb", directory)
    ledger = connection.execute("SELECT to_regclass('schema_migrations') IS NOT NULL").fetchone()
    if ledger is None or not ledger[0]:
        return known
    rows = connection.execute("SELECT version, name, checksum FROM schema_migrations").fetchall()
    checksums = {version: (name, checksum) for version, name, checksum in rows}
    by_version = {migration.version: migration for migration in known}
    for version, (name, checksum) in sorted(checksums.items()):
        if version not in by_version:
            raise WarehouseError(
                f"the database knows migration {version} ({name}), this version of the pipeline does not",
                where="schema_migrations",
                next_step="use the pipeline version that wrote this database, or a newer one",
            )
        if by_version[version].checksum != checksum:
            raise WarehouseError(
                f"migration {name} was changed after it had been applied",
                where=by_version[version].name,
                next_step="restore the file and put the change into a new migration",
            )
    return [migration for migration in known if migration.version not in checksums]


def _timescaledb_is_available(connection: psycopg.Connection) -> bool:
    """Tell whether the server offers the extension; plain PostgreSQL does not."""
    row = connection.execute("SELECT count(*) FROM pg_available_extensions WHERE name = 'timescaledb'").fetchone()
    return row is not None and bool(row[0])
