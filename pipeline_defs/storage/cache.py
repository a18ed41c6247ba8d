"""Local copies of catalogs that lie in an object store: bounded, shared by processes, never half there.

    with cached_catalog("s3://bucket/catalogs/nautilus/NIFTY/2025-08") as folder:
        catalog = ParquetDataCatalog(str(folder))

One conditional request for the manifest tells whether the copy is still the published export; if so, nothing else is
asked for. How an export is fetched belongs to `download`, which engine reads it to nobody here.

Below the cache's folder, a copy with the name ``ID`` (of its URL and its manifest) is::

    ID.json      where it comes from, its ETag and size; its time of change is when it was last used.
    ID.lock      held by readers together, by whoever fetches or removes it alone. The kernel lets go of a dead
                 process's locks, so nothing is ever left in use.
    ID/          the files, there once they are complete.
    ID.partial/  the files on their way.

``lock`` is held for the moments in which room is made.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import StorageError
from pipeline_defs.storage.answers import Answer
from pipeline_defs.storage.contents import MANIFEST_NAME, Contents, parse_contents, read_contents_of
from pipeline_defs.storage.download import ReplacedError, fetch, no_export
from pipeline_defs.storage.file_locks import is_at, lock_file
from pipeline_defs.storage.locations import S3Location, parse_s3
from pipeline_defs.storage.objects import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_REPLACED_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class CachedCatalog:
    """One copy.

    Parameters
    ----------
    name : str
        Of its files in the cache's folder.
    url : str
        Where it comes from.
    etag : str
        Of the manifest it was made from.
    size_bytes : int
        What it takes, or will take once it is complete.
    used_at : float
        When it was last used, in seconds since 1970.
    is_complete : bool
        Whether it can be read.

    """

    name: str
    url: str
    etag: str
    size_bytes: int
    used_at: float
    is_complete: bool


class CatalogCache:
    """The cache below one folder.

    Parameters
    ----------
    folder : Path
        Made when it is first used.
    limit_bytes : int
        What all copies together may take.
    store : ObjectStore, optional
        Where catalogs come from; default: the store that the environment names.

    """

    def __init__(self, folder: Path, limit_bytes: int, store: ObjectStore | None = None) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._store = store

    @property
    def store(self) -> ObjectStore:
        """Where catalogs come from, opened when it is first needed."""
        if self._store is None:
            self._store = ObjectStore.open()
        return self._store

    @contextmanager
    def open(self, prefix: S3Location) -> Iterator[Path]:
        """Give a local folder with the export that is published at a prefix now.

        Parameters
        ----------
        prefix : S3Location
            The export.

        Yields
        ------
        Path
            For reading alone. It stays as it is, and is not removed, until the block ends.

        Raises
        ------
        StorageError
            If there is no export, the store fails, or there is no room: the catalog is larger than the limit, or
            copies that are being read leave too little.

        """
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor, folder = self._acquire(prefix)
        try:
            yield folder
        finally:
            os.close(descriptor)

    def catalogs(self) -> list[CachedCatalog]:
        """List the copies, those first that will be removed first."""
        found = [self._read_note(path) for path in self.folder.glob("*.json")]
        known = [copy for copy in found if copy is not None]
        newest: dict[str, float] = {}
        for copy in known:
            newest[copy.url] = max(newest.get(copy.url, 0), copy.used_at)
        # Of one catalog only the newest copy will be asked for again.
        return sorted(known, key=lambda copy: (copy.used_at == newest[copy.url], copy.used_at, copy.name))

    def clear(self, *, dry_run: bool = False) -> tuple[list[CachedCatalog], list[CachedCatalog]]:
        """Remove every copy that nobody reads.

        Parameters
        ----------
        dry_run : bool, default False
            Only tell which these are.

        Returns
        -------
        tuple of (list of CachedCatalog, list of CachedCatalog)
            What was removed, and what is being read.

        """
        removed: list[CachedCatalog] = []
        kept: list[CachedCatalog] = []
        for copy in self.catalogs():
            (removed if self._remove(copy.name, dry_run=dry_run) else kept).append(copy)
        return removed, kept

    def _acquire(self, prefix: S3Location) -> tuple[int, Path]:
        """Find or make the copy, and hold it for reading."""
        for attempt in range(_REPLACED_TRIES):
            held = self._hold_newest(prefix)
            etag = None if held is None else held[0].etag
            try:
                answer = self.store.read(prefix / MANIFEST_NAME, unless_etag=etag)
                if answer is Answer.MISSING:
                    raise no_export(prefix)
                if held is not None and answer is Answer.UNCHANGED:
                    copy, descriptor = held
                    held = None
                    os.utime(self.folder / f"{copy.name}.json")
                    return descriptor, self.folder / copy.name
            finally:
                if held is not None:
                    os.close(held[1])
            if isinstance(answer, Answer):
                continue
            contents = parse_contents(answer.data, str(prefix / MANIFEST_NAME))
            try:
                return self._make(prefix, contents, answer.etag)
            except ReplacedError:
                if attempt == _REPLACED_TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    def _hold_newest(self, prefix: S3Location) -> tuple[CachedCatalog, int] | None:
        """Hold the newest complete copy of a prefix for reading, if it is all there."""
        for copy in reversed(self.catalogs()):
            if copy.url != str(prefix) or not copy.is_complete:
                continue
            descriptor = lock_file(self.folder / f"{copy.name}.lock", fcntl.LOCK_SH)
            if self._is_whole(copy.name):
                return copy, descriptor
            os.close(descriptor)
        return None

    def _is_whole(self, name: str) -> bool:
        """Tell whether every file of a copy is there with its size; who cleans up elsewhere may have taken some."""
        root = self.folder / name
        try:
            contents = read_contents_of(root)
            return all((root / path).stat().st_size == entry.size_bytes for path, entry in contents.objects.items())
        except (StorageError, OSError):
            return False

    def _make(self, prefix: S3Location, contents: Contents, etag: str) -> tuple[int, Path]:
        """Fetch an export unless another process has done it meanwhile, and hold it for reading."""
        name = hashlib.sha256(f"{prefix}\n{contents.sha256}".encode()).hexdigest()[:32]
        lock = self.folder / f"{name}.lock"
        while True:
            descriptor = lock_file(lock, fcntl.LOCK_EX)
            try:
                if not self._is_whole(name):
                    self._make_room(name, prefix, contents, etag)
                    self._fetch(name, prefix, contents)
                self._note(name, prefix, contents, etag)
            except BaseException:
                os.close(descriptor)
                raise
            self._remove_superseded(name, prefix)
            # Turning the lock into a reader's lets go of it for an instant, in which the copy might be removed.
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if is_at(descriptor, lock) and self._is_whole(name):
                return descriptor, self.folder / name
            os.close(descriptor)

    def _fetch(self, name: str, prefix: S3Location, contents: Contents) -> None:
        partial, folder = self.folder / f"{name}.partial", self.folder / name
        if folder.exists():  # with files missing
            shutil.rmtree(partial, ignore_errors=True)
            folder.rename(partial)
        self._reuse(prefix, contents, partial)
        fetch(self.store, prefix, contents, partial)
        for path in contents.objects:
            (partial / path).chmod(0o444)
        partial.rename(folder)

    def _reuse(self, prefix: S3Location, contents: Contents, partial: Path) -> None:
        """Take over files of other copies of the same catalog by a second name: only what changed is fetched."""
        for copy in self.catalogs():
            if copy.url != str(prefix) or not copy.is_complete:
                continue
            root = self.folder / copy.name
            try:
                there = read_contents_of(root).objects
            except StorageError:
                continue
            for path, entry in contents.objects.items():
                place = partial / path
                if there.get(path) == entry and not place.exists():
                    place.parent.mkdir(parents=True, exist_ok=True)
                    with suppress(OSError):  # removed meanwhile, or no second names here: then it is fetched
                        place.hardlink_to(root / path)

    def _make_room(self, name: str, prefix: S3Location, contents: Contents, etag: str) -> None:
        """Remove what was used longest ago until the new copy fits, and reserve its room."""
        needed = contents.size_bytes
        if needed > self.limit_bytes:
            raise StorageError(
                f"takes {needed:,} bytes, more than the cache may hold ({self.limit_bytes:,})",
                where=str(prefix),
                next_step="raise PIPELINE_CACHE_GIB, or download it with 'pipeline storage download'",
            )
        descriptor = lock_file(self.folder / "lock", fcntl.LOCK_EX)
        try:
            others = [copy for copy in self.catalogs() if copy.name != name]
            taken = sum(copy.size_bytes for copy in others)
            for copy in others:
                if taken + needed <= self.limit_bytes:
                    break
                if self._remove(copy.name):
                    taken -= copy.size_bytes
            if taken + needed > self.limit_bytes:
                raise StorageError(
                    f"takes {needed:,} bytes, but {taken:,} of the cache's {self.limit_bytes:,} are being read",
                    where=str(prefix),
                    next_step="wait until a backtest ends, or raise PIPELINE_CACHE_GIB",
                )
            self._note(name, prefix, contents, etag)
        finally:
            os.close(descriptor)

    def _remove_superseded(self, name: str, prefix: S3Location) -> None:
        for copy in self.catalogs():
            if copy.url == str(prefix) and copy.name != name:
                self._remove(copy.name)

    def _remove(self, name: str, *, dry_run: bool = False) -> bool:
        """Remove a copy unless it is being read or fetched; tell whether it is free."""
        lock = self.folder / f"{name}.lock"
        try:
            descriptor = lock_file(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        try:
            if dry_run:
                return True
            # The note goes last: it is what accounts for the room.
            for tree in (self.folder / name, self.folder / f"{name}.partial"):
                shutil.rmtree(tree, ignore_errors=True)
            (self.folder / f"{name}.json").unlink(missing_ok=True)
            lock.unlink(missing_ok=True)
        finally:
            os.close(descriptor)
        return True

    def _note(self, name: str, prefix: S3Location, contents: Contents, etag: str) -> None:
        note = {"url": str(prefix), "etag": etag, "size_bytes": contents.size_bytes}
        path = self.folder / f"{name}.json"
        arriving = path.with_suffix(f".note-{os.getpid()}")
        arriving.write_text(json.dumps(note), encoding="utf-8")
        arriving.replace(path)

    def _read_note(self, path: Path) -> CachedCatalog | None:
        try:
            note = json.loads(path.read_text(encoding="utf-8"))
            used_at = path.stat().st_mtime
            url, etag, size_bytes = str(note["url"]), str(note["etag"]), int(note["size_bytes"])
        except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError):  # removed, or damaged
            return None
        return CachedCatalog(path.stem, url, etag, size_bytes, used_at, (self.folder / path.stem).is_dir())


@contextmanager
def cached_catalog(url: str) -> Iterator[Path]:
    """Give a local folder with a published catalog, from the cache of this ``PIPELINE_HOME``.

    Parameters
    ----------
    url : str
        ``s3://bucket/prefix`` of the export.

    Yields
    ------
    Path
        See `CatalogCache.open`.

    Raises
    ------
    StorageError
        See `CatalogCache.open`.
    ConfigurationError
        If the URL, a setting or a variable is wrong.

    """
    from pipeline_defs.settings import load_settings  # noqa: PLC0415 -- only this way in knows of settings

    settings = load_settings()
    with CatalogCache(settings.cache_dir, settings.cache_bytes).open(parse_s3(url)) as folder:
        yield folder
