"""The one import path: every source's batches go through here, whatever adapter made them.

Resolve instruments, then in one transaction: merge the rows, write the load with its files, quarantine and quality.
After the commit the bars of the touched window are refreshed; a crash in between leaves a pending window that the next
import or `refresh_pending_bars` clears.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING, Final

import polars as pl

import pipeline_defs
from pipeline_defs.errors import SourceError, WarehouseError
from pipeline_defs.schema.tables import OBSERVATION_COLUMNS
from pipeline_defs.warehouse.days import day_bounds
from pipeline_defs.warehouse.instruments import resolve_instruments
from pipeline_defs.warehouse.merging import MergeCounts, Partition, is_empty, merge
from pipeline_defs.warehouse.reports import LoadReport
from pipeline_defs.warehouse.transport import copy_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from pipeline_defs.schema.batches import ImportBatch, ImportRequest, Source, SourceMetadata
    from pipeline_defs.warehouse.connection import Warehouse

MAX_DAMAGED_FRACTION: Final = 0.5
MIN_ROWS_TO_JUDGE: Final = 100
"""A partition of at least this many lines of which more than half were refused stores nothing."""

_INSERT_LOAD: Final = """
INSERT INTO loads (source, dataset, trade_date, bar_seconds, underlying, status, source_type, source_url, api_version,
                   fetched_at, rows_read, rows_stored, rows_unchanged, rows_corrected, rows_retired, rows_quarantined,
                   checksum, code_version, dagster_run_id, message)
VALUES (%(source)s, %(dataset)s, %(trade_date)s, %(bar_seconds)s, %(underlying)s, 'rejected', %(source_type)s,
        %(source_url)s, %(api_version)s, %(fetched_at)s, %(rows_read)s, 0, 0, 0, 0, %(rows_quarantined)s,
        %(checksum)s, %(code_version)s, %(dagster_run_id)s, '')
RETURNING load_id
"""

_FINISH_LOAD: Final = """
UPDATE loads SET status = %(status)s, rows_stored = %(stored)s, rows_unchanged = %(unchanged)s,
                 rows_corrected = %(corrected)s, rows_retired = %(retired)s, message = %(message)s
WHERE load_id = %(load_id)s
"""


def import_source(
    warehouse: Warehouse, source: Source, request: ImportRequest, *, dagster_run_id: str | None = None
) -> Iterator[LoadReport]:
    """Import everything a source gives for a request, batch by batch.

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

    Yields
    ------
    LoadReport
        One per batch, each committed before it is given.

    Raises
    ------
    SourceError
        If the source yields no batch at all: emptiness must be confirmed with a reason.

    """
    metadata = source.get_metadata()
    nothing = True
    with warehouse.connect(autocommit=True) as connection:
        refresh_pending_bars(connection)
        for batch in source.fetch(request):
            nothing = False
            yield _import_batch(connection, metadata, batch, dagster_run_id)
    if nothing:
        raise SourceError(
            f"source {metadata.source} gave neither rows nor a reason for having none",
            where=metadata.source_url,
            next_step="this is a defect of the adapter; please report it",
        )


def _import_batch(
    connection: psycopg.Connection, metadata: SourceMetadata, batch: ImportBatch, dagster_run_id: str | None
) -> LoadReport:
    fetched_at = dt.datetime.now(dt.UTC)
    partition = _partition(metadata.source, batch)
    damage = _damage(batch)
    ids = resolve_instruments(connection, batch.contracts, source=metadata.source, trade_date=batch.trade_date)
    if damage is None and batch.observations.height:
        _prepare_storage(connection, partition)
    with connection.transaction():
        connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"{partition.table}|{partition.source}|{batch.trade_date}|{partition.bar_seconds}"],
        )
        load_id = _insert_load(connection, metadata, batch, fetched_at, dagster_run_id)
        _record_delivery(connection, batch, load_id, ids)
        counts = MergeCounts(0, 0, 0, 0)
        if damage is None and batch.empty_reason is None:
            counts = _store(connection, partition, batch, ids, load_id)
        status, message = "complete", ""
        if damage is not None:
            status, message = "rejected", damage
        elif batch.empty_reason is not None:
            status, message = "empty", batch.empty_reason
        connection.execute(
            _FINISH_LOAD,
            {
                "load_id": load_id,
                "status": status,
                "message": message,
                "stored": counts.stored,
                "unchanged": counts.unchanged,
                "corrected": counts.corrected,
                "retired": counts.retired,
            },
        )
        changed = bool(counts.stored or counts.corrected or counts.retired)
        if changed and partition.table == "options_ticks":
            connection.execute(
                "INSERT INTO pending_bars (window_start, window_end, load_id) VALUES (%s, %s, %s)",
                [partition.start, partition.end, load_id],
            )
    if changed:
        refresh_pending_bars(connection)
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


def refresh_pending_bars(connection: psycopg.Connection) -> None:
    """Refresh hourly and daily bars for every window a load left pending.

    Parameters
    ----------
    connection : psycopg.Connection
        In autocommit mode: `refresh_bars` owns its transactions.

    """
    pending = connection.execute(
        "SELECT load_id, window_start, window_end FROM pending_bars ORDER BY load_id"
    ).fetchall()
    for load_id, start, end in pending:
        connection.execute("CALL refresh_bars(%s, %s)", [start, end])
        connection.execute("DELETE FROM pending_bars WHERE load_id = %s", [load_id])


def _partition(source: str, batch: ImportBatch) -> Partition:
    partition = Partition(batch.table, source, batch.bar_seconds, *day_bounds(batch.trade_date))
    outside = batch.observations.filter(~pl.col("timestamp").is_between(partition.start, partition.end, closed="left"))
    if outside.height:
        raise WarehouseError(
            f"{outside.height} observations lie outside the trade date, the first at {outside['timestamp'][0]}",
            where=f"{batch.table} {batch.trade_date}",
            next_step="this is a defect of the adapter; please report it",
        )
    return partition


def _damage(batch: ImportBatch) -> str | None:
    """Say why nothing of the batch may be stored, or None."""
    refused = batch.rejects.height
    if batch.empty_reason is not None:
        return None
    if batch.observations.is_empty():
        return f"none of {refused} lines was usable"
    if batch.rows_read >= MIN_ROWS_TO_JUDGE and refused > MAX_DAMAGED_FRACTION * batch.rows_read:
        return f"{refused} of {batch.rows_read} lines were refused, more than {MAX_DAMAGED_FRACTION:.0%}"
    return None


def _prepare_storage(connection: psycopg.Connection, partition: Partition) -> None:
    """Create a hypertable's chunk in a short transaction of its own, so that parallel backfills do not queue."""
    connection.execute("CALL prepare_storage(%s, %s)", [partition.table, partition.start])


