"""The backups of one place: which there are, which are complete, and the files they share.

``backups/<id>/<database>.dump``     what ``pg_dump`` wrote
``backups/<id>/manifest.json``       written last: a backup without one was interrupted, and is never restored
``files/<ab>/<sha256>``              catalogs' files and deliveries by their digests, each kept once for all backups
"""

from __future__ import annotations

import datetime as dt
import secrets
from typing import TYPE_CHECKING, Final

from pipeline_defs.backups.manifest import MANIFEST_NAME, Manifest
from pipeline_defs.backups.shelf import Shelf, open_shelf
from pipeline_defs.errors import ConfigurationError, StorageError

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.backups.manifest import DatabaseEntry, FileEntry
    from pipeline_defs.storage.locations import Location

BACKUPS: Final = "backups"
FILES: Final = "files"
LATEST: Final = "latest"


class Repository:
    """Backups at a place.

    Parameters
    ----------
    shelf : Shelf
        Where they are.

    """

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    @classmethod
    def open(cls, place: Location) -> Repository:
        """Open a folder or a prefix in a bucket; it need not exist."""
        return cls(open_shelf(place))

    def identifiers(self) -> tuple[list[str], list[str]]:
        """Name the backups, oldest first: those that are complete, and those that were interrupted."""
        paths = self.shelf.sizes(BACKUPS)
        known = sorted({path.partition("/")[0] for path in paths})
        complete = [name for name in known if f"{name}/{MANIFEST_NAME}" in paths]
        return complete, [name for name in known if name not in complete]

    def manifest(self, wanted: str = LATEST) -> Manifest:
        """Read the manifest of a backup.

        Parameters
        ----------
        wanted : str, default "latest"
            Its name.

        Raises
        ------
        ConfigurationError
            If there is no complete backup of that name.
        StorageError
            If its manifest is damaged.

        """
        complete, interrupted = self.identifiers()
        if wanted == LATEST and complete:
            wanted = complete[-1]
        if wanted not in complete:
            what = "was interrupted and is not complete" if wanted in interrupted else "is no backup"
            raise ConfigurationError(
                f"{wanted!r} {what}, expected one of: {', '.join(complete) or 'none, there is no complete backup'}",
                where=str(self.shelf.place),
                next_step="see 'pipeline backup list'",
            )
        path = f"{BACKUPS}/{wanted}/{MANIFEST_NAME}"
        data = self.shelf.read(path)
        if data is None:
            raise StorageError("is gone", where=self.where(path))
        found = Manifest.of_bytes(data, self.where(path))
        if found.backup_id != wanted:
            raise StorageError(
                f"is the manifest of {found.backup_id}",
                where=self.where(path),
                next_step="somebody has moved it: take another backup",
            )
        return found

    def where(self, path: str) -> str:
        """Name a file of the place in full."""
        return str(self.shelf.place / path)

    def fetch_dump(self, manifest: Manifest, database: DatabaseEntry, target: Path) -> None:
        """Copy a dump out.

        Raises
        ------
        StorageError
            If it is missing or is not what was put in; the file is named.

        """
        self._fetch(dump_path(manifest.backup_id, database.dump), database.dump, target)

    def fetch_file(self, entry: FileEntry, target: Path) -> None:
        """Copy a file out; see `fetch_dump`."""
        self._fetch(file_path(entry.sha256), entry, target)

    def _fetch(self, path: str, entry: FileEntry, target: Path) -> None:
        digest = self.shelf.fetch(path, target)
        if digest != entry.sha256:
            raise StorageError(
                f"expected {entry.path} with sha256 {entry.sha256}, found {digest or 'no such file'}",
                where=self.where(path),
                next_step="the backup is damaged there: take another one, or bring that file back from a copy",
            )


def new_identifier() -> str:
    """Name a new backup: by microseconds, so that the newest sorts last."""
    return f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S-%fZ}-{secrets.token_hex(3)}"


def dump_path(backup_id: str, dump: FileEntry) -> str:
    """Give the place of a dump."""
    return f"{BACKUPS}/{backup_id}/{dump.path}"


def file_path(sha256: str) -> str:
    """Give the place of a file by its digest."""
    return f"{FILES}/{sha256[:2]}/{sha256}"
