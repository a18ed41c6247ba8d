"""A private PostgreSQL in a folder: there when it is asked for, and stopped on request.

Only the life of the server belongs here, no tables and no migrations. The server listens on 127.0.0.1 alone, behind
a random password, and outlives the process that started it, since the steps of a run come and go. Starting and
stopping hold the folder's lock, so any number of processes may ask at once. POSIX only; Windows is not supported.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline_defs.errors import ConfigurationError, WarehouseError
from pipeline_defs.warehouse.embedded.cluster import (
    DATABASE,
    launch,
    log_size,
    log_tail,
    not_started,
    prepare,
    rotate_log,
    url,
)
from pipeline_defs.warehouse.embedded.process import (
    POLL_SECONDS,
    Postmaster,
    find_postmaster,
    is_alive,
    wait_until_ready,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_TIMEOUT_SECONDS = 300.0
"""Generous: recovery after a crash replays up to `max_wal_size` of the log."""

STOP_TIMEOUT_SECONDS = 60.0

_CONNECT_TIMEOUT_SECONDS = 5

_PASSING_CONDITIONS = (
    "could not bind",  # another process took the port between our choice and the server's
    'lock file "postmaster.pid" already exists',  # a server that a killed client launched a moment ago
    "pre-existing shared memory block",  # sessions of a killed server have not ended yet
)


@dataclass(frozen=True, slots=True)
class EmbeddedStatus:
    """What is known of an embedded server without touching it.

    Parameters
    ----------
    directory : Path
        The server's folder.
    is_initialised : bool
        Whether there is a cluster at all.
    postmaster : Postmaster or None
        The running server: process, port, whether it accepts connections.

    """

    directory: Path
    is_initialised: bool
    postmaster: Postmaster | None


def ensure_running(directory: Path, *, durable: bool = True) -> str:
    """Give the URL of the server in a folder, making and starting it if need be.

    Parameters
    ----------
    directory : Path
        The server's folder; created if missing.
    durable : bool, default True
        False trades safety against a power failure for speed, for databases of tests; it takes effect at a start.

    Returns
    -------
    str
        ``postgresql://user:password@127.0.0.1:port/pipeline``, which has just answered.

    Raises
    ------
    ConfigurationError
        If the programs are missing, or the folder cannot be used by the caller or by the server's account.
    WarehouseError
        If the server does not start or does not answer.

    """
    directory = directory.resolve()
    data = directory / "data"
    with _refusals_explained(directory):
        found = find_postmaster(data)
        if found is not None and found.is_ready:
            address = url(directory, found.port)
            if _refusal(address) is None:
                return address
        with _locked(directory):
            found = find_postmaster(data)
            if found is None or not found.is_ready:
                found = _start(directory, durable=durable)
            address = url(directory, found.port)
            refusal = _refusal_to_create_database(url(directory, found.port, "postgres")) or _refusal(address)
    if refusal is not None:
        raise WarehouseError(
            f"the embedded database (process {found.pid}) runs but does not answer: {refusal}",
            where=str(directory),
            next_step=f"read {directory / 'server.log'}; 'make stop' ends the server, the next command starts it anew",
        )
    return address


def stop(directory: Path) -> bool:
    """Stop the server in a folder, ending its sessions.

    Parameters
    ----------
    directory : Path
        The server's folder.

    Returns
    -------
    bool
        True if a server ran, False if there was none.

    Raises
    ------
    ConfigurationError
        If the caller may not use the folder.
    WarehouseError
        If the server is still there after a fast and an immediate shutdown.

    """
    directory = directory.resolve()
    if not directory.is_dir():
        return False
    data = directory / "data"
    with _refusals_explained(directory), _locked(directory):
        found = find_postmaster(data)
        if found is None:
            return False
        # The second, immediate shutdown loses nothing that was committed: the next start recovers it from the log.
        for request in (signal.SIGINT, signal.SIGQUIT):
            os.kill(found.pid, request)
            deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
            while time.monotonic() < deadline:
                if not is_alive(found.pid):
                    return True
                time.sleep(POLL_SECONDS)
    raise WarehouseError(
        f"the embedded database (process {found.pid}) does not stop",
        where=str(directory),
        next_step=f"read {directory / 'server.log'}",
    )


def status(directory: Path) -> EmbeddedStatus:
    """Say what is known of the server in a folder, without starting or awaiting anything.

    Parameters
    ----------
    directory : Path
        The server's folder; need not exist.

    Returns
    -------
    EmbeddedStatus

    Raises
    ------
    ConfigurationError
        If the caller may not look into the folder.

    """
    directory = directory.resolve()
    data = directory / "data"
    with _refusals_explained(directory):
        return EmbeddedStatus(directory, data.is_dir(), find_postmaster(data))


@contextlib.contextmanager
def _refusals_explained(directory: Path) -> Iterator[None]:
    """Turn what the operating system refuses into an error that names the folder."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"the folder of the embedded database cannot be used: {error}",
            where=str(directory),
            next_step="run as the user who made it, or set PIPELINE_HOME to a folder of your own",
        ) from error


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the folder's lock, which ends with the process, however that ends."""
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child forked meanwhile would hold on to it
        os.close(descriptor)


def _start(directory: Path, *, durable: bool) -> Postmaster:
    """Start the server under the lock, again for as long as only a passing condition hinders it."""
    data = directory / "data"
    account = prepare(directory, durable=durable)
    rotate_log(directory)
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while True:
        already_logged = log_size(directory)
        underway = find_postmaster(data)  # launched by a client that was killed meanwhile, or on its way out
        if underway is None:
            _discard_misleading_pid(data)
            pid = launch(directory, account, durable=durable)
        else:
            pid = underway.pid
        found = wait_until_ready(data, pid, START_TIMEOUT_SECONDS)
        if found is not None:
            return found
        reason = log_tail(directory, already_logged)
        is_passing = underway is not None or any(condition in reason for condition in _PASSING_CONDITIONS)
        if not is_passing or time.monotonic() > deadline:
            raise not_started(directory, reason)
        time.sleep(10 * POLL_SECONDS)


def _discard_misleading_pid(data: Path) -> None:
    """Remove a lock file, known to be no running server's, where PostgreSQL would take it for one.

    PostgreSQL itself sees through the pid of a dead process and through another user's, and then still looks
    for surviving sessions by the shared memory the file names; so it is removed in the other cases only.
    """
    lock_file = data / "postmaster.pid"
    try:
        os.kill(int(lock_file.read_text().split("\n", 1)[0]), 0)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return
    except ValueError:  # cut short by a crash of the machine: PostgreSQL would ask for a person
        pass
    lock_file.unlink()


def _refusal(address: str) -> str | None:
    """Open a connection for real; None if that worked, else the reason."""
    import psycopg  # noqa: PLC0415 -- a client library is loaded where it is used

    try:
        psycopg.connect(address, connect_timeout=_CONNECT_TIMEOUT_SECONDS).close()
    except psycopg.OperationalError as error:
        return str(error).strip()
    return None


def _refusal_to_create_database(address: str) -> str | None:
    """Create the product's database if it is missing; None if it is there, else the reason."""
    import psycopg  # noqa: PLC0415 -- a client library is loaded where it is used

    try:
        with psycopg.connect(address, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_SECONDS) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if known is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")
    except psycopg.OperationalError as error:
        return str(error).strip()
    return None
