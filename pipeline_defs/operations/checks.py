"""What can be asked without Dagster: the disks, the database and its schema, the clocks, the bucket, the sessions."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import secrets
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ConfigurationError, PipelineError
from pipeline_defs.operations.health import State, UnhealthyError
from pipeline_defs.settings import GIB, load_settings

if TYPE_CHECKING:
    from pipeline_defs.storage.locations import S3Location
    from pipeline_defs.warehouse.connection import Warehouse

DEFAULT_FREE_BYTES: Final = 5 * GIB
"""An import of a large day stages some gigabytes; a database without a free disk stops."""

SKEW_FAILS_SECONDS: Final = 5.0
SKEW_WARNS_SECONDS: Final = 1.0
"""Sessions, graces and signatures of requests are judged by the host's clock, loads stamped by the database's."""


def check_home(least_free_bytes: int) -> str:
    """See that the home can be written, and that its disk has room."""
    home = load_settings().home
    try:
        home.mkdir(parents=True, exist_ok=True)
        probe = home / f".health-{os.getpid()}-{secrets.token_hex(4)}"
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        raise UnhealthyError(
            f"{home} cannot be written: {error.strerror}", next_step="mount it, free its disk, or mend its owner"
        ) from None
    return _room(home, least_free_bytes, "delete what is old in it, or give it a larger disk")


def check_database(warehouse: Warehouse) -> str:
    """See that the database answers."""
    with warehouse.connect(autocommit=True) as connection:
        (row,) = connection.execute("SELECT current_setting('server_version'), pg_is_in_recovery()").fetchall()
    if row[1]:
        raise UnhealthyError(
            f"{warehouse.public_url} is a standby and takes no writes",
            next_step="point PIPELINE_DATABASE_URL to the primary, or promote this server",
        )
    return f"PostgreSQL {row[0]} answers at {warehouse.public_url}"


def check_schema(warehouse: Warehouse) -> str:
    """See that the database holds exactly the migrations of this version."""
    from pipeline_defs.warehouse.migrations import State as Migrated  # noqa: PLC0415 -- a probe may leave it out
    from pipeline_defs.warehouse.migrations import migration_states  # noqa: PLC0415

    with warehouse.connect(autocommit=True) as connection:
        states = migration_states(connection)
    wrong = [f"{entry.name} is {entry.state.value}" for entry in states if entry.state is not Migrated.APPLIED]
    if wrong:
        raise UnhealthyError(
            f"{len(wrong)} of {len(states)} migrations are not as this version has them: {', '.join(wrong[:3])}",
            next_step="run 'pipeline db upgrade', or start the version that wrote the database; see 'pipeline doctor'",
        )
    return f"{len(states)} migrations, the newest {states[-1].name}"


def check_database_disk(warehouse: Warehouse, least_free_bytes: int) -> str:
    """See that the database's disk has room, where it is a disk of this machine."""
    with warehouse.connect(autocommit=True) as connection:
        (row,) = connection.execute(
            "SELECT pg_database_size(current_database()), CASE WHEN pg_has_role('pg_read_all_settings', 'USAGE')"
            " THEN current_setting('data_directory') END, coalesce(host(inet_server_addr()), '')"
        ).fetchall()
    size, folder, address = row
    if folder is None or not _is_here(address) or not Path(folder).is_dir():
        raise UnhealthyError(
            f"the disk of the database cannot be seen from here; the database has {size / GIB:,.1f} GiB",
            next_step="watch it where the server runs",
            state=State.UNKNOWN,
        )
    return _room(Path(folder), least_free_bytes, "give it a larger disk, or see 'pipeline db retention'")


