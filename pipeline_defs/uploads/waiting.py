"""Which files wait in the drop folder, each with its mapping, and whether they are still arriving.

Names, sizes and times only: no file is opened here. Standard library only: a sensor looks every minute.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.sources.manual_csv.names import MAPPING_NAME, is_mapping, is_passed_over, own_mapping

if TYPE_CHECKING:
    from pathlib import Path

UNFINISHED_SUFFIXES: Final = (".part", ".partial", ".tmp", ".crdownload", ".filepart", ".download", ".swp")
"""What browsers, editors and copying tools call a file that is still arriving."""

LOOKS_UNTIL_AGAIN: Final = 20
"""A file that a run left where it is, because the server was down, say, is asked for again after so many looks."""

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
        Need not exist yet. Folders in it are not looked into, links not followed.

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
        if is_mapping(name) or is_passed_over(name) or name in _OF_EXPORTS or not _is_own(path):
            continue
        if name.lower().endswith(UNFINISHED_SUFFIXES):
            continue
        mapping = next((one for one in (own_mapping(path), folder / MAPPING_NAME) if _is_own(one)), None)
        try:
            told = "\n".join(_stamp(one) for one in (path, mapping) if one is not None)
        except FileNotFoundError:
            continue  # taken away since it was listed
        found.append(Upload(path, mapping, hashlib.sha256(os.fsencode(told)).hexdigest()[:16]))
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


def _is_own(path: Path) -> bool:
    """Tell whether it is a file of the folder: a link may lead to what its sender could not read."""
    return path.is_file() and not path.is_symlink()


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{path.name}|{status.st_size}|{status.st_mtime_ns}|{status.st_ino}"


@dataclass(frozen=True, slots=True)
class Look:
    """What a sensor makes of the drop folder.

    Parameters
    ----------
    settled : list of Upload
        The same at two looks, and no run was asked for yet; or one was long ago and left them where they are.
    arriving : list of str
        Names of those that are still changing.
    memory : dict of str to list
        What to remember until the next look, if a run is asked for: by name the fingerprint, the one that a run was
        asked for, and how many looks ago that was.

    """

    settled: list[Upload]
    arriving: list[str]
    memory: dict[str, list[str | int]]

    @property
    def key(self) -> str:
        """Name what has settled, another time differently."""
        told = "\n".join(f"{one.path.name}|{one.fingerprint}|{self.memory[one.path.name][2]}" for one in self.settled)
        return hashlib.sha256(os.fsencode(told)).hexdigest()[:16]


def judge_uploads(uploads: list[Upload], memory: dict[str, list[str | int]]) -> Look:
    """Compare what waits with what waited at the last look of a sensor.

    Parameters
    ----------
    uploads : list of Upload
        What waits now.
    memory : dict of str to list
        `Look.memory` of the last look.

    Returns
    -------
    Look

    """
    look = Look([], [], {})
    for upload in uploads:
        name, fingerprint = upload.path.name, upload.fingerprint
        seen, asked_for, looks = memory.get(name, ["", "", 0])
        if fingerprint == asked_for:
            looks = int(looks) + 1
            if looks % LOOKS_UNTIL_AGAIN == 0:
                look.settled.append(upload)
        elif fingerprint == seen:
            look.settled.append(upload)
            asked_for, looks = fingerprint, 0
        else:
            look.arriving.append(name)
        look.memory[name] = [fingerprint, asked_for, looks]
    return look
