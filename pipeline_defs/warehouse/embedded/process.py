"""Is a PostgreSQL server of this folder running? Recognised by its lock file and the process behind it.

Only recognition belongs here, nothing is started or ended. ``postmaster.pid`` alone proves nothing: its process may
be dead, a zombie, another program that inherited the number, or the server of a folder this one was copied from.
"""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline_defs.errors import WarehouseError

POLL_SECONDS = 0.01

_PROC = Path("/proc")

_LINE_PID, _LINE_DATA, _LINE_PORT, _LINE_STATE, _LINES = 0, 1, 3, 7, 8
"""Lines of ``postmaster.pid`` (PostgreSQL's ``utils/pidfile.h``); the last is there once the server listens."""


@dataclass(frozen=True, slots=True)
class Postmaster:
    """The main process of a running server.

    Parameters
    ----------
    pid : int
        Its process.
    port : int
        Its port on 127.0.0.1.
    is_ready : bool
        Whether it says that it accepts connections.

    """

    pid: int
    port: int
    is_ready: bool


def find_postmaster(data: Path) -> Postmaster | None:
    """Recognise the server of a cluster.

    Parameters
    ----------
    data : Path
        Folder of the cluster, absolute.

    Returns
    -------
    Postmaster or None
        None if no server runs there, whatever a leftover lock file says.

    Raises
    ------
    PermissionError
        If the caller may not look into the folder.

    """
    try:
        lines = (data / "postmaster.pid").read_text(errors="surrogateescape").splitlines()
        pid, started_in, port = int(lines[_LINE_PID]), Path(lines[_LINE_DATA]), int(lines[_LINE_PORT])
        is_here = started_in.samefile(data)
    except (FileNotFoundError, NotADirectoryError, ValueError, IndexError):
        return None
    if not is_here or not serves(pid, started_in):
        return None
    is_ready = len(lines) >= _LINES and lines[_LINE_STATE].strip() == "ready"
    return Postmaster(pid, port, is_ready=is_ready)


def wait_until_ready(data: Path, pid: int, timeout_seconds: float) -> Postmaster | None:
    """Wait for a starting server.

    Parameters
    ----------
    data : Path
        Folder of the cluster, absolute.
    pid : int
        The starting process.
    timeout_seconds : float
        How long recovery after a crash may take.

    Returns
    -------
    Postmaster or None
        None if it ended instead.

    Raises
    ------
    WarehouseError
        If it is neither ready nor ended in time.

    """
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        found = find_postmaster(data)
        if found is not None and found.is_ready:
            return found
        if not is_alive(pid):
            return None
        time.sleep(POLL_SECONDS)
    raise WarehouseError(
        f"the embedded database (process {pid}) is not ready after {timeout_seconds:.0f} s",
        where=str(data),
        next_step=f"read {data.parent / 'server.log'}: recovery after a crash may need more time; then try again",
    )


def serves(pid: int, data: Path) -> bool:
    """Say whether a process is the server of a folder, by the command line it was started with."""
    return f"postgres -D {data} -p " in command_line(pid)


def command_line(pid: int) -> str:
    """Give the command line of a process; empty if there is none, and of a zombie."""
    return _of_proc(pid, "cmdline").replace("\0", " ") if _PROC.is_dir() else of_ps(pid, "command")


def is_alive(pid: int) -> bool:
    """Say whether a process is there and no zombie. Its command line does not tell: it is empty during an ``exec``."""
    state = _of_proc(pid, "stat").rpartition(") ")[2] if _PROC.is_dir() else of_ps(pid, "stat")
    return state[:1] not in ("", "Z", "X")


def _of_proc(pid: int, file: str) -> str:
    try:
        return (_PROC / str(pid) / file).read_text(errors="surrogateescape")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""


def of_ps(pid: int, field: str) -> str:
    """Ask ``ps``, where there is no ``/proc`` (macOS)."""
    command = ["/bin/ps", "-ww", "-o", f"{field}=", "-p", str(pid)]
    answer = subprocess.run(command, capture_output=True, text=True, errors="surrogateescape", check=False)  # noqa: S603 -- fixed program
    return answer.stdout.strip()
