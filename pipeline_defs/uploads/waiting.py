"""Which files wait in the drop folder, each with its mapping, and whether they are still arriving.

Names, sizes and times only: no file is opened here. Standard library only: a sensor looks every minute.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.sources.manual_csv.names import MAPPING_NAME, is_mapping, is_passed_over, own_mapping

if TYPE_CHECKING:
    from pathlib import Path

UNFINISHED_SUFFIXES: Final = (".part", ".partial", ".tmp", ".crdownload", ".filepart", ".download", ".swp")
"""What browsers, editors and copying tools call a file that is still arriving."""

_OF_EXPORTS: Final = ("schema.json", "_manifest.json")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that waits.

    Parameters
    ----------
    path : Path
        File.
    mapping : Path or None
        The mapping that is read for it: its own, else the folder's.
    fingerprint : str
        Changes with either.

    """

    path: Path
    mapping: Path | None
    fingerprint: str

    @property
    def has_own_mapping(self) -> bool:
        """Whether the mapping is this file's alone."""
        return self.mapping is not None and self.mapping.name != MAPPING_NAME


def waiting_uploads(folder: Path) -> list[Upload]:
    """Look at the drop folder.

    Parameters
    ----------
    folder : Path
        Need not exist yet. Folders in it are not looked into.

    Returns
    -------
    list of Upload
        By name.

    """
    if not folder.is_dir():
        return []
    found = []
    for path in sorted(folder.iterdir()):
        name = path.name
        if is_mapping(name) or is_passed_over(name) or name in _OF_EXPORTS or not path.is_file():
            continue
        if name.lower().endswith(UNFINISHED_SUFFIXES):
            continue
        mapping = next((one for one in (own_mapping(path), folder / MAPPING_NAME) if one.is_file()), None)
        try:
            told = "\n".join(_stamp(one) for one in (path, mapping) if one is not None)
        except FileNotFoundError:
            continue  # taken away since it was listed
        found.append(Upload(path, mapping, hashlib.sha256(told.encode()).hexdigest()[:16]))
    return found


def settled_uploads(folder: Path, pause_seconds: float) -> tuple[list[Upload], list[str]]:
    """Look twice: what is the same both times has arrived.

    Parameters
    ----------
    folder : Path
        Drop folder.
    pause_seconds : float
        Between the looks.

    Returns
    -------
    tuple of (list of Upload, list of str)
        Those that have arrived, and the names of those that are still arriving.

    """
    before = {upload.path: upload.fingerprint for upload in waiting_uploads(folder)}
    if before and pause_seconds:
        time.sleep(pause_seconds)
    now = waiting_uploads(folder)
    settled = [upload for upload in now if before.get(upload.path) == upload.fingerprint]
    return settled, [upload.path.name for upload in now if upload not in settled]


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{path.name}|{status.st_size}|{status.st_mtime_ns}|{status.st_ino}"