def check_clock(warehouse: Warehouse) -> str:
    """See that the clocks of this host and of the database agree."""
    with warehouse.connect(autocommit=True) as connection:
        before = dt.datetime.now(dt.UTC)
        (row,) = connection.execute("SELECT clock_timestamp()").fetchall()
        after = dt.datetime.now(dt.UTC)
    ahead = max(0.0, (before - row[0]).total_seconds())
    behind = max(0.0, (row[0] - after).total_seconds())
    skew = max(ahead, behind)  # what lies within the question's own time is no difference
    told = f"this host is {skew:.3f} s {'ahead of' if ahead else 'behind'} the database"
    if skew > SKEW_WARNS_SECONDS:
        raise UnhealthyError(
            told,
            next_step="let both set their clocks by the same time servers (chrony, systemd-timesyncd)",
            state=State.FAILED if skew > SKEW_FAILS_SECONDS else State.WARNING,
        )
    return told if skew else "this host and the database agree"


def check_bucket(location: S3Location) -> str:
    """Write, read and delete one small object below a prefix."""
    from pipeline_defs.storage.answers import Content  # noqa: PLC0415 -- imports boto3 later on
    from pipeline_defs.storage.objects import ObjectStore  # noqa: PLC0415

    store = ObjectStore.open(concurrency=1)
    probe = location / f"health/{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    data = secrets.token_bytes(16)
    store.write(probe, data)
    try:
        read = store.read(probe)
    finally:
        with contextlib.suppress(PipelineError):
            store.delete_many([probe])
    if not isinstance(read, Content) or read.data != data:
        raise UnhealthyError(
            f"{location} gave back something else than was written",
            next_step="check that nothing rewrites objects between here and the store",
        )
    return f"{location} takes, gives and deletes objects"


def check_sessions(warehouse: Warehouse, now: dt.datetime) -> str:
    """See that every session that is due of what the universe wants is stored."""
    from pipeline_defs.operations.overdue import overdue_sessions  # noqa: PLC0415 -- imports polars

    found = overdue_sessions(warehouse, now)
    if late := [f"{source}/{table} {day}" for (source, table), days in found.items() for day in days]:
        more = f" and {len(late) - 3} more" if len(late) > 3 else ""  # noqa: PLR2004 -- so many fit a line
        raise UnhealthyError(
            f"{len(late)} sessions are due and not stored: {', '.join(late[:3])}{more}",
            next_step="look why their runs failed, or switch stale_sensor on; 'pipeline gaps' lists what is missing",
            state=State.WARNING,
        )
    if not found:
        return "the universe names no session of an API"
    return f"nothing is overdue of {len(found)} tables of APIs"


def buckets_in_use() -> list[S3Location]:
    """Give the places that are written to: of catalogs, of raw deliveries, of steps' output."""
    from pipeline_defs.storage.locations import S3Location, parse_location  # noqa: PLC0415 -- as above

    settings = load_settings()
    named = [parse_location(text) for text in (settings.object_store, settings.raw_archive) if text]
    places = [place for place in named if isinstance(place, S3Location)]
    if bucket := os.environ.get("PIPELINE_LOGS_BUCKET"):
        places.append(S3Location(bucket, os.environ.get("PIPELINE_LOGS_PREFIX") or "dagster"))
    return list(dict.fromkeys(places))


def parse_gib(text: str) -> int:
    """Read a number of GiB as bytes.

    Raises
    ------
    ConfigurationError
        If it is no number, or negative.

    """
    try:
        size = float(text) * GIB
    except ValueError:
        size = -1.0
    if not 0 <= size < float("inf"):
        raise ConfigurationError(f"{text!r} is no number of GiB", next_step="e.g. 5")
    return int(size)


def _room(folder: Path, least_free_bytes: int, next_step: str) -> str:
    usage = shutil.disk_usage(folder)
    told = f"{usage.free / GIB:,.1f} of {usage.total / GIB:,.1f} GiB are free at {folder}"
    if usage.free < least_free_bytes:
        raise UnhealthyError(f"{told}, expected at least {least_free_bytes / GIB:,.1f}", next_step=next_step)
    if usage.free < 2 * least_free_bytes:
        raise UnhealthyError(f"{told}, which is little", next_step=next_step, state=State.WARNING)
    return told


def _is_here(address: str) -> bool:
    """Tell whether a server's address is this machine's; a socket has none."""
    return address in {"", "127.0.0.1", "::1"}
