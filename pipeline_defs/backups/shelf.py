"""Where backups are kept: the same few operations on a folder and on a bucket.

Paths are relative to the place. A file is there as a whole or not at all. What the files mean belongs to `repository`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import tempfile
from abc import ABC, abstractmethod
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import StorageError
from pipeline_defs.storage.answers import Answer, Upload
from pipeline_defs.storage.locations import Location, S3Location
from pipeline_defs.storage.objects import ObjectStore
from pipeline_defs.storage.turns import turn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from pipeline_defs.backups.manifest import FileEntry

ARRIVING: Final = ".arriving"
_LEASE: Final = "lease.json"
_CHUNK_BYTES: Final = 1 << 20


class Shelf(ABC):
    """A place for files.

    Parameters
    ----------
    place : Path or S3Location
        Where it is.

    """

    place: Location

    @abstractmethod
    def only_writer(self) -> AbstractContextManager[None]:
        """Hold the only right to write."""

    @abstractmethod
    def workspace(self) -> AbstractContextManager[Path]:
        """Give a local folder for files on their way in."""

    @abstractmethod
    def sizes(self, below: str) -> dict[str, int]:
        """Give the size of everything below a path, by path relative to it."""

    @abstractmethod
    def read(self, path: str) -> bytes | None:
        """Read a small file; None if there is none."""

    @abstractmethod
    def write(self, path: str, data: bytes) -> None:
        """Write a small file."""

    @abstractmethod
    def take(self, file: Path, path: str, entry: FileEntry) -> None:
        """Take a local file in, which may be gone then."""

    @abstractmethod
    def fetch(self, path: str, target: Path) -> str | None:
        """Copy a file out; give the SHA-256 of what was read, None if there is none."""

    @abstractmethod
    def digest(self, path: str) -> str | None:
        """Read a file for its SHA-256 alone; None if there is none."""

    @abstractmethod
    def delete(self, paths: Iterable[str]) -> None:
        """Remove files; one that is gone already is no error."""


def open_shelf(place: Location) -> Shelf:
    """Open a folder or a prefix in a bucket."""
    return BucketShelf(place) if isinstance(place, S3Location) else FolderShelf(place)


class FolderShelf(Shelf):
    """A folder."""

    def __init__(self, place: Path) -> None:
        self.place: Path = place

    @contextmanager
    def only_writer(self) -> Iterator[None]:
        """Queue at the folder's lock, which ends with the process."""
        self.place.mkdir(parents=True, exist_ok=True)
        with (self.place / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for leftover in self.place.glob(f"{ARRIVING}-*"):  # of a writer that was killed: there is no other
                shutil.rmtree(leftover, ignore_errors=True)
            yield

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """Make a folder on the same filesystem, from which files are renamed into their places."""
        folder = Path(tempfile.mkdtemp(prefix=f"{ARRIVING}-", dir=self.place))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def sizes(self, below: str) -> dict[str, int]:
        """List the files."""
        root = self.place / below
        return {path.relative_to(root).as_posix(): path.stat().st_size for path in root.rglob("*") if path.is_file()}

    def read(self, path: str) -> bytes | None:
        """Read a file."""
        try:
            return (self.place / path).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, path: str, data: bytes) -> None:
        """Write a file under another name first."""
        arriving = self.place / f"{ARRIVING}-{secrets.token_hex(8)}"
        arriving.write_bytes(data)
        self._into_place(arriving, path)

    def take(self, file: Path, path: str, entry: FileEntry) -> None:
        """Rename a file of the workspace into its place."""
        if file.stat().st_size != entry.size_bytes:
            raise StorageError("was changed while it was taken into the backup", where=str(file))
        self._into_place(file, path)

    def fetch(self, path: str, target: Path) -> str | None:
        """Copy a file, reading it once."""
        digest = hashlib.sha256()
        try:
            source = (self.place / path).open("rb")
        except FileNotFoundError:
            return None
        with source, target.open("wb") as sink:
            while block := source.read(_CHUNK_BYTES):
                digest.update(block)
                sink.write(block)
        return digest.hexdigest()

    def digest(self, path: str) -> str | None:
        """Read a file."""
        return self.fetch(path, Path(os.devnull))

    def delete(self, paths: Iterable[str]) -> None:
        """Remove files, and folders that are empty then."""
        for path in paths:
            (self.place / path).unlink(missing_ok=True)
            parent = (self.place / path).parent
            if parent != self.place and parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()

    def _into_place(self, file: Path, path: str) -> None:
        target = self.place / path
        target.parent.mkdir(parents=True, exist_ok=True)
        _flush(file)
        file.replace(target)
        _flush(target.parent)


class BucketShelf(Shelf):
    """A prefix in a bucket of the store that the environment names."""

    def __init__(self, place: S3Location, store: ObjectStore | None = None) -> None:
        self.place: S3Location = place
        self.store = ObjectStore.open() if store is None else store

    @contextmanager
    def only_writer(self) -> Iterator[None]:
        """Hold the lease that lies there."""
        with turn(self.store, self.place / _LEASE):
            yield

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """Make a temporary folder: TMPDIR must have room for a dump."""
        with tempfile.TemporaryDirectory(prefix="pipeline-backup-") as folder:
            yield Path(folder)

    def sizes(self, below: str) -> dict[str, int]:
        """List the objects."""
        return {path: stored.size_bytes for path, stored in self.store.list_below(self.place / below).items()}

    def read(self, path: str) -> bytes | None:
        """Read an object."""
        found = self.store.read(self.place / path)
        return None if isinstance(found, Answer) else found.data

    def write(self, path: str, data: bytes) -> None:
        """Write an object."""
        self.store.write(self.place / path, data)

    def take(self, file: Path, path: str, entry: FileEntry) -> None:
        """Upload a file; the store compares its digest."""
        self.store.upload(Upload(file, self.place / path, entry.sha256, entry.size_bytes))

    def fetch(self, path: str, target: Path) -> str | None:
        """Download an object."""
        return self.store.download(self.place / path, target)

    def digest(self, path: str) -> str | None:
        """Read an object."""
        return self.store.digest(self.place / path)

    def delete(self, paths: Iterable[str]) -> None:
        """Delete objects."""
        self.store.delete_many(self.place / path for path in paths)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
