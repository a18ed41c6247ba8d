"""From a published prefix to a local folder, every byte compared with the manifest; and the comparison alone.

A download that was broken off goes on where it was. Where copies are kept, and for how long, belongs to the caller.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import StorageError
from pipeline_defs.storage.answers import Answer
from pipeline_defs.storage.contents import (
    MANIFEST_NAME,
    PUBLICATION_FOLDER,
    Contents,
    ObjectEntry,
    parse_contents,
    refuse_foreign,
)
from pipeline_defs.storage.publish import publish_directory
from pipeline_defs.storage.publish_objects import look, objects_aside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline_defs.storage.locations import S3Location
    from pipeline_defs.storage.objects import ObjectStore

_REPLACED_TRIES: Final = 5
_SHOWN: Final = 5


class ReplacedError(StorageError):
    """The export was replaced while it was read: its manifest is another now."""


def read_published(store: ObjectStore, prefix: S3Location) -> tuple[Contents, str]:
    """Read the manifest of a published export.

    Returns
    -------
    tuple of (Contents, str)
        What it names, and the manifest's ETag.

    Raises
    ------
    StorageError
        If there is none.

    """
    found = store.read(prefix / MANIFEST_NAME)
    if isinstance(found, Answer):
        raise no_export(prefix)
    return parse_contents(found.data, str(prefix / MANIFEST_NAME)), found.etag


def no_export(prefix: S3Location) -> StorageError:
    """Make the error of a prefix without a manifest."""
    return StorageError(
        f"holds no {MANIFEST_NAME}, so there is no export of ours",
        where=str(prefix),
        next_step="check the address with 'pipeline storage list', or export to it",
    )


def download_export(store: ObjectStore, prefix: S3Location, target: Path) -> Contents:
    """Make a local copy of a published export, visible in one step.

    Parameters
    ----------
    store : ObjectStore
        Where from.
    prefix : S3Location
        The export.
    target : Path
        Folder to make; an export of ours that is there is replaced. What is on its way lies beside it, hidden.

    Returns
    -------
    Contents
        What was downloaded.

    Raises
    ------
    ExportError
        If `target` holds other files.
    StorageError
        If there is no export, an object is not as the manifest says, or the store fails; `target` is as it was then.

    """
    target = target.resolve()
    refuse_foreign(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    with _only_download(partial):
        contents = fetch_latest(store, prefix, partial)
        publish_directory(partial, target)
    return contents


def fetch_latest(store: ObjectStore, prefix: S3Location, folder: Path) -> Contents:
    """Fill a folder with the newest export of a prefix; begin again if it is replaced meanwhile.

    Raises
    ------
    StorageError
        See `download_export`.

    """
    for attempt in range(_REPLACED_TRIES):
        contents, _ = read_published(store, prefix)
        try:
            fetch(store, prefix, contents, folder)
        except ReplacedError:
            if attempt == _REPLACED_TRIES - 1:
                raise
        else:
            return contents
    raise AssertionError("unreachable")


def fetch(store: ObjectStore, prefix: S3Location, contents: Contents, folder: Path) -> None:
    """Bring a folder in line with a manifest: fetch what is not there, remove what does not belong, then the manifest.

    Parameters
    ----------
    store : ObjectStore
        Where from.
    prefix : S3Location
        The export.
    contents : Contents
        Its manifest, read before.
    folder : Path
        Made if it does not exist. What is there already and right is kept.

    Raises
    ------
    ReplacedError
        If an object is gone because another export has been published there since.
    StorageError
        If an object is missing or not as the manifest says.

    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in [path for path in folder.rglob("*") if path.is_file() or path.is_symlink()]:
        if path.relative_to(folder).as_posix() not in contents.objects:
            path.unlink()

    def work(entry: ObjectEntry) -> str | None:
        return _fetch_one(store, prefix, entry, folder)

    wrong = [line for line in store.each(work, contents.objects.values()) if line is not None]
    if wrong:
        now = store.read(prefix / MANIFEST_NAME)
        if isinstance(now, Answer) or now.data != contents.manifest:
            raise ReplacedError(
                "was replaced while it was read", where=str(prefix), next_step="read it again from the start"
            )
        raise StorageError(
            f"{len(wrong)} objects are not as the manifest says: {'; '.join(wrong[:_SHOWN])}",
            where=str(prefix),
            next_step="export it again: what is damaged is replaced",
        )
    (folder / MANIFEST_NAME).write_bytes(contents.manifest)


