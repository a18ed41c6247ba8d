"""Numbers of Dagster's instance: what waits and runs, what failed lately, heartbeats, the size of the log."""

from __future__ import annotations

import datetime as dt
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import dagster as dg
import sqlalchemy as sa
from dagster._core.execution.backfill import BulkActionStatus  # how Dagster calls the states of a backfill
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from prometheus_client.core import GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client import Metric

_GOING: Final = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
_LATELY: Final = dt.timedelta(hours=24)

_LOG_OF_POSTGRESQL: Final = sa.text(
    "SELECT greatest(reltuples, 0)::bigint, pg_total_relation_size(oid) FROM pg_class"
    " WHERE oid = 'event_logs'::regclass"
)


def instance_parts(instance: dg.DagsterInstance) -> dict[str, Callable[[], Iterable[Metric]]]:
    """Give the parts of an instance, by name.

    Parameters
    ----------
    instance : dagster.DagsterInstance
        Which must stay open as long as they are read.

    Returns
    -------
    dict of str to callable

    """
    readers = {"runs": _runs, "backfills": _backfills, "daemons": _daemons, "event log": _event_log}
    return {name: partial(reader, instance) for name, reader in readers.items()}


def _runs(instance: dg.DagsterInstance) -> Iterator[Metric]:
    going = GaugeMetricFamily("pipeline_runs", "Runs that have not ended, by state", labels=["status"])
    for status in _GOING:
        going.add_metric([status.value.lower()], instance.get_runs_count(dg.RunsFilter(statuses=[status])))
    yield going
    since = dt.datetime.now(dt.UTC) - _LATELY
    ended = GaugeMetricFamily("pipeline_runs_ended_last_day", "Runs that ended in the last 24 hours", labels=["status"])
    for status in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED):
        wanted = dg.RunsFilter(statuses=[status], updated_after=since)
        ended.add_metric([status.value.lower()], instance.get_runs_count(wanted))
    yield ended


def _backfills(instance: dg.DagsterInstance) -> Iterator[Metric]:
    going = len(instance.get_backfills(status=BulkActionStatus.REQUESTED))
    yield GaugeMetricFamily("pipeline_backfills_in_progress", "Backfills that have not ended", value=going)


def _daemons(instance: dg.DagsterInstance) -> Iterator[Metric]:
    heartbeat = GaugeMetricFamily(
        "pipeline_daemon_heartbeat_timestamp_seconds", "Last heartbeat of each daemon that is needed; 0 if none",
        labels=["daemon"],
    )  # fmt: skip
    seen = instance.get_daemon_heartbeats()
    for name in sorted(instance.get_required_daemon_types()):
        heartbeat.add_metric([name], seen[name].timestamp if name in seen else 0.0)
    yield heartbeat


def _event_log(instance: dg.DagsterInstance) -> Iterator[Metric]:
    storage = instance.event_log_storage
    size = None
    if isinstance(storage, SqliteEventLogStorage):
        size = sum(path.stat().st_size for path in Path(storage.path_for_shard("any")).parent.glob("*.db*"))
    elif isinstance(storage, SqlEventLogStorage):
        with storage.index_connection() as connection:
            if connection.dialect.name == "postgresql":
                rows, size = connection.execute(_LOG_OF_POSTGRESQL).one()
                yield GaugeMetricFamily("pipeline_event_log_rows", "Events, as the server estimates", value=rows)
    if size is not None:
        yield GaugeMetricFamily("pipeline_event_log_size_bytes", "Size of the event log", value=size)
