"""Atomic publication of a directory on a local disk: readers see the old tree or the new one.

A tree is built in a hidden sibling of its target (`staging`), flushed, and exchanged with the target
by one rename (`publish_directory`). What is in the tree does not belong here.

Three kinds of hidden names appear beside a target called ``NAME``, none of which outlives a run that
ends in order:

``.NAME.staging-PID-TOKEN``
    a tree being built, or the old tree while it is removed. Its builder holds an advisory lock on it, so that the
    left-over of a killed process can be told from the work of a living one, whatever process ids were reused.
``.NAME.lock``
    publishers of one target queue here.
``.NAME.previous``
    only where the kernel or the filesystem cannot exchange two names: the old tree, for the instant between two
    renames. A process killed in that instant leaves no target; the next `staging` or `publish_directory` brings the old
    tree back.

Exchanging needs Linux 3.15 and a filesystem that supports it: ext4, XFS, Btrfs, tmpfs and overlayfs do.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import secrets
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterator

READERS_GRACE_SECONDS: Final = 0.1
"""How long the old tree stays whole for those who have opened a directory of it and are listing it."""

_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2
# Old container runtimes answer a system call they do not know with EPERM.
_CANNOT_EXCHANGE: Final = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM})


@contextmanager
def staging(target: Path) -> Iterator[Path]:
    """Give an empty directory beside a target, and remove it at the end if it was not published.

    Left-overs of killed processes that were publishing the same target are removed first.

    Parameters
    ----------
    target : Path
        Directory to be published later; need not exist. A symbolic link is followed.

    Yields
    ------
    Path
        Hidden sibling of `target`, on its filesystem.

    Raises
    ------
    ExportError
        If the directory cannot be made.

    """
    target = target.resolve()
    with _explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        # The queue is held so that nobody takes the new directory for a left-over before it is locked.
        with _queue(target):
            _restore(target)
            _remove_leftovers(target)
            staged = target.with_name(f"{_staging_prefix(target)}{os.getpid()}-{secrets.token_hex(4)}")
            staged.mkdir()
            claim = os.open(staged, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(claim, fcntl.LOCK_EX)
    try:
        yield staged
    finally:
        # Gone if it was published. What cannot be removed is found unclaimed, and removed, next time.
        shutil.rmtree(staged, ignore_errors=True)
        os.close(claim)


def publish_directory(staged: Path, target: Path) -> None:
    """Make a finished directory the target, in one step, and remove the tree that was there.

    The files are on the disk before they are visible. Killed at any instant, this leaves the old tree
    or the new one. A listing that has begun, or a file that is open, stays as it was; one who opens
    several files in turn by path may see the trees change in between.

    Parameters
    ----------
    staged : Path
        What `staging` gave, filled.
    target : Path
        Directory to replace; need not exist. A symbolic link is followed.

    Raises
    ------
    ExportError
        If `target` is something else than a directory, or the filesystem refuses.

    """
    target = target.resolve()
    with _explained(target):
        _flush_tree(staged)
        with _queue(target):
            _restore(target)
            if not target.exists():
                staged.rename(target)
                _flush(target.parent)
            elif not target.is_dir():
                raise ExportError(
                    "expected a directory or nothing, found a file",
                    where=str(target),
                    next_step="choose another folder, or remove the file",
                )
            else:
                old = staged if _exchange(staged, target) else _replace_in_two_steps(staged, target)
                _flush(target.parent)
                time.sleep(READERS_GRACE_SECONDS)
                # What cannot be removed is found, and removed, next time.
                shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ExportError(
            f"could not publish: {error}",
            where=str(target),
            next_step="choose a folder on a local disk that you may write to and that is not itself a mount point",
        ) from error


@contextmanager
def _queue(target: Path) -> Iterator[None]:
    """Hold the target's lock file, and leave none behind."""
    path = target.with_name(f".{target.name}.lock")
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _is_at(descriptor, path):
            break
        # Whoever held it before has unlinked it: this lock guards nothing any more.
        os.close(descriptor)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _staging_prefix(target: Path) -> str:
    return f".{target.name}.staging-"


def _previous(target: Path) -> Path:
    return target.with_name(f".{target.name}.previous")


def _remove_leftovers(target: Path) -> None:
    for entry in list(target.parent.iterdir()):
        if entry.name.startswith(_staging_prefix(target)) and _is_abandoned(entry):
            shutil.rmtree(entry)


def _is_abandoned(staged: Path) -> bool:
    try:
        descriptor = os.open(staged, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def _restore(target: Path) -> None:
    """Finish what a process killed between the two renames has left."""
    previous = _previous(target)
    if not previous.exists():
        return
    if target.exists():
        shutil.rmtree(previous)
    else:
        previous.rename(target)


def _replace_in_two_steps(staged: Path, target: Path) -> Path:
    """Replace the target without an exchange, and tell where the old tree is."""
    previous = _previous(target)
    target.rename(previous)
    staged.rename(target)
    return previous


def _exchange(first: Path, second: Path) -> bool:
    """Swap two names by ``renameat2(2)``; False where that cannot be done."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return False
    function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    names = (os.fsencode(first), os.fsencode(second))
    if function(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _CANNOT_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(second))


def _flush_tree(root: Path) -> None:
    for folder, _, files in os.walk(root, topdown=False):
        for name in files:
            _flush(Path(folder, name))
        _flush(Path(folder))


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
