"""PostgreSQL's own programs: where they are, whether they fit a server, and how they are told where it is.

A password goes into a program's environment, never into its arguments, which every user of a machine can read.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ConfigurationError, WarehouseError

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAMS_VARIABLE: Final = "PIPELINE_POSTGRES_PROGRAMS"
"""Folder of ``pg_dump``, ``pg_restore`` and ``psql`` in place of those that the embedded server came with."""

_TAIL_CHARACTERS: Final = 2_000
_SENT_TO_ALL: Final = (
    "PATH",
    "HOME",
    "TMPDIR",
    "PGSSLROOTCERT",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGPASSFILE",
    "PGSERVICEFILE",
)


def program(name: str) -> Path:
    """Find one of PostgreSQL's programs.

    Parameters
    ----------
    name : str
        ``pg_dump``, ``pg_restore`` or ``psql``.

    Raises
    ------
    ConfigurationError
        If it is not there.

    """
    from pipeline_defs.warehouse.embedded.cluster import binary_directory  # noqa: PLC0415 -- keeps --help quick

    named = os.environ.get(PROGRAMS_VARIABLE)
    path = (Path(named).expanduser() if named else binary_directory()) / name
    if not path.is_file():
        raise ConfigurationError(
            f"there is no {name}", where=str(path), next_step=f"set {PROGRAMS_VARIABLE} to the folder that holds it"
        )
    return path


def major_version() -> int:
    """Give the major version of ``pg_dump``, which is that of the others in its folder."""
    said = subprocess.run(  # noqa: S603 -- PostgreSQL's own program
        [program("pg_dump"), "--version"], capture_output=True, text=True, check=False
    )
    found = re.search(r"(\d+)", said.stdout)
    if found is None:
        raise ConfigurationError(f"does not say its version: {said.stderr.strip()}", where=str(program("pg_dump")))
    return int(found[1])


def refuse_older_programs(server_major: int) -> None:
    """Refuse to dump a server that is newer than the programs: they would leave out what they do not know.

    Raises
    ------
    ConfigurationError
        With both versions.

    """
    ours = major_version()
    if ours < server_major:
        raise ConfigurationError(
            f"pg_dump is of PostgreSQL {ours}, the server of {server_major}: it does not know all that is there",
            where=str(program("pg_dump").parent),
            next_step=f"set {PROGRAMS_VARIABLE} to the programs of PostgreSQL {server_major}",
        )


def environment(url: str) -> dict[str, str]:
    """Give the environment in which a program of PostgreSQL finds a database.

    Parameters
    ----------
    url : str
        Of the database, perhaps with a password.

    """
    from psycopg import pq  # noqa: PLC0415 -- a client library is loaded where it is used

    told = {name: os.environ[name] for name in _SENT_TO_ALL if name in os.environ}
    for option in pq.Conninfo.parse(url.encode()):
        if option.val is not None and option.envvar is not None:
            told[option.envvar.decode()] = option.val.decode()
    return told | {"LC_ALL": "C", "TZ": "UTC", "PGCLIENTENCODING": "UTF8"}


def failed(name: str, said: str, secrets: Mapping[str, str], *, where: str, next_step: str) -> WarehouseError:
    """Make the error of a program that failed, with the end of what it said and without a password."""
    password = secrets.get("PGPASSWORD")
    text = said.strip()[-_TAIL_CHARACTERS:]
    if password:
        text = text.replace(password, "***")
    return WarehouseError(f"{name} failed: {text or 'it said nothing'}", where=where, next_step=next_step)
