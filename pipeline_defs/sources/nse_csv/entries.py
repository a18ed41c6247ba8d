"""Files and archive members as labels, and which of them are left out by name.

Names only: nothing here opens a file. What a vendor's name says about its content is in `products`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_JUNK_FOLDERS: Final = frozenset({"__macosx"})
_JUNK_NAMES: Final = frozenset({".ds_store", "thumbs.db", "desktop.ini"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, on disk or inside archives.

    Parameters
    ----------
    path : str
        The file on disk that holds it.
    steps : tuple of (int, str)
        Position and name in each archive on the way, outermost first; empty for a plain file.
    size_bytes : int
        Size as the container declares it (of a gzip file: packed).

    """

    path: str
    steps: tuple[tuple[int, str], ...]
    size_bytes: int

    @property
    def member(self) -> str | None:
        """Name inside the archive, through nested archives; None for a plain file."""
        return "/".join(name for _, name in self.steps) or None

    @property
    def label(self) -> str:
        """How messages name it."""
        return self.path if self.member is None else f"{self.path}::{self.member}"

    @property
    def parts(self) -> tuple[str, ...]:
        """Every name on the way, innermost first: file, folders, archives, folders on disk."""
        names = [self.path.replace(os.sep, "/"), *(name for _, name in self.steps)]
        return tuple(part for part in reversed("/".join(names).split("/")) if part)

    @property
    def packed_name(self) -> str:
        """Base name as it stands."""
        innermost = self.steps[-1][1] if self.steps else self.path.replace(os.sep, "/")
        return innermost.rstrip("/").rpartition("/")[2]

    @property
    def is_gzip(self) -> bool:
        """Whether the name says gzip."""
        return self.packed_name.lower().endswith(".gz")

    @property
    def name(self) -> str:
        """Base name without ``.gz``."""
        name = self.packed_name
        return name[:-3] if name.lower().endswith(".gz") else name


@dataclass(frozen=True, slots=True)
class Listing:
    """What was found below a path.

    Parameters
    ----------
    entries : list of Entry
        CSV files, in a steady order.
    unsafe : list of Entry
        Members whose name points outside their archive: never read.
    empty_archives : list of Entry
        Archives of zero bytes.
    junk : list of Entry
        Left out by name: what operating systems drop into folders and archives.
    foreign : list of Entry
        Left out because they are neither CSV, zip nor gzipped CSV.

    """

    entries: list[Entry] = field(default_factory=list)
    unsafe: list[Entry] = field(default_factory=list)
    empty_archives: list[Entry] = field(default_factory=list)
    junk: list[Entry] = field(default_factory=list)
    foreign: list[Entry] = field(default_factory=list)


def files_below(root: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give each file below a folder, in a steady order.

    Parameters
    ----------
    root : Path
        A folder, or a file.

    Yields
    ------
    tuple of (str, tuple of str)
        Path, and the names below the root; no names when the root is the file itself.

    Raises
    ------
    SourceError
        If a folder cannot be listed.

    """
    if not root.is_dir():
        yield str(root), ()
        return
    for folder, subfolders, names in root.walk(on_error=_refuse_folder):
        subfolders.sort()
        above = folder.relative_to(root).parts
        for name in sorted(names):
            yield f"{folder}{os.sep}{name}", (*above, name)


def is_junk(parts: tuple[str, ...]) -> bool:
    """Tell whether names below a root are an operating system's leavings.

    Parameters
    ----------
    parts : tuple of str
        Folders and file name, outermost first.

    """
    name = parts[-1].lower()
    return name in _JUNK_NAMES or name.startswith("._") or any(part.lower() in _JUNK_FOLDERS for part in parts)


def is_unsafe(name: str) -> bool:
    """Tell whether a member's name points outside its archive.

    Parameters
    ----------
    name : str
        As stored, with forward slashes.

    """
    has_drive = len(name) > 1 and name[1] == ":"
    return name.startswith("/") or has_drive or ".." in name.split("/")


def unreadable(error: OSError) -> SourceError:
    """Say that a file or folder cannot be read.

    Parameters
    ----------
    error : OSError
        What the operating system said.

    """
    return SourceError(
        f"cannot be read: {error.strerror}", where=str(error.filename), next_step="check the file and its permissions"
    )


def _refuse_folder(error: OSError) -> None:
    raise unreadable(error) from error
