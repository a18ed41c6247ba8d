"""The import path for years at once: many partitions of one source in one transaction, each with a load of its own.

A partition costs some 30 ms by itself (statements, temporary tables, small frames), whatever is in it; a history of
daily bars has a thousand of them with forty rows each. What is stored is the same, row for row and load for load; only
partitions that have nothing yet are taken, so that there is nothing to compare, correct or retire.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING, Any, Final

import polars as pl

import pipeline_defs
from pipeline_defs.errors import WarehouseError
from pipeline_defs.schema.batches import HARMLESS_REASONS
from pipeline_defs.schema.day_batches import DAY_COLUMN, DayBatch
from pipeline_defs.schema.tables import OBSERVATION_TABLES
from pipeline_defs.warehouse.days import day_bounds
from pipeline_defs.warehouse.instruments import resolve_instruments
from pipeline_defs.warehouse.loading import damage_of, refuse_forgotten
from pipeline_defs.warehouse.partitions import Partition
from pipeline_defs.warehouse.rows import refuse_parts_of_whole_units, rows_of_table
from pipeline_defs.warehouse.transport import copy_in

if TYPE_CHECKING:
    import psycopg

    from pipeline_defs.schema.batches import SourceMetadata
    from pipeline_defs.warehouse.faults import PersistentConnection

_LOCKS: Final = """
SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) FROM unnest(%s::text[]) AS n (name)
"""

_TAKEN: Final = """
SELECT min(trade_date) FROM loads
WHERE source = %(source)s AND dataset = %(dataset)s AND bar_seconds = %(bar_seconds)s AND trade_date = ANY (%(days)s)
  AND status = 'complete'
"""

# Terms that begin or end between two dates: names may mean something else on some of the days.
_TERMS_CHANGE: Final = """
SELECT EXISTS (
    SELECT FROM instrument_terms AS t
    WHERE t.underlying = ANY (%(underlyings)s) AND t.kind = ANY (%(kinds)s)
      AND ((t.valid_from > %(first)s AND t.valid_from <= %(last)s)
           OR (t.valid_to > %(first)s AND t.valid_to <= %(last)s)))
"""

_BEGIN: Final = """
INSERT INTO loads (source, dataset, trade_date, bar_seconds, status, source_type, source_url, api_version, fetched_at,
                   rows_read, rows_stored, rows_unchanged, rows_corrected, rows_retired, rows_quarantined, checksum,
                   code_version, dagster_run_id, delivery_digest, delivery_parts)
SELECT %(source)s, %(dataset)s, d.trade_date, %(bar_seconds)s, 'rejected', %(source_type)s, %(source_url)s,
       %(api_version)s, %(fetched_at)s, d.rows_read, 0, 0, 0, 0, d.rows_quarantined, d.checksum, %(code_version)s,
       %(dagster_run_id)s, %(digest)s, d.parts
FROM unnest(%(days)s::date[], %(rows_read)s::bigint[], %(rows_quarantined)s::bigint[], %(checksums)s::text[],
            %(parts)s::integer[]) AS d (trade_date, rows_read, rows_quarantined, checksum, parts)
ORDER BY d.trade_date
RETURNING trade_date, load_id
"""

_FINISH: Final = """
UPDATE loads AS l SET status = f.status, rows_stored = f.rows_stored, message = f.message, committed_at = s.stamp
FROM unnest(%(load_ids)s::bigint[], %(statuses)s::text[], %(rows_stored)s::bigint[], %(messages)s::text[])
         AS f (load_id, status, rows_stored, message),
     (SELECT stamp_knowledge() AS stamp) AS s
WHERE l.load_id = f.load_id
"""

# An action is told by the load of its day; of a day without one by the last before it, else by the first after it.
_ACTIONS: Final = """
INSERT INTO corporate_actions AS a (instrument_id, ex_date, kind, source, value, load_id)
SELECT i.instrument_id, i.ex_date, i.kind, %(source)s, i.value,
       (SELECT d.load_id FROM unnest(%(days)s::date[], %(load_ids)s::bigint[]) AS d (trade_date, load_id)
        ORDER BY d.trade_date > i.ex_date, abs(d.trade_date - i.ex_date) LIMIT 1)
FROM unnest(%(ids)s::integer[], %(ex_dates)s::date[], %(kinds)s::text[], %(values)s::numeric[])
         AS i (instrument_id, ex_date, kind, value)
