"""Advisory locks on files that whoever holds one may remove."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def lock_file(path: Path, how: int) -> int:
    """Lock the file that is at a path, and not one that was removed while we waited.

    Parameters
    ----------
    path : Path
        Made if it does not exist.
    how : int
        As for `fcntl.flock`.

    Returns
    -------
    int
        File descriptor; closing it, and the end of the process, let go of the lock.

    Raises
    ------
    BlockingIOError
        If `how` says not to wait, and another holds it.

    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, how)
        except BlockingIOError:
            os.close(descriptor)
            raise
        if is_at(descriptor, path):
            return descriptor
        os.close(descriptor)


def is_at(descriptor: int, path: Path) -> bool:
    """Tell whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
