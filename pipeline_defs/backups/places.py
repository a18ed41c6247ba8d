"""What is published and kept outside the database, and must come back with it: catalogs and archived deliveries.

The drop folders (``landing``, ``uploads``) are no state: what was taken in from them is in the archive of deliveries.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import StorageError
from pipeline_defs.storage.contents import (
    MANIFEST_NAME,
    PUBLICATION_FOLDER,
    Contents,
    parse_contents,
    read_contents_of,
)
from pipeline_defs.storage.locations import Location, S3Location, parse_location

if TYPE_CHECKING:
    from pipeline_defs.backups.manifest import FileEntry
    from pipeline_defs.settings import Settings
    from pipeline_defs.storage.objects import ObjectStore

HOME_CATALOGS: Final = "home_catalogs"
STORE_CATALOGS: Final = "store_catalogs"
RAW: Final = "raw"


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of a tree, before it is copied.

    Parameters
    ----------
    path : str
        Relative to the tree.
    size_bytes : int
        Its size.
    sha256 : str or None
        What its own manifest or name says; None if nothing does.

    """

    path: str
    size_bytes: int
    sha256: str | None


def trees(settings: Settings) -> dict[str, Location]:
    """Give the places of these settings, by their names in a backup."""
    found: dict[str, Location] = {HOME_CATALOGS: settings.catalogs_dir}
    if settings.object_store is not None:
        found[STORE_CATALOGS] = parse_location(settings.object_store) / "catalogs"
    if settings.raw_archive is not None:
        found[RAW] = parse_location(settings.raw_archive) / "raw"
    return found


def list_tree(place: Location, store: ObjectStore | None) -> list[FoundFile]:
    """List the files of a tree, in the order of their paths; nothing if it does not exist.

    Hidden files, which are on their way in or out, and what publishing keeps for itself are left out.
    """
    sizes = _sizes_of(place, store)
    known: dict[str, str] = {}
    for path in sizes:
        folder, _, name = path.rpartition("/")
        if name == MANIFEST_NAME:
            contents = _contents(place, folder, store)
            below = f"{folder}/" if folder else ""
            known |= {below + entry.path: entry.sha256 for entry in contents.objects.values()}
            known[path] = contents.sha256
    return [FoundFile(path, sizes[path], known.get(path) or _named(path)) for path in sorted(sizes)]


def digest_of(path: Path) -> str:
    """Compute the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def catalogs_in(files: tuple[FileEntry, ...]) -> dict[str, str]:
    """Give the folders of the exports among files, with the digests of their manifests."""
    return {
        entry.path.rpartition("/")[0]: entry.sha256 for entry in files if entry.path.rpartition("/")[2] == MANIFEST_NAME
    }


def _sizes_of(place: Location, store: ObjectStore | None) -> dict[str, int]:
    if isinstance(place, S3Location):
        if store is None:
            raise StorageError("needs an object store", where=str(place))
        listed = store.list_below(place).items()
        return {path: one.size_bytes for path, one in listed if PUBLICATION_FOLDER not in path.split("/")}
    return {
        path.relative_to(place).as_posix(): path.stat().st_size
        for path in place.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(place).parts)
    }


def _contents(place: Location, folder: str, store: ObjectStore | None) -> Contents:
    if isinstance(place, Path):
        return read_contents_of(place / folder)
    manifest = place / folder / MANIFEST_NAME if folder else place / MANIFEST_NAME
    found = store.read(manifest) if store is not None else None
    data = getattr(found, "data", None)
    if data is None:
        raise StorageError("is gone", where=str(manifest))
    return parse_contents(data, str(manifest))


def _named(path: str) -> str | None:
    """Read the digest that the archive of deliveries puts into a path: ``<source>/<month>/<sha256>/<name>``."""
    parts = path.split("/")
    is_digest = len(parts) == 4 and len(parts[2]) == 64 and set(parts[2]) <= set("0123456789abcdef")  # noqa: PLR2004
    return parts[2] if is_digest else None
