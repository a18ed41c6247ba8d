"""Folders for the length of a piece of work, which do not stay when a process is killed.

Python's own temporary folders outlive a process that had no time to remove them, and pile up where exports and imports
are killed at night. Here each is claimed by a lock that ends with its process, and whoever makes the next one removes
those that nobody claims any more.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK: Final = ".lock"


@contextmanager
def scratch(purpose: str) -> Iterator[Path]:
    """Give an empty folder of this user's below the system's temporary one, and remove it at the end.

    Parameters
    ----------
    purpose : str
        Begins its name.

    Yields
    ------
    Path

    """
    base = _base()
    if base is None:
        with tempfile.TemporaryDirectory(prefix=f"{purpose}-") as plain:
            yield Path(plain)
        return
    with _alone(base):
        _remove_unclaimed(base)
        folder = Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=base))
        claim = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(claim, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(claim)


def _base() -> Path | None:
    """Give the folder that holds all of this user's; None if another user has put something in its place."""
    base = Path(tempfile.gettempdir()) / f"market-data-pipeline-{os.getuid()}"
    with suppress(FileExistsError):
        base.mkdir(mode=0o700)
    return None if base.is_symlink() or base.stat().st_uid != os.getuid() else base


@contextmanager
def _alone(base: Path) -> Iterator[None]:
    """Nobody takes a new folder for a left-over before it is claimed."""
    descriptor = os.open(base / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_unclaimed(base: Path) -> None:
    for entry in base.iterdir():
        if entry.name != _LOCK and _is_unclaimed(entry):
            shutil.rmtree(entry, ignore_errors=True)


def _is_unclaimed(folder: Path) -> bool:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
