"""What lies in the database and how: sizes, chunks, compression, background jobs, storage policies.

Reads only, and only what the server at hand offers; what it does not have is an empty answer here, and `doctor` says
why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline_defs.errors import WarehouseError

if TYPE_CHECKING:
    import datetime as dt

    import psycopg


def one_row(connection: psycopg.Connection, query: str) -> tuple[Any, ...]:
    """Ask a question that always has one row for an answer.

    Raises
    ------
    WarehouseError
        If there is none.

    """
    row: tuple[Any, ...] | None = connection.execute(query).fetchone()
    if row is None:
        raise WarehouseError("the database answered a question with no row", where=query[:60])
    return row


def relation_exists(connection: psycopg.Connection, name: str) -> bool:
    """Tell whether there is a table or view of that name."""
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [name]).fetchone()
    return row is not None and bool(row[0])


def uses_timescaledb(connection: psycopg.Connection) -> bool:
    """Tell whether the extension is at work in this database, not only offered by the server."""
    return relation_exists(connection, "timescaledb_information.hypertables")


def table_sizes(connection: psycopg.Connection) -> list[dict[str, Any]]:
    """Give size and estimated rows of every table, the largest first; rows are None until the server has counted."""
    rows = connection.execute(
        "SELECT c.relname, pg_total_relation_size(c.oid), nullif(c.reltuples, -1)::bigint FROM pg_class AS c"
        " JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = current_schema()"
        " WHERE c.relkind = 'r' AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass"
        " AND objid = c.oid AND deptype = 'e')"
    ).fetchall()
    sizes = {name: (size, estimate) for name, size, estimate in rows}
    if uses_timescaledb(connection):
        in_chunks = connection.execute(
            "WITH stored AS ("
            "SELECT hypertable_name AS name, format('%I.%I', hypertable_schema, hypertable_name)::regclass AS place"
            " FROM timescaledb_information.hypertables WHERE hypertable_schema = current_schema()"
            " UNION ALL SELECT view_name,"
            " format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name)::regclass"
            " FROM timescaledb_information.continuous_aggregates WHERE view_schema = current_schema())"
            " SELECT name, hypertable_size(place), approximate_row_count(place) FROM stored"
        )
        sizes |= {name: (size, estimate) for name, size, estimate in in_chunks}
    ordered = sorted(sizes.items(), key=lambda entry: (-(entry[1][0] or 0), entry[0]))
    return [{"table": name, "size_bytes": size, "estimated_rows": estimate} for name, (size, estimate) in ordered]


def chunk_summary(connection: psycopg.Connection) -> list[dict[str, Any]]:
    """Give, for every hypertable, how many chunks it has, from when to when, and what compression made of them."""
    if not uses_timescaledb(connection):
        return []
    rows = connection.execute(
        "SELECT h.hypertable_name, count(c.chunk_name), count(c.chunk_name) FILTER (WHERE c.is_compressed),"
        " min(c.range_start), max(c.range_end)"
        " FROM timescaledb_information.hypertables AS h"
        " LEFT JOIN timescaledb_information.chunks AS c USING (hypertable_schema, hypertable_name)"
        " WHERE h.hypertable_schema = current_schema() GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return [
        {
            "table": name,
            "chunks": chunks,
            "compressed": compressed,
            "oldest": _text(oldest),
            "newest": _text(newest),
            **(_compression(connection, name) if compressed else {}),
        }
        for name, chunks, compressed, oldest, newest in rows
    ]


def _compression(connection: psycopg.Connection, table: str) -> dict[str, Any]:
    row = connection.execute(
        "SELECT sum(before_compression_total_bytes)::bigint, sum(after_compression_total_bytes)::bigint"
        " FROM hypertable_compression_stats(%s::regclass)",
        [f'"{table}"'],
    ).fetchone()
    before, after = (None, None) if row is None else row
    return {
        "bytes_before": before,
        "bytes_after": after,
        "ratio": round(before / after, 2) if before and after else None,
    }


def job_problems(connection: psycopg.Connection) -> list[dict[str, Any]]:
    """Give background jobs that failed since they last succeeded, or that are overdue by more than an hour.

    Both happen without a word to anybody; the second where other databases hold all the workers.
    """
    if not relation_exists(connection, "timescaledb_information.job_errors"):
        return []
    rows = connection.execute(
        "WITH failed AS ("
        "SELECT e.job_id, e.proc_name, count(*) AS failures, max(e.finish_time) AS last_failure,"
        " (array_agg(concat_ws(' ', e.sqlerrcode, e.err_message) ORDER BY e.finish_time DESC))[1] AS message"
        " FROM timescaledb_information.job_errors AS e"
        " LEFT JOIN timescaledb_information.job_stats AS s USING (job_id)"
        " WHERE e.finish_time > coalesce(s.last_successful_finish, '-infinity') GROUP BY 1, 2)"
        " SELECT job_id, proc_name, failures, last_failure, message, NULL::timestamptz FROM failed"
        " UNION ALL"
        " SELECT j.job_id, j.proc_name, 0, NULL, NULL, j.next_start FROM timescaledb_information.jobs AS j"
        # Jobs below 1000 are the extension's own housekeeping.
        " WHERE j.job_id >= 1000 AND j.scheduled AND j.next_start < now() - interval '1 hour'"
        " AND j.job_id NOT IN (SELECT job_id FROM failed) ORDER BY 1"
    ).fetchall()
    return [
        {
            "job_id": job_id,
            "procedure": procedure,
            "failures": failures,
            "last_failure": _text(last_failure),
            "message": message,
            "due_since": _text(due_since),
        }
        for job_id, procedure, failures, last_failure, message, due_since in rows
    ]


def storage_policies(connection: psycopg.Connection) -> list[dict[str, Any]]:
    """Give what is compressed after, and kept for, how long."""
    if not relation_exists(connection, "storage_policies"):
        return []
    rows = connection.execute("SELECT to_jsonb(p) FROM storage_policies AS p ORDER BY table_name").fetchall()
    return [policy for (policy,) in rows]


def _text(instant: dt.datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
