"""Rows of `loads` and what hangs on them: what a load read, refused and found."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import polars as pl

import pipeline_defs
from pipeline_defs.errors import WarehouseError
from pipeline_defs.spilling import HEAVY_ROWS
from pipeline_defs.warehouse.transport import copy_in

if TYPE_CHECKING:
    import datetime as dt

    import psycopg

    from pipeline_defs.schema.batches import ImportBatch, SourceMetadata
    from pipeline_defs.warehouse.merging import MergeCounts

_INSERT_LOAD: Final = """
INSERT INTO loads (source, dataset, trade_date, bar_seconds, underlying, status, source_type, source_url, api_version,
                   fetched_at, rows_read, rows_stored, rows_unchanged, rows_corrected, rows_retired, rows_quarantined,
                   checksum, code_version, dagster_run_id, message, delivery_digest, delivery_parts,
                   window_start, window_end, answer_basis, answered)
VALUES (%(source)s, %(dataset)s, %(trade_date)s, %(bar_seconds)s, %(underlying)s, 'rejected', %(source_type)s,
        %(source_url)s, %(api_version)s, %(fetched_at)s, %(rows_read)s, 0, 0, 0, 0, %(rows_quarantined)s,
        %(checksum)s, %(code_version)s, %(dagster_run_id)s, '', %(delivery_digest)s, %(delivery_parts)s,
        %(window_start)s, %(window_end)s, %(answer_basis)s, %(answered)s)
RETURNING load_id
"""

# The stamp comes last: from then to the commit every other stamp waits.
_FINISH_LOAD: Final = """
UPDATE loads SET status = %(status)s, rows_stored = %(stored)s, rows_unchanged = %(unchanged)s,
                 rows_corrected = %(corrected)s, rows_retired = %(retired)s, message = %(message)s,
                 committed_at = stamp_knowledge()
WHERE load_id = %(load_id)s
"""


def begin_load(
    connection: psycopg.Connection,
    metadata: SourceMetadata,
    batch: ImportBatch,
    *,
    fetched_at: dt.datetime,
    dagster_run_id: str | None,
) -> int:
    """Insert the load of a batch, not yet known to anybody.

    Parameters
    ----------
    connection : psycopg.Connection
        In the load's transaction.
    metadata : SourceMetadata
        Where the batch comes from.
    batch : ImportBatch
        What was read.
    fetched_at : datetime.datetime
        When.
    dagster_run_id : str or None
        By which run.

    Returns
    -------
    int
        The load's id.

    """
    told = batch.delivery or batch.so_far
    is_of_answers = told is not None and told.basis is not None
    files = sorted(batch.files.select("logical_name", "sha256").iter_rows())
    row = connection.execute(
        _INSERT_LOAD,
        {
            **asdict(metadata),
            "dataset": batch.table,
            "trade_date": batch.trade_date,
            "bar_seconds": batch.bar_seconds,
            "underlying": batch.underlying,
            "fetched_at": fetched_at,
            "rows_read": batch.rows_read,
            "rows_quarantined": batch.rejects.height,
            "checksum": hashlib.sha256(repr(files).encode()).hexdigest(),
            "code_version": pipeline_defs.__version__,
            "dagster_run_id": dagster_run_id,
            "delivery_digest": batch.delivery and batch.delivery.digest,
            "delivery_parts": batch.delivery and batch.delivery.parts,
            "window_start": batch.window and batch.window[0],
            "window_end": batch.window and batch.window[1],
            "answer_basis": told.basis if told is not None else None,
            "answered": list(told.answered) if told is not None and is_of_answers else None,
        },
    ).fetchone()
    if row is None:
        raise WarehouseError("the database did not return the new load's id", where="loads")
    return int(row[0])


def record_delivery(connection: psycopg.Connection, batch: ImportBatch, load_id: int, ids: pl.Series) -> None:
    """Write what a load read, refused and found.

    Parameters
    ----------
    connection : psycopg.Connection
        In the load's transaction.
    batch : ImportBatch
        What was read.
    load_id : int
        The load.
    ids : polars.Series
        Instrument id of each contract key.

    """
    load = pl.lit(load_id).alias("load_id")
    copy_in(connection, "load_files", batch.files.with_columns(load))
    said = batch.observations.select("contract_key", "file_index")
    spoken = pl.concat([said.clear(), *(part.unique() for part in said.iter_slices(HEAVY_ROWS))])
    spoken = spoken.select(load, ids.gather(spoken["contract_key"]).alias("instrument_id"), "file_index").unique()
    copy_in(connection, "load_instruments", spoken.sort("instrument_id", "file_index"))
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


def finish_load(
    connection: psycopg.Connection, load_id: int, *, status: str, message: str, counts: MergeCounts
) -> None:
    """Say how a load ended, and from when it is known; the last statement of its transaction.

    Parameters
    ----------
    connection : psycopg.Connection
        In the load's transaction.
    load_id : int
        The load.
    status : str
        ``complete``, ``empty`` or ``rejected``.
    message : str
        Why it is empty or rejected.
    counts : MergeCounts
        What happened to the rows.

    """
    connection.execute(_FINISH_LOAD, {"load_id": load_id, "status": status, "message": message, **asdict(counts)})