ON CONFLICT (instrument_id, ex_date, kind, source) DO NOTHING
"""


def import_days(
    connection: PersistentConnection, metadata: SourceMetadata, batch: DayBatch, *, dagster_run_id: str | None = None
) -> int:
    """Import many trade dates, all of them or none.

    Parameters
    ----------
    connection : PersistentConnection
        To a migrated warehouse.
    metadata : SourceMetadata
        Where the batch comes from.
    batch : DayBatch
        Of daily or minute bars whose tables have no bars derived from them (no options).
    dagster_run_id : str, optional
        Recorded with each load.

    Returns
    -------
    int
        Rows stored.

    Raises
    ------
    WarehouseError
        If an observation lies outside its trade date, a partition holds rows of the source already, retention has
        deleted beyond a day, or the server refused.

    """
    days = batch.days
    if not days:
        return 0
    where = f"{batch.table} {days[0]} to {days[-1]}, {batch.bar_seconds} s, source {metadata.source}"
    if batch.table == "options_ticks":
        raise WarehouseError("bars of options are imported day by day, with what is derived of them", where=where)
    _refuse_outside(batch, where)
    refuse_parts_of_whole_units(batch, where)
    fetched_at = dt.datetime.now(dt.UTC)

    def load(session: psycopg.Connection) -> int | None:
        wanted = {"underlyings": batch.contracts["underlying"].to_list(), "kinds": batch.contracts["kind"].to_list()}
        (changes,) = session.execute(_TERMS_CHANGE, {**wanted, "first": days[0], "last": days[-1]}).fetchall()
        if changes[0] and len(days) > 1:
            return None
        ids = resolve_instruments(session, batch.contracts, source=metadata.source, trade_date=days[0])
        for instant in _instants(batch):
            session.execute("CALL prepare_storage(%s, %s)", [batch.table, instant])
        with session.transaction():
            return _store(session, metadata, batch, ids, where, fetched_at=fetched_at, dagster_run_id=dagster_run_id)

    stored = connection.run(load, where)
    if stored is not None:
        return stored
    # Names that change their meaning within the dates: each half by itself, down to single days.
    middle = len(days) // 2
    return sum(
        import_days(connection, metadata, batch.only(half), dagster_run_id=dagster_run_id)
        for half in (days[:middle], days[middle:])
    )


def _store(
    session: psycopg.Connection,
    metadata: SourceMetadata,
    batch: DayBatch,
    ids: pl.Series,
    where: str,
    *,
    fetched_at: dt.datetime,
    dagster_run_id: str | None,
) -> int:
    days = batch.days
    partitions = [Partition(batch.table, metadata.source, batch.bar_seconds, day, batch.timezone) for day in days]
    session.execute(_LOCKS, [sorted(one.lock_name for one in partitions)])
    refuse_forgotten(session, partitions[0])
    parameters: dict[str, Any] = {
        "source": metadata.source,
        "dataset": batch.table,
        "bar_seconds": batch.bar_seconds,
        "days": days,
    }
    (taken,) = session.execute(_TAKEN, parameters).fetchall()
    if taken[0] is not None:
        raise WarehouseError(
            f"{taken[0]} has rows already",
            where=where,
            next_step="only days without rows are taken together; import the others day by day",
        )
    told = _tell(batch)
    loads = session.execute(
        _BEGIN,
        {
            **parameters,
            "source_type": metadata.source_type,
            "source_url": metadata.source_url,
            "api_version": metadata.api_version,
            "fetched_at": fetched_at,
            "code_version": pipeline_defs.__version__,
            "dagster_run_id": dagster_run_id,
            "digest": batch.digest,
            "parts": [batch.parts[day] for day in days],
            "rows_read": (told["good"] + told["refused"]).to_list(),
            "rows_quarantined": told["refused"].to_list(),
            "checksums": told["checksum"].to_list(),
        },
    ).fetchall()
    told = told.join(_frame(loads), on=DAY_COLUMN, how="left", maintain_order="left")
    _record(session, batch, ids, told)
    statuses = [damage_of(*counts) for counts in told.select("good", "refused", "harmful").iter_rows()]
    stored = told.with_columns(
        message=pl.Series(statuses, dtype=pl.String()),
        status=pl.Series(["complete" if one is None else "rejected" for one in statuses]),
    ).with_columns(stored=pl.when(pl.col("status") == "complete").then("good").otherwise(0))
    complete = stored.filter(pl.col("status") == "complete")
    rows = batch.observations.join(complete.select(DAY_COLUMN, "load_id"), on=DAY_COLUMN, how="inner")
    if rows.height:
        typed = rows_of_table(partitions[0], rows.drop(DAY_COLUMN), ids, pl.lit(rows["load_id"]))
        copy_in(session, batch.table, typed, typed=True)
    _store_actions(session, metadata, batch, ids, told)
    session.execute(
        _FINISH,
        {
            "load_ids": stored["load_id"].to_list(),
            "statuses": stored["status"].to_list(),
            "rows_stored": stored["stored"].to_list(),
            "messages": stored["message"].fill_null("").to_list(),
        },
    )
    return int(stored["stored"].sum())


def _tell(batch: DayBatch) -> pl.DataFrame:
    """Count each day's lines, and give the checksum over its files: one row a day, ascending."""
    good = batch.observations.group_by(DAY_COLUMN).agg(good=pl.len().cast(pl.Int64))
    is_harmful = ~pl.col("reason").is_in(list(HARMLESS_REASONS))
    refused = batch.rejects.group_by(DAY_COLUMN).agg(
        refused=pl.len().cast(pl.Int64), harmful=is_harmful.sum().cast(pl.Int64)
    )
    files = _files_by_day(batch).group_by(DAY_COLUMN).agg(pl.struct("logical_name", "sha256"))
    checksums = [
        (day, hashlib.sha256(repr(sorted(tuple(one.values()) for one in spoken)).encode()).hexdigest())
        for day, spoken in files.iter_rows()
    ]
    frame = pl.DataFrame({DAY_COLUMN: batch.days}, schema={DAY_COLUMN: pl.Date()})
    return (
        frame.join(good, on=DAY_COLUMN, how="left")
        .join(refused, on=DAY_COLUMN, how="left")
        .join(
            pl.DataFrame(checksums, schema={DAY_COLUMN: pl.Date(), "checksum": pl.String()}, orient="row"),
            on=DAY_COLUMN,
            how="left",
        )
        .with_columns(pl.col("good", "refused", "harmful").fill_null(0))
        .sort(DAY_COLUMN)
    )


