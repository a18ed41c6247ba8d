"""Small reads for people: loads, quarantined lines, the state of the warehouse."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pipeline_defs.errors import WarehouseError
from pipeline_defs.schema.tables import OBSERVATION_TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from pipeline_defs.warehouse.connection import Warehouse


@dataclass(frozen=True, slots=True)
class QuarantinedLine:
    """One line that was refused; line 0 is a whole file.

    Parameters
    ----------
    file, member : str, str or None
        Where it stands.
    line : int
        1-based physical line.
    reason : str
        Steady snake_case word.
    text : str
        The raw line.

    """

    file: str
    member: str | None
    line: int
    reason: str
    text: str

    def to_json(self) -> str:
        """Give one JSON line."""
        return json.dumps(asdict(self), ensure_ascii=False)


def list_quarantine(warehouse: Warehouse, load_id: int) -> Iterator[QuarantinedLine]:
    """Give every refused line of a load, in the order of its files.

    Raises
    ------
    WarehouseError
        If there is no such load.

    """
    with warehouse.connect() as connection:
        if connection.execute("SELECT FROM loads WHERE load_id = %s", [load_id]).fetchone() is None:
            raise WarehouseError(
                f"there is no load {load_id}", next_step="take the load_id from the output of 'pipeline import --json'"
            )
        cursor = connection.cursor(name="quarantine")
        cursor.execute(
            "SELECT f.path, f.member, q.line, q.reason, q.text"
            " FROM quarantine AS q JOIN load_files AS f USING (load_id, file_index)"
            " WHERE load_id = %s ORDER BY f.path, f.member NULLS FIRST, q.line, q.reason",
            [load_id],
        )
        for row in cursor:
            yield QuarantinedLine(*row)


def describe(warehouse: Warehouse) -> dict[str, Any]:
    """Describe server, capabilities, size and content of the warehouse, for `pipeline doctor`.

    Returns
    -------
    dict
        JSON-ready.

    """
    with warehouse.connect() as connection:
        server, size, timescale, licence = _row(
            connection,
            "SELECT current_setting('server_version'), pg_database_size(current_database()),"
            " (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'),"
            " current_setting('timescaledb.license', true)",
        )
        migrations, pending = _row(
            connection,
            "SELECT (SELECT count(*) FROM schema_migrations), (SELECT count(*) FROM pending_bars)",
        )
        loads = connection.execute(
            "SELECT dataset, bar_seconds, count(*), min(trade_date), max(trade_date), sum(rows_stored)::bigint"
            " FROM loads WHERE status = 'complete' GROUP BY 1, 2 ORDER BY 1, 2"
        ).fetchall()
        orphaned = {
            table: _row(
                connection,
                f"SELECT count(DISTINCT load_id) FROM {table} AS o"
                " WHERE NOT EXISTS (SELECT FROM loads WHERE load_id = o.load_id)",
            )[0]
            for table in OBSERVATION_TABLES
        }
    return {
        "database": warehouse.public_url,
        "server": server,
        "timescaledb": None if timescale is None else {"version": timescale, "license": licence},
        "size_bytes": size,
        "migrations": migrations,
        "pending_bar_windows": pending,
        "rows_without_load": {table: count for table, count in orphaned.items() if count},
        "datasets": [
            {
                "dataset": dataset,
                "bar_seconds": bar_seconds,
                "loads": count,
                "first": first.isoformat(),
                "last": last.isoformat(),
                "rows_stored": stored,
            }
            for dataset, bar_seconds, count, first, last, stored in loads
        ],
    }


def _row(connection: psycopg.Connection, query: str) -> tuple[Any, ...]:
    row = connection.execute(query.encode()).fetchone()
    if row is None:
        raise WarehouseError("the database answered a question with no row", where=query[:60])
    return row
