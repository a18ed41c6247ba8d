"""What lies below a folder, completely: a folder that cannot be listed is an error, not an absence."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pipeline_defs.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator


def entries_below(folder: Path, *, ending: str) -> Iterator[Path]:
    """Find files and folders whose names end in some way; what lies in such a folder is not looked at.

    Parameters
    ----------
    folder : Path
        Where to look, at any depth. Nothing is found where it does not exist.
    ending : str
        Of the names; names that begin with a point are left out.

    Yields
    ------
    Path
        Sorted within each folder.

    Raises
    ------
    SourceError
        If a folder below may not be listed, or is a link to one elsewhere, which is not followed.

    """
    for place, folders, files in _walk(folder):
        chosen = sorted(name for name in (*folders, *files) if name.endswith(ending) and not name.startswith("."))
        yield from (place / name for name in chosen)
        folders[:] = [name for name in folders if not name.endswith(ending)]


def files_below(folder: Path) -> Iterator[Path]:
    """Find all files at any depth, sorted within each folder.

    Raises
    ------
    SourceError
        As of `entries_below`.

    """
    for place, _, files in _walk(folder):
        yield from (place / name for name in sorted(files))


def _walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Go through a folder from the top; folders taken out of the list given are not gone into."""
    if not is_folder(folder):
        return
    for place, folders, files in os.walk(folder, onerror=_refuse):
        folders.sort()
        linked = next((Path(place) / name for name in folders if (Path(place) / name).is_symlink()), None)
        if linked is not None:
            raise SourceError(
                "the folder is a link, and links are not followed",
                where=str(linked),
                next_step="put the folder itself there, in a copy of the store",
            )
        yield Path(place), folders, files


def entries_of(folder: Path) -> list[Path]:
    """List a folder, sorted by name; nothing where there is none.

    Raises
    ------
    SourceError
        If it may not be listed.

    """
    if not is_folder(folder):
        return []
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        _refuse(error)


def is_folder(path: Path) -> bool:
    """Tell whether there is a folder.

    Raises
    ------
    SourceError
        If that may not be known.

    """
    try:
        return path.is_dir()
    except OSError as error:
        _refuse(error)


def is_file(path: Path) -> bool:
    """Tell whether there is a file.

    Raises
    ------
    SourceError
        If that may not be known.

    """
    try:
        return path.is_file()
    except OSError as error:
        _refuse(error)


def _refuse(error: OSError) -> NoReturn:
    raise SourceError(
        f"it cannot be looked at: {error.strerror}", where=str(error.filename), next_step="make it readable for you"
    ) from error
