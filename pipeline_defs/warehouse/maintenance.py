"""Compression and retention: what the policies say, done when we say, and reported.

The work is in SQL (`maintain_storage`), so that a server's own scheduler can be given the same task.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pipeline_defs.errors import WarehouseError
from pipeline_defs.schema.tables import OBSERVATION_TABLES
from pipeline_defs.warehouse.faults import PersistentConnection
from pipeline_defs.warehouse.loading import refresh_pending_bars

if TYPE_CHECKING:
    import datetime as dt

    import psycopg

    from pipeline_defs.warehouse.connection import Warehouse

FULL_LAYER = "timescaledb_full/"


@dataclass(frozen=True, slots=True)
class StoragePolicy:
    """When observations of a table are compressed and deleted.

    Parameters
    ----------
    table : str
        Observation table.
    compress_after : datetime.timedelta or None
        Age at which chunks are compressed; None is never.
    keep_for : datetime.timedelta or None
        Age at which observations are deleted; None is never.

    """

    table: str
    compress_after: dt.timedelta | None
    keep_for: dt.timedelta | None


@dataclass(frozen=True, slots=True)
class StorageChange:
    """What was done to a chunk, or to the rows of a plain table.

    Parameters
    ----------
    table : str
        Observation table.
    action : str
        ``compressed`` or ``dropped``.
    object : str
        The chunk, or which rows.
    bytes_before, bytes_after : int or None
        Size with indexes; None where it was not measured.
    rows : int or None
        Number of rows deleted from a plain table.

    """

    table: str
    action: str
    object: str
    bytes_before: int | None
    bytes_after: int | None
    rows: int | None


@dataclass(frozen=True, slots=True)
class MaintenanceReport:
    """Outcome of one maintenance.

    Parameters
    ----------
    changes : tuple of StorageChange
        In the order in which they were committed.
    can_compress : bool
        Whether this server compresses; if not, the policies' `compress_after` has no effect.

    """

    changes: tuple[StorageChange, ...]
    can_compress: bool

    def to_json(self) -> dict[str, Any]:
        """Give the shape that `pipeline db maintain --json` prints."""
        return {"can_compress": self.can_compress, "changes": [asdict(change) for change in self.changes]}


def list_policies(warehouse: Warehouse) -> list[StoragePolicy]:
    """Give the policy of each observation table."""
    with warehouse.connect() as connection:
        rows = connection.execute(
            "SELECT table_name, compress_after, keep_for FROM storage_policies ORDER BY table_name"
        ).fetchall()
    return [StoragePolicy(*row) for row in rows]


def set_policy(warehouse: Warehouse, policy: StoragePolicy) -> None:
    """Replace a table's policy; nothing is compressed or deleted before the next maintenance.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    policy : StoragePolicy
        The new policy.

    Raises
    ------
    WarehouseError
        If there is no such table, an age is less than a day, or rows would be deleted before they are compressed.

    """
    import datetime as dt  # noqa: PLC0415 -- compared with, once

    if policy.table not in OBSERVATION_TABLES:
        raise WarehouseError(
            f"there is no table of observations {policy.table!r}",
            next_step=f"name one of {', '.join(sorted(OBSERVATION_TABLES))}",
        )
    ages = [age for age in (policy.compress_after, policy.keep_for) if age is not None]
    if any(age < dt.timedelta(days=1) for age in ages) or ages != sorted(ages):
        raise WarehouseError(
            f"compress after {policy.compress_after}, keep for {policy.keep_for}: ages are at least one day, and rows"
            " are kept at least until they are compressed",
            where=policy.table,
            next_step="give a longer age",
        )
    with warehouse.connect() as connection:
        connection.execute(
            "INSERT INTO storage_policies (table_name, compress_after, keep_for)"
            " VALUES (%(table)s, %(compress_after)s, %(keep_for)s) ON CONFLICT (table_name) DO UPDATE"
            " SET compress_after = excluded.compress_after, keep_for = excluded.keep_for",
            asdict(policy),
        )


def maintain(warehouse: Warehouse) -> MaintenanceReport:
    """Delete what is too old and compress what is old, as the policies say.

    Bars that are pending are made first; those of deleted observations stay.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.

    Returns
    -------
    MaintenanceReport

    Raises
    ------
    WarehouseError
        If the server refused.

    """
    with PersistentConnection(warehouse) as connection:
        connection.run(refresh_pending_bars, "bars of earlier imports")
        return connection.run(_maintain, "maintenance of the storage")


def _maintain(connection: psycopg.Connection) -> MaintenanceReport:
    ((last,),) = connection.execute("SELECT coalesce(max(entry_id), 0) FROM storage_log").fetchall()
    connection.execute("CALL maintain_storage()")
    changes = connection.execute(
        "SELECT table_name, action, object, bytes_before, bytes_after, rows FROM storage_log"
        " WHERE entry_id > %s ORDER BY entry_id",
        [last],
    ).fetchall()
    return MaintenanceReport(tuple(StorageChange(*row) for row in changes), _is_full(connection))


def schedule(warehouse: Warehouse, every: dt.timedelta | None) -> None:
    """Have the server's own scheduler do the maintenance, or not any longer.

    Off by default: on PostgreSQL's minor versions of November 2026 scheduled jobs fail without anybody hearing of it.
    `pipeline doctor` shows failed and overdue jobs.

    Parameters
    ----------
    warehouse : Warehouse
        On full TimescaleDB.
    every : datetime.timedelta or None
        How often; None removes the job.

    Raises
    ------
    WarehouseError
        If the server has no scheduler that takes such a job.

    """
    with warehouse.connect() as connection:
        if not _is_full(connection):
            raise WarehouseError(
                "this server runs no jobs of ours: that takes full TimescaleDB",
                where=warehouse.public_url,
                next_step="have 'pipeline db maintain' called by Dagster or cron instead",
            )
        connection.execute(
            "SELECT delete_job(job_id) FROM timescaledb_information.jobs WHERE proc_name = 'maintain_storage'"
        )
        if every is not None:
            connection.execute("SELECT add_job('maintain_storage', %s::interval)", [every])


def _is_full(connection: psycopg.Connection) -> bool:
    ((full,),) = connection.execute(
        "SELECT EXISTS (SELECT FROM schema_migrations WHERE name LIKE %s)", [f"{FULL_LAYER}%"]
    ).fetchall()
    return bool(full)
