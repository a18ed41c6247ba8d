"""A Redis server from Debian's packages, unpacked into a folder and run with its own C library."""

from __future__ import annotations

import shutil
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline_tests.servers.apache_packages import SUITE, fetch_and_unpack, refuse_other_systems
from pipeline_tests.servers.places import ServerUnavailableError, locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_LOADER = "ld-linux-x86-64.so.2"
_LEFT_OUT = ("adduser", "base-passwd", "debconf", "init-system-helpers", "libdb", "libdebconf", "libpam", "passwd")
_START_SECONDS = 20


def installed() -> Path:
    """Give the tree with the server, after fetching it the first time.

    Raises
    ------
    ServerUnavailableError
        If this is no Debian, or the mirror does not answer.

    """
    refuse_other_systems()
    with locked("redis") as cache:
        root = cache / f"redis-{SUITE}"
        if not (root / ".ready").exists():
            work = cache / "redis-fetching"
            try:
                fetch_and_unpack(work, root, SUITE, ["redis-server"], lambda name: not name.startswith(_LEFT_OUT))
            finally:
                shutil.rmtree(work, ignore_errors=True)
            (root / ".ready").touch()
    return root


@contextmanager
def redis_running(address: str, port: int, password: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server that keeps nothing on a disk, and end it.

    Raises
    ------
    ServerUnavailableError
        If it cannot be had on this machine, or does not start.

    """
    root = installed()
    libraries = root / _LIBRARIES
    command = [libraries / _LOADER, "--library-path", libraries, root / "usr/bin/redis-server"]
    options = ["--bind", address, "--port", str(port), "--requirepass", password, "--save", "", "--appendonly", "no"]
    log = folder / "redis.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*map(str, command), *options, "--dir", str(folder)], stdout=output, stderr=subprocess.STDOUT
        )
        try:
            deadline = time.monotonic() + _START_SECONDS
            while b"Ready to accept connections" not in log.read_bytes():
                if server.poll() is not None or time.monotonic() > deadline:
                    raise ServerUnavailableError(f"Redis did not start: {log.read_text(errors='replace')[-500:]}")
                time.sleep(0.05)
            yield server
        finally:
            server.kill()
            server.wait()
