"""Where the servers of the tests are kept between sessions, and what says that one cannot be had."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class ServerUnavailableError(Exception):
    """A server that cannot be had on this machine; the text says why."""


def cache() -> Path:
    """Give the folder of this user's servers, outside every clone.

    The server of the Apache edition refuses root and runs as ``nobody``, who may not look into root's home: root's
    servers are below the folder for temporary files that survive a restart.
    """
    name = "market-data-pipeline-servers"
    if os.geteuid() == 0:
        folder = Path("/var/tmp" if Path("/var/tmp").is_dir() else tempfile.gettempdir()) / name  # noqa: S108
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / name
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():  # in a folder open to all, somebody was first
        raise ServerUnavailableError(f"{folder} is not a folder of this user")
    return folder


_MEMORY = Path("/dev/shm")  # noqa: S108 -- names below it are made unique
_ROOM_BYTES = 4 << 30
"""What the databases of two sessions never need; a container has 64 MB there by default."""


@contextmanager
def database_folder(otherwise: Path) -> Iterator[Path]:
    """Give a folder for a server's data that others may enter, in memory if there is room, and remove it in the end.

    Every test has a copy of a database, some hundred files, and copying them in memory takes a tenth of the time.
    """
    place = _MEMORY if _has_room() else otherwise
    folder = Path(tempfile.mkdtemp(prefix="pipeline-tests-", dir=place))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _has_room() -> bool:
    try:
        return os.access(_MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(_MEMORY).free >= _ROOM_BYTES
    except OSError:
        return False


@contextmanager
def locked(name: str) -> Iterator[Path]:
    """Give the cache to one session at a time: two that fetch the same packages would tread on each other."""
    folder = cache()
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def run(command: Sequence[str | Path], *, cwd: Path, environment: Mapping[str, str] | None = None) -> str:
    """Run a program that fetches or unpacks, and give its output.

    Raises
    ------
    ServerUnavailableError
        With the end of what it said, if it fails or does not exist.

    """
    arguments = [os.fspath(argument) for argument in command]
    try:
        done = subprocess.run(
            arguments,
            cwd=cwd,
            env=dict(os.environ, **(environment or {})),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise ServerUnavailableError(f"{arguments[0]} cannot be run: {error.strerror}") from None
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split()[-60:])
        raise ServerUnavailableError(f"{' '.join(arguments[:2])} failed with exit code {done.returncode}: {said}")
    return done.stdout