def check_published(store: ObjectStore, prefix: S3Location, *, deep: bool = False) -> list[str]:
    """Compare what lies at a prefix with its manifest.

    Parameters
    ----------
    store : ObjectStore
        Where it lies.
    prefix : S3Location
        The export.
    deep : bool, default False
        Read every byte. Else the listing is compared: sizes, and whether each object is the one that was published.

    Returns
    -------
    list of str
        One line per difference, sorted by path; empty when everything is as it was published.

    Raises
    ------
    StorageError
        If there is no export, or the store fails.

    """
    site = look(store, prefix)
    if site.published is None:
        raise no_export(prefix)
    differences = {path: f"{path}: is not in the manifest" for path in site.strays(site.published)}
    for path, entry in site.published.objects.items():
        stored = site.listing.get(path)
        if stored is None:
            differences[path] = f"{path}: is missing"
        elif stored.size_bytes != entry.size_bytes:
            differences[path] = f"{path}: expected {entry.size_bytes} bytes, found {stored.size_bytes}"
        elif not deep and not site.holds(entry):
            differences[path] = f"{path}: is not the object that was published"
    if deep:

        def work(entry: ObjectEntry) -> tuple[ObjectEntry, str | None]:
            return entry, store.digest(prefix / entry.path)

        unread = [entry for path, entry in site.published.objects.items() if path not in differences]
        for entry, digest in store.each(work, unread):
            if digest != entry.sha256:
                differences[entry.path] = f"{entry.path}: expected sha256 {entry.sha256}, found {digest}"
    return [differences[path] for path in sorted(differences)]


def list_exports(store: ObjectStore, base: S3Location) -> list[tuple[S3Location, int, int]]:
    """Find the published exports below a prefix.

    Returns
    -------
    list of (S3Location, int, int)
        Each with the number of its objects and their size, manifest included, publishing's own not.

    """
    listing = store.list_below(base)
    roots = [path.rpartition("/")[0] for path in listing if path.rpartition("/")[2] == MANIFEST_NAME]
    found: dict[str, list[int]] = {root: [0, 0] for root in roots}
    for path, stored in listing.items():
        parts = path.split("/")
        if PUBLICATION_FOLDER in parts:
            continue
        for depth in range(len(parts)):
            counts = found.get("/".join(parts[:depth]))
            if counts is not None:
                counts[0] += 1
                counts[1] += stored.size_bytes
                break
    return [(base / root if root else base, count, size) for root, (count, size) in found.items()]


def _fetch_one(store: ObjectStore, prefix: S3Location, entry: ObjectEntry, folder: Path) -> str | None:
    """Fetch one object unless it is there; say what is wrong if it cannot be had."""
    place = folder / entry.path
    if _is_there(place, entry):
        return None
    place.parent.mkdir(parents=True, exist_ok=True)
    arriving = place.with_name(f"{place.name[:200]}.arriving")
    digest = store.download(prefix / entry.path, arriving)
    if digest != entry.sha256:
        # It is being, or was, replaced: then it lies aside.
        aside = store.download(objects_aside(prefix, entry.sha256), arriving)
        if aside != entry.sha256:
            arriving.unlink(missing_ok=True)
            found = "nothing" if digest is None else digest
            return f"{entry.path}: expected sha256 {entry.sha256}, found {found}"
    arriving.replace(place)
    return None


def _is_there(place: Path, entry: ObjectEntry) -> bool:
    try:
        if place.stat().st_size != entry.size_bytes:
            return False
        with place.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256
    except OSError:
        return False


@contextmanager
def _only_download(partial: Path) -> Iterator[None]:
    """Keep a second download of the same folder out; what a killed one left is gone on with."""
    partial.mkdir(exist_ok=True)
    claim = os.open(partial, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(claim)
        raise StorageError(
            "is being downloaded by another process", where=str(partial), next_step="wait for it"
        ) from None
    try:
        yield
    finally:
        with suppress(OSError):  # it holds what arrived, or has become the target
            partial.rmdir()
        os.close(claim)
