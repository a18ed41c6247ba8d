"""What a backup says about itself: ``manifest.json``, written last, so that a backup with one is complete.

The manifest carries its own SHA-256: a bit that flipped in it is found like one in any other file.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from pipeline_defs.backups.checksums import TableChecksum
from pipeline_defs.errors import StorageError

MANIFEST_NAME: Final = "manifest.json"
_KIND: Final = "market-data-pipeline backup"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True, order=True)
class FileEntry:
    """A file of a backup.

    Parameters
    ----------
    path : str
        Relative, with ``/``.
    sha256 : str
        Of its content.
    size_bytes : int
        Its size.

    """

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class DatabaseEntry:
    """A database in a backup, as it was in one snapshot.

    Parameters
    ----------
    name : str
        ``warehouse``, or ``dagster`` where Dagster keeps its tables in a database of their own.
    server : int
        Major version of PostgreSQL.
    timescaledb : str or None
        Version of the extension.
    migrations : dict of str to str
        Checksum by the number of each migration that was applied.
    roles : tuple of str
        Roles that rights were granted to; a dump names them and does not hold them.
    tables : tuple of TableChecksum
        What every table held.
    dump : FileEntry
        What ``pg_dump`` wrote.

    """

    name: str
    server: int
    timescaledb: str | None
    migrations: dict[str, str]
    roles: tuple[str, ...]
    tables: tuple[TableChecksum, ...]
    dump: FileEntry


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """A folder or prefix in a backup.

    Parameters
    ----------
    name : str
        Which of the product's places it was: see `places`.
    place : str
        Where it was.
    files : tuple of FileEntry
        In the order of their paths.

    """

    name: str
    place: str
    files: tuple[FileEntry, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A complete backup.

    Parameters
    ----------
    backup_id : str
        Its name, which sorts by time.
    begun_at, finished_at : str
        UTC, in ISO 8601.
    written_by : dict of str to str
        Versions of the pipeline and of ``pg_dump``.
    databases : tuple of DatabaseEntry
        In the order in which they were dumped.
    trees : tuple of TreeEntry
        Published catalogs and archived deliveries.
    notes : tuple of str
        What whoever restores it should know.

    """

    backup_id: str
    begun_at: str
    finished_at: str
    written_by: dict[str, str]
    databases: tuple[DatabaseEntry, ...]
    trees: tuple[TreeEntry, ...]
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Of all tables."""
        return sum(table.rows for database in self.databases for table in database.tables)

    @property
    def files(self) -> int:
        """Of all trees."""
        return sum(len(tree.files) for tree in self.trees)

    @property
    def size_bytes(self) -> int:
        """Dumps and files, each content once."""
        contents = {entry.sha256: entry.size_bytes for tree in self.trees for entry in tree.files}
        return sum(contents.values()) + sum(database.dump.size_bytes for database in self.databases)

    def to_bytes(self) -> bytes:
        """Write it, with its own digest."""
        content = {"kind": _KIND, "version": _VERSION, **asdict(self)}
        return json.dumps({"sha256": _digest(content), "backup": content}, indent=1, sort_keys=True).encode()

    @classmethod
    def of_bytes(cls, data: bytes, where: str) -> Self:
        """Read one.

        Raises
        ------
        StorageError
            If it is damaged, none of ours, or of a newer version.

        """
        try:
            whole = json.loads(data)
            content = whole["backup"]
            if content["kind"] != _KIND or _digest(content) != whole["sha256"]:
                raise ValueError("its content does not have the digest that it names")  # noqa: TRY301 -- one answer
            if content["version"] > _VERSION:
                raise StorageError(
                    f"is of version {content['version']}, this pipeline knows {_VERSION}",
                    where=where,
                    next_step="use the pipeline that wrote it, or a newer one",
                )
            return cls(
                content["backup_id"],
                content["begun_at"],
                content["finished_at"],
                content["written_by"],
                tuple(_database(entry) for entry in content["databases"]),
                tuple(
                    TreeEntry(tree["name"], tree["place"], tuple(FileEntry(**entry) for entry in tree["files"]))
                    for tree in content["trees"]
                ),
                tuple(content["notes"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StorageError(
                f"is damaged, or not the manifest of a backup: {error}",
                where=where,
                next_step="take another backup: see 'pipeline backup list'",
            ) from None


def _database(entry: dict[str, Any]) -> DatabaseEntry:
    tables = tuple(TableChecksum(**table) for table in entry["tables"])
    return DatabaseEntry(
        entry["name"],
        entry["server"],
        entry["timescaledb"],
        entry["migrations"],
        tuple(entry["roles"]),
        tables,
        FileEntry(**entry["dump"]),
    )


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