def _files_by_day(batch: DayBatch) -> pl.DataFrame:
    spoken = pl.concat([frame.select(DAY_COLUMN, "file_index") for frame in (batch.observations, batch.rejects)])
    return spoken.unique().join(batch.files, on="file_index", how="inner").sort(DAY_COLUMN, "file_index")


def _record(session: psycopg.Connection, batch: DayBatch, ids: pl.Series, told: pl.DataFrame) -> None:
    """Write what each load read and refused, as `record_delivery` does for one."""
    loads = told.select(DAY_COLUMN, "load_id")
    copy_in(session, "load_files", _files_by_day(batch).join(loads, on=DAY_COLUMN, how="inner").drop(DAY_COLUMN))
    spoken = batch.observations.select(DAY_COLUMN, "contract_key", "file_index").unique()
    spoken = spoken.join(loads, on=DAY_COLUMN, how="inner").with_columns(
        ids.gather(spoken["contract_key"]).alias("instrument_id")
    )
    copy_in(
        session,
        "load_instruments",
        spoken.select("load_id", "instrument_id", "file_index").unique().sort("load_id", "instrument_id", "file_index"),
    )
    refused = batch.rejects.unique([DAY_COLUMN, "file_index", "line", "reason"], maintain_order=True)
    copy_in(
        session,
        "quarantine",
        refused.join(loads, on=DAY_COLUMN, how="inner", maintain_order="left")
        .drop(DAY_COLUMN)
        .with_columns(pl.col("text").str.replace_all("\x00", "\N{REPLACEMENT CHARACTER}", literal=True)),
    )


def _store_actions(
    session: psycopg.Connection, metadata: SourceMetadata, batch: DayBatch, ids: pl.Series, told: pl.DataFrame
) -> None:
    if batch.actions.is_empty():
        return
    session.execute(
        _ACTIONS,
        {
            "source": metadata.source,
            "days": told[DAY_COLUMN].to_list(),
            "load_ids": told["load_id"].to_list(),
            "ids": ids.gather(batch.actions["contract_key"]).to_list(),
            "ex_dates": batch.actions["ex_date"].to_list(),
            "kinds": batch.actions["kind"].to_list(),
            "values": batch.actions["value"].cast(pl.String).to_list(),
        },
    )


def _refuse_outside(batch: DayBatch, where: str) -> None:
    bounds = [(day, *day_bounds(day, zone=batch.timezone, of_closes=batch.bar_seconds > 0)) for day in batch.days]
    instant = OBSERVATION_TABLES[batch.table].polars_schema()["timestamp"]
    frame = pl.DataFrame(bounds, schema={DAY_COLUMN: pl.Date(), "begin": instant, "end": instant}, orient="row")
    outside = batch.observations.join(frame, on=DAY_COLUMN, how="left").filter(
        ~pl.col("timestamp").is_between(pl.col("begin"), pl.col("end"), closed="left")
    )
    if outside.height:
        raise WarehouseError(
            f"{outside.height} observations lie outside their trade date, the first at {outside['timestamp'][0]}",
            where=where,
            next_step="this is a defect of the reader; please report it",
        )


def _instants(batch: DayBatch) -> list[dt.datetime]:
    """Give an instant of every day that has rows, for the chunks they go to."""
    return list(batch.observations.group_by(DAY_COLUMN).agg(pl.col("timestamp").max())["timestamp"].sort())


def _frame(loads: list[tuple[Any, ...]]) -> pl.DataFrame:
    return pl.DataFrame(loads, schema={DAY_COLUMN: pl.Date(), "load_id": pl.Int64()}, orient="row")
