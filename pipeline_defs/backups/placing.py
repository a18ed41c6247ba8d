"""Files of a backup into their places: staged beside them and compared first, then put there.

A folder appears by one rename. Objects of an export appear with its manifest, as any publication does. What a place
holds already must be what the backup would put there; so a restore that was broken off can be run again.
"""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline_defs.backups.places import catalogs_in, digest_of, list_tree
from pipeline_defs.errors import StorageError
from pipeline_defs.storage.answers import Upload
from pipeline_defs.storage.locations import Location, S3Location
from pipeline_defs.storage.objects import ObjectStore
from pipeline_defs.storage.publish import publish_directory
from pipeline_defs.storage.publish_objects import publish_objects

if TYPE_CHECKING:
    from pipeline_defs.backups.manifest import TreeEntry
    from pipeline_defs.backups.repository import Repository

_SHOWN: Final = 5


class PlacedTree(ABC):
    """A tree on its way into its place."""

    @abstractmethod
    def stage(self) -> None:
        """Fetch every file, compare it, and refuse a place that holds anything else."""

    @abstractmethod
    def place(self) -> str | None:
        """Put it there; name what was there before, if that was set aside."""

    @abstractmethod
    def discard(self) -> None:
        """Remove what was staged and not placed."""


def placing(repository: Repository, tree: TreeEntry, place: Location, *, set_aside: str | None) -> PlacedTree:
    """Choose how a tree gets into its place.

    Parameters
    ----------
    repository : Repository
        Where its files are.
    tree : TreeEntry
        Which files.
    place : Path or S3Location
        Where they go.
    set_aside : str or None
        What is added to the name of a folder that is there already; None refuses one that holds other files.

    """
    if isinstance(place, S3Location):
        return _Objects(repository, tree, place)
    return _Folder(repository, tree, place, set_aside)


class _Folder(PlacedTree):
    def __init__(self, repository: Repository, tree: TreeEntry, place: Path, set_aside: str | None) -> None:
        self._repository = repository
        self._tree = tree
        self._place = place
        self._set_aside = set_aside
        self._staged: Path | None = None

    def stage(self) -> None:
        if self._set_aside is None:
            _refuse_others(self._tree, self._place, None)
        self._place.parent.mkdir(parents=True, exist_ok=True)
        self._staged = Path(tempfile.mkdtemp(prefix=f".{self._place.name}.restoring-", dir=self._place.parent))
        self._staged.chmod(0o755)
        for entry in self._tree.files:
            target = self._staged / entry.path
            target.parent.mkdir(parents=True, exist_ok=True)
            self._repository.fetch_file(entry, target)

    def place(self) -> str | None:
        assert self._staged is not None  # noqa: S101 -- staged first
        former = None
        if self._set_aside is not None and self._place.exists():
            former = self._place.with_name(f"{self._place.name}.before-{self._set_aside}")
            self._place.rename(former)
        publish_directory(self._staged, self._place)
        self._staged = None
        return None if former is None else str(former)

    def discard(self) -> None:
        if self._staged is not None:
            shutil.rmtree(self._staged, ignore_errors=True)


class _Objects(PlacedTree):
    def __init__(self, repository: Repository, tree: TreeEntry, place: S3Location) -> None:
        self._repository = repository
        self._tree = tree
        self._place = place
        self._store = ObjectStore.open()
        self._folder = tempfile.TemporaryDirectory(prefix="pipeline-restore-")

    def stage(self) -> None:
        _refuse_others(self._tree, self._place, self._store)
        for entry in self._tree.files:
            target = Path(self._folder.name) / entry.path
            target.parent.mkdir(parents=True, exist_ok=True)
            self._repository.fetch_file(entry, target)

    def place(self) -> str | None:
        root = Path(self._folder.name)
        exports = catalogs_in(self._tree.files)
        for folder in sorted(exports):
            publish_objects(self._store, root / folder, self._place / folder if folder else self._place)
        single = [
            Upload(root / entry.path, self._place / entry.path, entry.sha256, entry.size_bytes)
            for entry in self._tree.files
            if not any(entry.path.startswith(f"{folder}/" if folder else "") for folder in exports)
        ]
        self._store.each(self._store.upload, single)
        return None

    def discard(self) -> None:
        self._folder.cleanup()


def _refuse_others(tree: TreeEntry, place: Location, store: ObjectStore | None) -> None:
    """Refuse a place that holds anything but files of this tree."""
    expected = {entry.path: entry for entry in tree.files}
    others = []
    for file in list_tree(place, store):
        entry = expected.get(file.path)
        digest = file.sha256
        if isinstance(place, Path):
            digest = digest_of(place / file.path)
        if entry is None or entry.size_bytes != file.size_bytes or digest not in {None, entry.sha256}:
            others.append(file.path)
    if others:
        raise StorageError(
            f"is not empty: it holds {len(others)} files that are not of the backup, the first"
            f" {', '.join(others[:_SHOWN])}; nothing was restored",
            where=str(place),
            next_step=(
                "name an empty prefix by PIPELINE_OBJECT_STORE"
                if isinstance(place, S3Location)
                else "set it aside by --replace, or restore with another PIPELINE_HOME"
            ),
        )
