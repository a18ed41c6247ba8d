"""A server of TimescaleDB's Apache edition for one session of tests: started on a free loopback port, then removed."""

from __future__ import annotations

import os
import pwd
import re
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline_tests.servers.apache_packages import installed, programs
from pipeline_tests.servers.places import ServerUnavailableError, cache, database_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_preload_libraries = 'timescaledb'
timescaledb.telemetry_level = off
timescaledb.max_background_workers = 0 # a scheduler in a database would keep it from being copied and dropped
max_locks_per_transaction = 256        # a chunk is a table
timezone = 'UTC'
jit = off
fsync = off
synchronous_commit = off
full_page_writes = off
"""
_START_ATTEMPTS = 5


@contextmanager
def running(folder: Path) -> Iterator[str]:  # noqa: ARG001 -- its files must be reachable for another account
    """Run a new server; gives the URL of its maintenance database.

    Raises
    ------
    ServerUnavailableError
        If it cannot be fetched or does not start.

    """
    bin_dir = programs(installed())
    # Root's server runs as nobody, who cannot enter the folders that pytest makes.
    with database_folder(cache()) as data:
        if _identity():
            os.chown(data, _identity()["user"], _identity()["group"])
        _run([bin_dir / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync",
              "--locale=C.UTF-8"])  # fmt: skip
        with (data / "postgresql.conf").open("a") as configuration:
            configuration.write(SETTINGS)
        url = f"postgresql://postgres@127.0.0.1:{_start(bin_dir, data)}/postgres"
        try:
            yield url
        finally:
            _run([bin_dir / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"])


def _start(bin_dir: Path, data: Path) -> int:
    """Start the server on a port that was free a moment ago, which it may be no longer."""
    log = data / "server.log"
    for attempt in range(1, _START_ATTEMPTS + 1):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port: int = probe.getsockname()[1]
        try:
            _run([bin_dir / "pg_ctl", "-D", data, "-l", log, "-o", f"-p {port}", "-w", "-t", "60", "start"])
        except ServerUnavailableError:
            said = log.read_text(errors="replace") if log.exists() else ""
            if attempt == _START_ATTEMPTS or not re.search("Address already in use", said):
                raise ServerUnavailableError(f"the server did not start: {said[-1000:]}") from None
            log.unlink()
        else:
            return port
    raise AssertionError


def _identity() -> dict[str, Any]:
    """As whom the programs run: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _run(command: list[str | Path]) -> None:
    environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
    # The server inherits the standard streams: a pipe would be held open by it, so its output goes to a file.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            [os.fspath(part) for part in command],
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
            **_identity(),
        )
        output.seek(0)
        if done.returncode != 0:
            said = output.read().decode(errors="replace")
            raise ServerUnavailableError(f"{Path(command[0]).name} failed: {said[-1000:]}")
