"""The log lines of runs that ended long ago, deleted without the run: Dagster deletes ticks, but never an event.

Deleting a run would take its materialisations along, and with them which partitions are there, their data versions and
the results of their checks. What goes here is named type by type: lines that say how a run went along, which nobody
reads after some weeks. Whatever else there is, also an event that a later Dagster invents, stays.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.dagster_run import FINISHED_STATUSES  # which states are final says Dagster alone
from dagster._core.storage.event_log import SqlEventLogStorage, SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from pipeline_defs.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

DELETED: Final = frozenset(
    {
        dg.DagsterEventType.ENGINE_EVENT,
        dg.DagsterEventType.RESOURCE_INIT_STARTED,
        dg.DagsterEventType.RESOURCE_INIT_SUCCESS,
        dg.DagsterEventType.STEP_WORKER_STARTING,
        dg.DagsterEventType.STEP_WORKER_STARTED,
        dg.DagsterEventType.STEP_INPUT,
        dg.DagsterEventType.LOADED_INPUT,
        dg.DagsterEventType.HANDLED_OUTPUT,
        dg.DagsterEventType.OBJECT_STORE_OPERATION,
        dg.DagsterEventType.ASSET_STORE_OPERATION,
        dg.DagsterEventType.HOOK_COMPLETED,
        dg.DagsterEventType.HOOK_SKIPPED,
        dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
    }
)
"""Beside lines that code wrote to the log. That a check was planned is kept in the table of checks, where all read
it; in the log it takes half of all bytes of a run with many checks."""

DELETED_OF_SUCCESS: Final = frozenset({dg.DagsterEventType.STEP_OUTPUT})
"""Of a run that did not succeed they are read when it is run again from where it failed."""

DEFAULT_AGE: Final = dt.timedelta(days=30)
LEAST_AGE: Final = dt.timedelta(days=1)
"""Younger runs are looked at by people and by sensors."""

ROWS_PER_STATEMENT: Final = 5_000
RUNS_PER_PAGE: Final = 200

_DONE_UNTIL: Final = "market_data_pipeline/log_lines_deleted_until"
"""Where the instance remembers which runs are done, so that each is looked at once."""

_EVENTS: Final = SqlEventLogStorageTable.c


@dataclass(frozen=True, slots=True)
class Pruning:
    """What one call deleted, or would delete.

    Parameters
    ----------
    ended_before : datetime.datetime
        Runs whose last change was before it are meant; UTC.
    runs : int
        Runs that were looked at.
    rows : int
        Log lines deleted, or in a rehearsal found.
    is_rehearsal : bool
        Whether nothing was deleted.

    """

    ended_before: dt.datetime
    runs: int
    rows: int
    is_rehearsal: bool


def prune_log_lines(
    instance: dg.DagsterInstance,
    age: dt.timedelta = DEFAULT_AGE,
    *,
    dry_run: bool = False,
    now: dt.datetime | None = None,
) -> Pruning:
    """Delete the log lines of runs that ended long ago; safe to end at any instant, and to run twice at once.

    Parameters
    ----------
    instance : dagster.DagsterInstance
        Whose events, in SQLite or PostgreSQL.
    age : datetime.timedelta, default 30 days
        Since the run's last change.
    dry_run : bool, default False
        Only count.
    now : datetime.datetime, optional
        With a zone; default the present.

    Returns
    -------
    Pruning

    Raises
    ------
    ConfigurationError
        If `age` is less than a day, or the events are kept in a storage that speaks no SQL.

    """
    if age < LEAST_AGE:
        raise ConfigurationError(
            f"an age of {age} is less than a day: runs of today are still looked at", next_step="give at least 1d"
        )
    storage = _sql_storage(instance)
    now = now or dt.datetime.now(dt.UTC)
    ended_before = now - age
    runs = rows = 0
    for run in _ended_runs(instance, ended_before, now):
        runs += 1
        if _is_there(storage, run.run_id):
            rows += (_count if dry_run else _delete)(storage, run)
    if not dry_run:
        instance.run_storage.set_cursor_values({_DONE_UNTIL: ended_before.isoformat()})
    return Pruning(ended_before, runs, rows, dry_run)


def _sql_storage(instance: dg.DagsterInstance) -> SqlEventLogStorage:
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise ConfigurationError(
            f"events are kept in {type(storage).__name__}, which speaks no SQL",
            next_step="keep them in SQLite or PostgreSQL",
        )
    return storage


def _ended_runs(instance: dg.DagsterInstance, ended_before: dt.datetime, now: dt.datetime) -> Iterator[dg.DagsterRun]:
    """Give the runs that ended since the last time, the oldest first."""
    noted = instance.run_storage.get_cursor_values({_DONE_UNTIL}).get(_DONE_UNTIL)
    done_until = None if noted is None else dt.datetime.fromisoformat(noted)
    if done_until is not None and done_until > now:  # the clock was wrong then
        done_until = None
    wanted = dg.RunsFilter(
        statuses=list(FINISHED_STATUSES),
        updated_before=ended_before,
        # The clocks of the machines that write runs may differ a little.
        updated_after=None if done_until is None else done_until - dt.timedelta(minutes=10),
    )
    cursor: str | None = None
    while True:
        page = instance.get_run_records(wanted, limit=RUNS_PER_PAGE, cursor=cursor, ascending=True)
        yield from (record.dagster_run for record in page)
        if len(page) < RUNS_PER_PAGE:
            return
        cursor = page[-1].dagster_run.run_id


def _log_lines(run: dg.DagsterRun) -> sa.ColumnElement[bool]:
    kinds = [kind.value for kind in DELETED | (DELETED_OF_SUCCESS if run.is_success else frozenset())]
    return sa.and_(
        _EVENTS.run_id == run.run_id,
        _EVENTS.asset_key.is_(None),  # whatever its type, what speaks of an asset stays
        sa.or_(_EVENTS.dagster_event_type.is_(None), _EVENTS.dagster_event_type.in_(kinds)),
    )


def _count(storage: SqlEventLogStorage, run: dg.DagsterRun) -> int:
    with storage.run_connection(run.run_id) as connection:
        counted = sa.select(sa.func.count()).select_from(SqlEventLogStorageTable).where(_log_lines(run))
        return int(connection.execute(counted).scalar_one())


def _delete(storage: SqlEventLogStorage, run: dg.DagsterRun) -> int:
    some = sa.select(_EVENTS.id).where(_log_lines(run)).limit(ROWS_PER_STATEMENT)
    deleted = 0
    while True:
        with storage.run_connection(run.run_id) as connection:
            taken = connection.execute(sa.delete(SqlEventLogStorageTable).where(_EVENTS.id.in_(some))).rowcount
        deleted += taken
        if taken < ROWS_PER_STATEMENT:
            break
    if deleted and isinstance(storage, SqliteEventLogStorage):
        _shrink(Path(storage.path_for_shard(run.run_id)))
    return deleted


def _is_there(storage: SqlEventLogStorage, run_id: str) -> bool:
    """Tell whether a run has events; in SQLite it has a file of its own, which a connection would make."""
    return not isinstance(storage, SqliteEventLogStorage) or Path(storage.path_for_shard(run_id)).exists()


def _shrink(shard: Path) -> None:
    # Somebody who reads the run keeps its file as long as it is; the space is used again, or given back another time.
    with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(sqlite3.connect(shard)) as connection:
        connection.execute("VACUUM")
