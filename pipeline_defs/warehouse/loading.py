"""The one import path: every source's batches go through here, whatever adapter made them.

Resolve instruments, then in one transaction: merge the rows, write the load with its files, quarantine and quality.
After the commit the bars of the touched window are refreshed; a crash in between leaves a pending window that the next
import or `refresh_pending_bars` clears.
"""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import SourceError, WarehouseError
from pipeline_defs.progress import Step, ignore
from pipeline_defs.schema.batches import HARMLESS_REASONS
from pipeline_defs.schema.deliveries import FetchCost
from pipeline_defs.warehouse.actions import store_actions
from pipeline_defs.warehouse.cache import record_cache_use
from pipeline_defs.warehouse.deliveries import Ledger
from pipeline_defs.warehouse.faults import PersistentConnection
from pipeline_defs.warehouse.instruments import resolve_instruments
from pipeline_defs.warehouse.loads import begin_load, finish_load, record_delivery
from pipeline_defs.warehouse.merging import MergeCounts, bring_in_line
from pipeline_defs.warehouse.partitions import Partition
from pipeline_defs.warehouse.reports import LoadReport
from pipeline_defs.warehouse.rows import PartitionRows, refuse_parts_of_whole_units

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from pipeline_defs.progress import OnProgress
    from pipeline_defs.schema.batches import ImportBatch, ImportRequest, Source, SourceMetadata
    from pipeline_defs.warehouse.connection import Warehouse

MAX_DAMAGED_FRACTION: Final = 0.5
MIN_ROWS_TO_JUDGE: Final = 100
"""A partition of at least this many lines of which more than half were refused stores nothing."""


def import_source(
    warehouse: Warehouse,
    source: Source,
    request: ImportRequest,
    *,
    dagster_run_id: str | None = None,
    reread: bool = False,
    on_progress: OnProgress = ignore,
) -> Iterator[LoadReport]:
    """Import everything a source gives for a request, batch by batch.

    A failure of the server that passes (a restart, a lost connection, a lock conflict) is waited for and the batch
    tried again.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    source : Source
        The adapter.
    request : ImportRequest
        What is wanted.
    dagster_run_id : str, optional
        Recorded with each load.
    reread : bool, default False
        Read deliveries, too, that are known to be stored as they are.
    on_progress : callable, optional
        Told before each batch is read and before it is stored.

    Yields
    ------
    LoadReport
        One per batch, each committed before it is given.

    Raises
    ------
    SourceError
        If the source yields no batch at all: emptiness must be confirmed with a reason.
    WarehouseError
        If the server refused a batch, or did not come back within half a minute.

    """
    metadata = source.get_metadata()
    nothing = True
    with PersistentConnection(warehouse) as connection:
        connection.run(refresh_pending_bars, "bars of earlier imports")
        ledger = Ledger(connection, metadata, request.underlying, dagster_run_id)
        started = time.perf_counter()
        days: set[dt.date] = set()
        on_progress(_step(request, days, f"reading {metadata.source}"))
        for batch in source.fetch(request if reread else replace(request, ledger=ledger)):
            nothing = False
            latency_ms = (time.perf_counter() - started) * 1000
            yield from _confirm(connection, ledger)
            cost = batch.cost or FetchCost(0, latency_ms / 1000)
            on_progress(_step(request, days, f"storing {batch.table} {batch.trade_date}"))
            report = replace(
                _import_batch(connection, metadata, batch, dagster_run_id),
                calls=None if batch.cost is None else cost.calls,
                fetch_seconds=cost.seconds,
                size_bytes=int(batch.files["size_bytes"].sum()),
                complete_to=batch.complete_to,
            )
            _record_use(connection, report)
            yield report
            days.add(batch.trade_date)
            on_progress(_step(request, days, f"reading {metadata.source}"))
            started = time.perf_counter()
        for report in _confirm(connection, ledger):
            nothing = False
            yield report
        # A commit whose answer was lost has left a window that its repetition, having changed nothing, does not know.
        connection.run(refresh_pending_bars, "bars of this import")
    if nothing:
        raise SourceError(
            f"source {metadata.source} gave neither rows nor a reason for having none",
            where=metadata.source_url,
            next_step="this is a defect of the adapter; please report it",
        )