def _insert_load(
    connection: psycopg.Connection,
    metadata: SourceMetadata,
    batch: ImportBatch,
    fetched_at: dt.datetime,
    dagster_run_id: str | None,
) -> int:
    deliveries = sorted(batch.files.select("logical_name", "sha256").iter_rows())
    row = connection.execute(
        _INSERT_LOAD,
        {
            "source": metadata.source,
            "dataset": batch.table,
            "trade_date": batch.trade_date,
            "bar_seconds": batch.bar_seconds,
            "underlying": batch.underlying,
            "source_type": metadata.source_type,
            "source_url": metadata.source_url,
            "api_version": metadata.api_version,
            "fetched_at": fetched_at,
            "rows_read": batch.rows_read,
            "rows_quarantined": batch.rejects.height,
            "checksum": hashlib.sha256(repr(deliveries).encode()).hexdigest(),
            "code_version": pipeline_defs.__version__,
            "dagster_run_id": dagster_run_id,
        },
    ).fetchone()
    if row is None:
        raise WarehouseError("the database did not return the new load's id", where="loads")
    return int(row[0])


def _record_delivery(connection: psycopg.Connection, batch: ImportBatch, load_id: int, ids: pl.Series) -> None:
    """Write what the load read, refused and found."""
    load = pl.lit(load_id).alias("load_id")
    copy_in(connection, "load_files", batch.files.with_columns(load))
    spoken = batch.observations.select("contract_key", "file_index").unique()
    spoken = spoken.select(load, ids.gather(spoken["contract_key"]).alias("instrument_id"), "file_index").unique()
    copy_in(connection, "load_instruments", spoken)
    copy_in(
        connection,
        "quarantine",
        batch.rejects.unique(["file_index", "line", "reason"], maintain_order=True).with_columns(
            load, pl.col("text").str.replace_all("\x00", "\N{REPLACEMENT CHARACTER}", literal=True)
        ),
    )
    if batch.findings:
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO quality_results (load_id, check_name, passed, expected, found, detail)"
                " VALUES (%s, %s, %s, %s, %s, %s)",
                [(load_id, f.check, f.passed, f.expected, f.found, f.detail) for f in batch.findings],
            )


def _store(
    connection: psycopg.Connection, partition: Partition, batch: ImportBatch, ids: pl.Series, load_id: int
) -> MergeCounts:
    given = [column.name for column in batch.observations if column.null_count() < column.len()]
    rows = batch.observations.select(given).with_columns(
        ids.gather(batch.observations["contract_key"]).alias("instrument_id"),
        pl.lit(partition.bar_seconds, pl.Int32()).alias("bar_seconds"),
        pl.lit(partition.source).alias("source"),
        pl.lit(load_id, pl.Int64()).alias("load_id"),
    )
    rows = rows.select(column.name for column in OBSERVATION_COLUMNS if column.name in rows.columns)
    rows = rows.sort("timestamp", "instrument_id", "sequence")
    if is_empty(connection, partition):
        copy_in(connection, partition.table, rows)
        return MergeCounts(rows.height, 0, 0, 0)
    return merge(
        connection,
        partition,
        rows,
        load_id=load_id,
        trade_date=batch.trade_date,
        underlying=batch.underlying,
    )
