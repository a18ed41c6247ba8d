"""What several hosts must have in common, and what is refused when it would lie on the disk of one.

The database and the bucket are the only state that hosts share. A folder counts as shared only if it is declared so:
``PIPELINE_SHARED_FOLDER`` names one that every host mounts at the same path. Nothing is asked of a single host.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pipeline_defs
from pipeline_defs.errors import ConfigurationError, UnknownNameError
from pipeline_defs.orchestration.executors import CELERY, executor_name
from pipeline_defs.settings import load_settings
from pipeline_defs.storage.locations import parse_location

if TYPE_CHECKING:
    from pipeline_defs.storage.locations import Location

HOSTS_VARIABLE: Final = "PIPELINE_HOSTS"
SHARED_VARIABLE: Final = "PIPELINE_SHARED_FOLDER"
ONE: Final = "one"
MANY: Final = "many"

CONFIGURATION_TAG: Final = "pipeline/configuration"
"""Tag of a run: the digest of the files that decide what it does, on the host that sent it."""

_DECIDING_FILES: Final = ("precedence.yaml", "tolerances.csv", "expectations.csv", "universe.yaml")
"""Files of PIPELINE_HOME that change what a run stores or exports."""

_UNIVERSE: Final = "PIPELINE_UNIVERSE"


def runs_on_many_hosts() -> bool:
    """Tell whether a run may be executed on another host than the one that looks at what it made.

    Raises
    ------
    UnknownNameError
        If ``PIPELINE_HOSTS`` is neither ``one`` nor ``many``.

    """
    said = os.environ.get(HOSTS_VARIABLE) or ONE
    if said not in {ONE, MANY}:
        raise UnknownNameError(f"value of {HOSTS_VARIABLE}", said, [ONE, MANY])
    return said == MANY or executor_name() == CELERY


def require_shared(place: Location, what: str, next_step: str) -> Location:
    """Give a place back if every host sees the same there.

    Parameters
    ----------
    place : Path or S3Location
        Where something is read or published.
    what : str
        What it is, for the message.
    next_step : str
        What to set instead.

    Returns
    -------
    Path or S3Location

    Raises
    ------
    ConfigurationError
        If it is a folder of this host alone, and runs are executed on many.

    """
    if not isinstance(place, Path) or not runs_on_many_hosts():
        return place
    shared = os.environ.get(SHARED_VARIABLE)
    if shared and place.absolute().is_relative_to(Path(shared).expanduser().absolute()):
        return place
    raise ConfigurationError(
        f"{what} would lie on the disk of one host, and runs are executed on many",
        where=str(place),
        next_step=f"{next_step}; or set {SHARED_VARIABLE} to a folder that every host mounts there",
    )


def require_shared_state() -> None:
    """Refuse a host whose runs would lean on its own disk, before the first one.

    Raises
    ------
    ConfigurationError
        If the database is the embedded one, or catalogs or the archive of deliveries would lie on this host.

    """
    if not runs_on_many_hosts():
        return
    settings = load_settings()
    if settings.database_url is None:
        raise ConfigurationError(
            "the embedded database is of one host, and runs are executed on many",
            where="PIPELINE_DATABASE_URL",
            next_step="set it to a PostgreSQL or TimescaleDB server that every host reaches",
        )
    catalogs = settings.catalogs_dir if settings.object_store is None else parse_location(settings.object_store)
    require_shared(catalogs, "catalogs", "set PIPELINE_OBJECT_STORE to s3://bucket/prefix")
    if settings.raw_archive is not None:
        require_shared(
            parse_location(settings.raw_archive), "the archive of deliveries", "set PIPELINE_RAW_ARCHIVE to s3://…"
        )


def configuration_digest() -> str:
    """Give a digest of this host's code version and of the files of its home that decide what runs do."""
    home = load_settings().home
    universe = os.environ.get(_UNIVERSE)
    digest = hashlib.sha256(pipeline_defs.__version__.encode())
    for name in _DECIDING_FILES:
        path = Path(universe).expanduser() if universe and name == "universe.yaml" else home / name
        content = path.read_bytes() if path.is_file() else b""
        digest.update(f"\n{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def refuse_other_configuration(expected: str | None, host: str) -> None:
    """Refuse a run that was sent by a host whose files say something else.

    Parameters
    ----------
    expected : str or None
        `configuration_digest` of the host that sent it; None when it said nothing.
    host : str
        This one, for the message.

    Raises
    ------
    ConfigurationError
        If the digests differ: two hosts would make two different results of the same partition.

    """
    if expected is not None and expected != configuration_digest():
        raise ConfigurationError(
            "this host has another version of the pipeline, or other files, than the host that sent the run",
            where=host,
            next_step=f"install the same version, and put the same {', '.join(_DECIDING_FILES)} into PIPELINE_HOME of"
            " every host, or none",
        )