def _step(request: ImportRequest, days: set[dt.date], doing: str) -> Step:
    """Measure by the days of which anything is stored; only a request with both ends says how many there can be."""
    if request.start_date is None or request.end_date is None:
        return Step(doing, len(days), None)
    return Step(doing, len(days), (request.end_date - request.start_date).days + 1)


def _confirm(connection: PersistentConnection, ledger: Ledger) -> Iterator[LoadReport]:
    """Report what the source left out because it is stored as it is."""
    for report in ledger.confirm():
        _record_use(connection, report)
        yield report


def _record_use(connection: PersistentConnection, report: LoadReport) -> None:
    """Count in the cache statistics whether the source had to be read, or asked."""
    hits, misses = (1, 0) if report.is_hit else (0, 1)
    latency_ms = None if report.is_hit else report.fetch_seconds * 1000
    connection.run(
        lambda session: record_cache_use(
            session, hits=hits, misses=misses, size_bytes=report.size_bytes, latency_ms=latency_ms
        ),
        "cache statistics",
    )


def _import_batch(
    connection: PersistentConnection, metadata: SourceMetadata, batch: ImportBatch, dagster_run_id: str | None
) -> LoadReport:
    fetched_at = dt.datetime.now(dt.UTC)
    partition = _partition(metadata.source, batch)
    where = f"{partition.table} {partition.trade_date}, {partition.bar_seconds} s, source {partition.source}"

    def load(session: psycopg.Connection) -> LoadReport:
        ids = resolve_instruments(session, batch.contracts, source=metadata.source, trade_date=batch.trade_date)
        if batch.observations.height:
            prepare_storage(session, partition, batch.observations["timestamp"])
        with session.transaction():
            session.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [partition.lock_name])
            load_id = begin_load(session, metadata, batch, fetched_at=fetched_at, dagster_run_id=dagster_run_id)
            record_delivery(session, batch, load_id, ids)
            return _store(session, partition, batch, ids, load_id)

    report = connection.run(load, where)
    if report.stored or report.corrected or report.retired:
        connection.run(lambda session: refresh_pending_bars(session, report.load_id), f"bars after {where}")
    return report


def refresh_pending_bars(connection: psycopg.Connection, load_id: int | None = None) -> None:
    """Refresh hourly and daily bars for the windows that loads left pending.

    Parameters
    ----------
    connection : psycopg.Connection
        In autocommit mode: `refresh_bars` owns its transactions.
    load_id : int, optional
        The load whose window is meant; default every load's, but for those somebody is refreshing now.

    """
    pending = connection.execute(
        "SELECT load_id, window_start, window_end FROM pending_bars"
        " WHERE %(load_id)s::bigint IS NULL OR load_id = %(load_id)s ORDER BY load_id",
        {"load_id": load_id},
    ).fetchall()
    for pending_id, start, end in pending:
        lock = ["pending_bars", pending_id]
        claim = "pg_try_advisory_lock" if load_id is None else "pg_advisory_lock"
        # pg_advisory_lock gives nothing to read, and waits; the window was then refreshed by whom it waited for.
        (claimed,) = connection.execute(f"SELECT {claim}(hashtext(%s), %s)::text <> 'false'".encode(), lock).fetchall()
        if not claimed[0]:
            continue
        try:
            connection.execute("CALL refresh_bars(%s, %s)", [start, end])
            connection.execute("DELETE FROM pending_bars WHERE load_id = %s", [pending_id])
        finally:
            if not connection.broken:
                connection.execute("SELECT pg_advisory_unlock(hashtext(%s), %s)", lock)


