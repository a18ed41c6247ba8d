"""What a backfill must leave behind, over however many hosts: what one process that loads the same files does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

from pipeline_defs.errors import PipelineError
from pipeline_defs.sources.registry import get_source
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.loading import import_source
from pipeline_defs.warehouse.migrations import upgrade
from pipeline_tests.scale_out.services import BUCKET, upload_landing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_tests.scale_out.cluster import Cluster

TABLES = ("options_ticks", "spot_prices")
ASSETS = [*(["nse_csv", table] for table in TABLES), ["options_hourly"], ["options_daily"]]
"""What a run of one day makes."""


def prepare(made: Cluster, landing: Path, tell: Callable[[str], None]) -> tuple[Warehouse, Warehouse]:
    """Put the files into the bucket; give the warehouse of the hosts, and an empty one to compare it with."""
    from pipeline_defs.storage.objects import ObjectStore  # noqa: PLC0415 -- where the store is was set just now

    tell(f"{upload_landing(ObjectStore.open().client, landing)} files in s3://{BUCKET}/landing")
    market, reference = (Warehouse(made.shared.database(name)) for name in ("market", "market_alone"))
    upgrade(market)
    with psycopg.connect(made.shared.postgres_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE market_alone TEMPLATE market")
    return market, reference


def check_tables(market: Warehouse, reference: Warehouse, landing: Path, tell: Callable[[str], None]) -> None:
    """Compare table by table."""
    load_alone(reference, landing)
    expected = contents(reference)
    for table, (rows, digest) in contents(market).items():
        tell(f"{table:<16} {rows:>7,} rows, md5 {digest}")
        assert (rows, digest) == expected[table]
        assert rows > 0
    assert stored_twice(market) == []
    tell("equal to a load by one process, table by table; nothing stored twice, nothing corrected")


def load_alone(warehouse: Warehouse, landing: Path) -> None:
    """Load the same files in one process: what everything is compared with."""
    from pipeline_defs.schema.batches import ImportRequest  # noqa: PLC0415 -- imports polars

    request = ImportRequest(tables=frozenset(TABLES))
    for report in import_source(warehouse, get_source("nse_csv", path=str(landing)), request):
        if report.status == "rejected":
            raise PipelineError(f"{report}")


def contents(warehouse: Warehouse) -> dict[str, tuple[int, str]]:
    """Give rows and checksum of every table, by what the rows say: numbers of instruments and loads left out."""
    found = {}
    with warehouse.connect() as connection:
        for table in (*TABLES, "options_hourly", "options_daily"):
            view = f"v_{table}" if table in TABLES else table
            columns = [
                name
                for (name,) in connection.execute(
                    "SELECT column_name::text FROM information_schema.columns WHERE table_name = %s ORDER BY 1", [view]
                ).fetchall()
                if name not in {"load_id", "instrument_id"}
            ]
            row = f"concat_ws('|', {', '.join(f'{name}::text' for name in columns)})"
            (counted,) = connection.execute(
                f"SELECT count(*), md5(string_agg({row}, chr(10) ORDER BY {row})) FROM {view}".encode()
            ).fetchall()
            found[table] = counted
    return found


def stored_twice(warehouse: Warehouse) -> list[Any]:
    """Name partitions that two loads stored, and tables with rows that were corrected."""
    with warehouse.connect() as connection:
        twice = connection.execute(
            "SELECT dataset, trade_date, bar_seconds FROM loads WHERE rows_stored > 0"
            " GROUP BY dataset, trade_date, bar_seconds HAVING count(*) > 1"
        ).fetchall()
        corrected = [
            (table, rows)
            for table in TABLES
            for (rows,) in connection.execute(f"SELECT count(*) FROM {table}_history".encode()).fetchall()
            if rows
        ]
    return [*twice, *corrected]
