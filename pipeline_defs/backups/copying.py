"""Published files into a backup: each content once, and only what is not there already.

An export may be replaced while it is copied. Its manifest says which files belong together, so a tree whose files do
not match is listed and copied again.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline_defs.backups.manifest import FileEntry, TreeEntry
from pipeline_defs.backups.places import FoundFile, digest_of, list_tree
from pipeline_defs.backups.repository import FILES, file_path
from pipeline_defs.errors import StorageError
from pipeline_defs.storage.contents import MANIFEST_NAME
from pipeline_defs.storage.locations import Location, S3Location
from pipeline_defs.storage.objects import ObjectStore
from pipeline_defs.storage.publish_objects import objects_aside

if TYPE_CHECKING:
    from pipeline_defs.backups.repository import Repository

_TRIES: Final = 5


class Copier:
    """Copies trees into a repository.

    Parameters
    ----------
    repository : Repository
        Where to.
    workspace : Path
        For files on their way.

    """

    def __init__(self, repository: Repository, workspace: Path) -> None:
        self._repository = repository
        self._workspace = workspace
        self._there = {path.rpartition("/")[2]: size for path, size in repository.shelf.sizes(FILES).items()}
        self._store: ObjectStore | None = None
        self.copied = 0
        self.copied_bytes = 0

    def copy(self, name: str, place: Location) -> TreeEntry:
        """Copy a tree.

        Raises
        ------
        StorageError
            If a file is not what its manifest or its name says; nothing tells then which content would be right.

        """
        if isinstance(place, S3Location) and self._store is None:
            self._store = ObjectStore.open()
        for attempt in range(_TRIES):
            try:
                found = list_tree(place, self._store)
                files = tuple(self._copy_one(place, file) for file in found)
            except (StorageError, OSError) as error:
                if attempt == _TRIES - 1:
                    if isinstance(error, StorageError):
                        raise
                    raise StorageError(f"cannot be read: {error}", where=str(place)) from error
                continue
            return TreeEntry(name, str(place), files)
        raise AssertionError("unreachable")

    def _copy_one(self, place: Location, file: FoundFile) -> FileEntry:
        if file.sha256 is not None and self._there.get(file.sha256) == file.size_bytes:
            return FileEntry(file.path, file.sha256, file.size_bytes)
        arriving = self._workspace / "file"
        digest = self._read(place, file, arriving)
        if digest is None or (file.sha256 is not None and digest != file.sha256):
            raise StorageError(
                f"expected sha256 {file.sha256}, found {digest or 'no such file'}",
                where=str(place / file.path),
                next_step="it is damaged, or somebody has changed it: export it again, or remove it, then back up",
            )
        entry = FileEntry(file.path, digest, arriving.stat().st_size)
        if self._there.get(digest) != entry.size_bytes:
            self._repository.shelf.take(arriving, file_path(digest), entry)
            self._there[digest] = entry.size_bytes
            self.copied += 1
            self.copied_bytes += entry.size_bytes
        return entry

    def _read(self, place: Location, file: FoundFile, arriving: Path) -> str | None:
        if isinstance(place, Path):
            shutil.copyfile(place / file.path, arriving)
            return digest_of(arriving)
        assert self._store is not None  # noqa: S101 -- opened with the tree
        digest = self._store.download(place / file.path, arriving)
        if file.sha256 is None or digest == file.sha256 or file.path.endswith(MANIFEST_NAME):
            return digest
        # It is being, or was, replaced: then what the manifest names lies aside.
        for depth in range(1, file.path.count("/") + 1):
            prefix = place / "/".join(file.path.split("/")[:-depth])
            if (aside := self._store.download(objects_aside(prefix, file.sha256), arriving)) == file.sha256:
                return aside
        return digest
