"""What a published export consists of, as its manifest says, wherever it lies.

Only the list of files matters here. What they mean, and how a manifest is written, belongs to `exports.manifest`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ExportError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MANIFEST_NAME: Final = "_manifest.json"
PUBLICATION_FOLDER: Final = "_publication"
"""Below a published prefix: what publishing itself needs. No export has files of this name."""

_KIND: Final = "market-data-pipeline export"
_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class ObjectEntry:
    """One file of an export.

    Parameters
    ----------
    path : str
        Relative, with ``/``.
    sha256 : str
        In hexadecimal.
    size_bytes : int
        Its size.

    """

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Contents:
    """An export as its manifest describes it.

    Parameters
    ----------
    manifest : bytes
        The manifest itself.
    objects : dict of str to ObjectEntry
        Every other file, by path.

    """

    manifest: bytes
    objects: dict[str, ObjectEntry]

    @property
    def size_bytes(self) -> int:
        """Of everything, with the manifest."""
        return len(self.manifest) + sum(entry.size_bytes for entry in self.objects.values())

    @property
    def sha256(self) -> str:
        """Name of the whole: the digest of the manifest."""
        return hashlib.sha256(self.manifest).hexdigest()


def parse_contents(manifest: bytes, where: str) -> Contents:
    """Read a manifest.

    Parameters
    ----------
    manifest : bytes
        As it lies beside the files.
    where : str
        How messages name it.

    Returns
    -------
    Contents

    Raises
    ------
    StorageError
        If it is not one of ours, or names a path that leads out of the folder or to where publishing keeps its own.

    """
    try:
        content = json.loads(manifest)
        _refuse_other_kind(content["kind"])
        entries = [ObjectEntry(each["path"], each["sha256"], int(each["size_bytes"])) for each in content["objects"]]
        for entry in entries:
            _refuse_unsafe(entry.path)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise StorageError(
            f"is not the manifest of an export ({type(error).__name__}: {error})",
            where=where,
            next_step="check the address, or export to it again",
        ) from error
    return Contents(manifest, {entry.path: entry for entry in entries})


def read_contents_of(folder: Path) -> Contents:
    """Read the manifest of a local export.

    Parameters
    ----------
    folder : Path
        Of the export.

    Raises
    ------
    StorageError
        If there is none, or see `parse_contents`.

    """
    path = folder / MANIFEST_NAME
    try:
        manifest = path.read_bytes()
    except OSError as error:
        raise StorageError(
            f"holds no readable {MANIFEST_NAME} ({error.strerror}), so it is not one of our exports", where=str(folder)
        ) from error
    return parse_contents(manifest, str(path))


def refuse_foreign(folder: Path) -> None:
    """Refuse to replace what is not ours: replacing means removing.

    Parameters
    ----------
    folder : Path
        Where an export is to be published or downloaded to; need not exist.

    Raises
    ------
    ExportError
        If it is neither empty nor one of our exports, or one to which somebody has added files, hidden ones apart.

    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / MANIFEST_NAME).is_file():
        raise ExportError(
            f"is not empty and not one of our exports (it holds no {MANIFEST_NAME}), so it is not replaced",
            where=str(folder),
            next_step="choose another output folder, or empty this one",
        )
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    refuse_strangers(found, read_contents_of(folder).objects, str(folder))


def refuse_strangers(found: Iterable[str], ours: Iterable[str], where: str) -> None:
    """Refuse a place that holds files which no export of ours put there.

    Parameters
    ----------
    found : iterable of str
        Paths that are there.
    ours : iterable of str
        Paths that exports of ours have put there, without the manifest.
    where : str
        How the message names the place.

    Raises
    ------
    ExportError
        If there is any other, hidden ones apart: those are what file managers leave behind.

    """
    known = {*ours, MANIFEST_NAME}
    foreign = sorted(path for path in found if path not in known and not path.rpartition("/")[2].startswith("."))
    if foreign:
        shown = foreign[:_SHOWN] + [f"and {len(foreign) - _SHOWN} more"] * (len(foreign) > _SHOWN)
        raise ExportError(
            f"holds {len(foreign)} files that the export did not put there and that replacing it would remove: "
            f"{', '.join(shown)}",
            where=where,
            next_step="move them elsewhere, or choose another output folder",
        )


def _refuse_other_kind(kind: object) -> None:
    if kind != _KIND:
        raise ValueError(f"kind is {kind!r}, expected {_KIND!r}")


def _refuse_unsafe(path: str) -> None:
    parts = path.split("/")
    if any(part in {"", ".", ".."} for part in parts) or "\\" in path or "\x00" in path:
        raise ValueError(f"object {path!r} does not lie in the export's folder")
    if parts[0] == PUBLICATION_FOLDER or path == MANIFEST_NAME:
        raise ValueError(f"object {path!r} has a reserved name")