def _partition(source: str, batch: ImportBatch) -> Partition:
    partition = Partition(batch.table, source, batch.bar_seconds, batch.trade_date, batch.timezone, batch.window)
    outside = batch.observations.filter(~pl.col("timestamp").is_between(partition.start, partition.end, closed="left"))
    if outside.height:
        raise WarehouseError(
            f"{outside.height} observations lie outside the trade date, the first at {outside['timestamp'][0]}",
            where=f"{batch.table} {batch.trade_date}",
            next_step="this is a defect of the adapter; please report it",
        )
    refuse_parts_of_whole_units(batch, f"{batch.table} {batch.trade_date}")
    return partition


def find_damage(batch: ImportBatch) -> str | None:
    """Say why nothing of a batch may be stored.

    Parameters
    ----------
    batch : ImportBatch
        Any.

    Returns
    -------
    str or None
        None when it may be stored, or is confirmed to be empty.

    """
    if batch.empty_reason is not None:
        return None
    harmful = batch.rejects.filter(~pl.col("reason").is_in(list(HARMLESS_REASONS))).height
    return damage_of(batch.observations.height, batch.rejects.height, harmful)


def damage_of(good: int, refused: int, harmful: int) -> str | None:
    """Say why nothing of a partition may be stored, from its lines: good, refused, and refused for damage."""
    if good == 0:
        return f"none of {refused} lines was usable"
    read = good + refused
    if read >= MIN_ROWS_TO_JUDGE and harmful > MAX_DAMAGED_FRACTION * read:
        return f"{harmful} of {read} lines were refused, more than {MAX_DAMAGED_FRACTION:.0%}"
    return None


def prepare_storage(connection: psycopg.Connection, partition: Partition, timestamps: pl.Series) -> None:
    """Create a hypertable's chunks in short transactions of their own, so that parallel backfills do not queue.

    A trade date of the exchange begins on the UTC day before; its session does not.
    """
    for instant in {timestamps.min(), timestamps.max()}:
        connection.execute("CALL prepare_storage(%s, %s)", [partition.table, instant])


def _store(
    session: psycopg.Connection, partition: Partition, batch: ImportBatch, ids: pl.Series, load_id: int
) -> LoadReport:
    """Merge the rows unless the batch is damaged or empty, and finish the load."""
    counts = MergeCounts(0, 0, 0, 0)
    status, message = "complete", ""
    damage = find_damage(batch)
    if damage is not None:
        status, message = "rejected", damage
    elif batch.empty_reason is not None:
        status, message = "empty", batch.empty_reason
    else:
        refuse_forgotten(session, partition)
        rows = PartitionRows.of(partition, batch.observations, ids, load_id)
        counts = bring_in_line(session, partition, rows, load_id=load_id, underlying=batch.underlying)
        store_actions(session, batch, ids, source=partition.source, load_id=load_id)
    if partition.table == "options_ticks" and (counts.stored or counts.corrected or counts.retired):
        session.execute(
            "INSERT INTO pending_bars (window_start, window_end, load_id) VALUES (%s, %s, %s)",
            [partition.start, partition.end, load_id],
        )
    finish_load(session, load_id, status=status, message=message, counts=counts)
    return LoadReport(
        load_id=load_id,
        dataset=batch.table,
        trade_date=batch.trade_date,
        bar_seconds=batch.bar_seconds,
        status=status,
        read=batch.rows_read,
        stored=counts.stored,
        unchanged=counts.unchanged,
        corrected=counts.corrected,
        retired=counts.retired,
        quarantined=dict(batch.rejects.group_by("reason").len().iter_rows()),
        message=message,
    )


def refuse_forgotten(session: psycopg.Connection, partition: Partition) -> None:
    """Refuse what retention would delete again, and whose bars would never be made.

    Raises
    ------
    WarehouseError
        If retention has deleted the partition's table beyond it.

    """
    forgotten = session.execute(
        "SELECT dropped_before FROM dropped_observations WHERE table_name = %(dataset)s AND dropped_before >= %(end)s",
        partition.parameters(),
    ).fetchone()
    if forgotten is not None:
        raise WarehouseError(
            f"retention has deleted {partition.table} before {forgotten[0]:%Y-%m-%d}",
            where=f"{partition.table} {partition.trade_date}",
            next_step="import it into another database, whose 'pipeline db retention' keeps such days",
        )
