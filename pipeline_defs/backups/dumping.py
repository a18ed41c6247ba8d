"""A database into a file: ``pg_dump`` and the checksums of every table, both in one snapshot.

The server computes the checksums while the dump is written. Whatever commits meanwhile is in neither.
"""

from __future__ import annotations

import contextlib
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.backups import checksums, programs
from pipeline_defs.backups.manifest import DatabaseEntry, FileEntry
from pipeline_defs.backups.places import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psycopg

    from pipeline_defs.warehouse.connection import Warehouse

_COMPRESSION: Final = "gzip:1"
"""A third of the time of the default level for a tenth more bytes."""

_ROLES: Final = """
SELECT DISTINCT r.rolname FROM (
    SELECT (aclexplode(relacl)).grantee FROM pg_class
    UNION SELECT (aclexplode(attacl)).grantee FROM pg_attribute
    UNION SELECT (aclexplode(proacl)).grantee FROM pg_proc
    UNION SELECT (aclexplode(nspacl)).grantee FROM pg_namespace
    UNION SELECT (aclexplode(typacl)).grantee FROM pg_type
    UNION SELECT (aclexplode(defaclacl)).grantee FROM pg_default_acl
    UNION SELECT defaclrole FROM pg_default_acl
    UNION SELECT unnest(polroles) FROM pg_policy
) AS granted JOIN pg_roles AS r ON r.oid = granted.grantee
WHERE r.rolname !~ '^pg_' ORDER BY r.rolname
"""


@dataclass(frozen=True, slots=True)
class Dumped:
    """A database in a file.

    Parameters
    ----------
    entry : DatabaseEntry
        What the manifest says of it.
    catalogs : dict of str to str
        Of the same snapshot: hash of the export that was last published at each place.

    """

    entry: DatabaseEntry
    catalogs: dict[str, str]


def dump(name: str, warehouse: Warehouse, folder: Path) -> Dumped:
    """Write a database into a file.

    Parameters
    ----------
    name : str
        Of the file, without ``.dump``.
    warehouse : Warehouse
        The database, whose owner's rights are needed: every table is read.
    folder : Path
        Where the file goes.

    Raises
    ------
    ConfigurationError
        If the programs are older than the server.
    WarehouseError
        If ``pg_dump`` fails, in its own words.

    """
    target = folder / f"{name}.dump"
    with warehouse.connect(autocommit=True) as connection:
        server = connection.info.server_version // 10_000
        programs.refuse_older_programs(server)
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        timescaledb = _value(connection, "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'")
        roles = tuple(str(role) for (role,) in connection.execute(_ROLES).fetchall())
        migrations = _migrations(connection)
        catalogs = _catalogs(connection)
        snapshot = str(_value(connection, "SELECT pg_export_snapshot()"))
        with _dumping(warehouse, snapshot, target):
            tables = checksums.compute(connection)
        connection.execute("ROLLBACK")
    entry = FileEntry(target.name, digest_of(target), target.stat().st_size)
    return Dumped(DatabaseEntry(name, server, timescaledb, migrations, roles, tuple(tables), entry), catalogs)


@contextlib.contextmanager
def _dumping(warehouse: Warehouse, snapshot: str, target: Path) -> Iterator[None]:
    """Run ``pg_dump`` beside what is done within; end it if that fails."""
    told = programs.environment(warehouse.url)
    command: list[str | Path] = [
        programs.program("pg_dump"),
        "--format=custom",
        f"--compress={_COMPRESSION}",
        "--no-password",
    ]
    with (target.parent / f"{target.stem}.said").open("w+", encoding="utf-8", errors="replace") as said:
        process = subprocess.Popen(  # noqa: S603 -- PostgreSQL's own program
            [*command, f"--snapshot={snapshot}", f"--file={target}"],
            env=told,
            stdin=subprocess.DEVNULL,
            stderr=said,
        )
        try:
            yield
        except BaseException:
            process.kill()
            process.wait()
            raise
        if process.wait() != 0:
            said.seek(0)
            raise programs.failed(
                "pg_dump",
                said.read(),
                told,
                where=warehouse.public_url,
                next_step="make room, or give the login the rights to read every table, and back up again",
            )


def _migrations(connection: psycopg.Connection) -> dict[str, str]:
    if _value(connection, "SELECT to_regclass('schema_migrations')::text") is None:
        return {}
    rows = connection.execute("SELECT version::text, checksum FROM schema_migrations ORDER BY version").fetchall()
    return {str(version): str(checksum) for version, checksum in rows}


def _catalogs(connection: psycopg.Connection) -> dict[str, str]:
    if _value(connection, "SELECT to_regclass('catalogs')::text") is None:
        return {}
    rows = connection.execute(
        "SELECT DISTINCT ON (path) path, catalog_hash FROM catalogs ORDER BY path, catalog_id DESC"
    ).fetchall()
    return {str(path): str(digest) for path, digest in rows}


def _value(connection: psycopg.Connection, query: str) -> str | None:
    row = connection.execute(query.encode()).fetchone()
    return None if row is None or row[0] is None else str(row[0])
