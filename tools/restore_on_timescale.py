"""A backup of a TimescaleDB server into an empty database of it, and what equals the original then.

    PYTHONPATH=. .venv/bin/python tools/restore_on_timescale.py [folder to work in]

Runs on TimescaleDB's Apache edition from Debian's packages. A month of sessions with ticks, minutes and days is loaded
into hypertables, a session is delivered again with corrections, a catalog is exported; then everything is backed up and
restored to another database and another home. Printed are the hypertables with their chunks on both sides, and whether
anything differs. The restored database takes another import, into an old chunk and into a new one.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import polars as pl
import psycopg

from pipeline_defs.backups.creating import create
from pipeline_defs.backups.places import trees
from pipeline_defs.backups.repository import Repository
from pipeline_defs.backups.restoring import restore
from pipeline_defs.exports.published import validate_below
from pipeline_defs.publishing import export_underlying
from pipeline_defs.samples.month import MonthSpec, month_batches
from pipeline_defs.schema.batches import ImportBatch, ImportRequest, Source, SourceMetadata
from pipeline_defs.settings import Settings
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.loading import import_source
from pipeline_defs.warehouse.migrations import find_drift, upgrade
from pipeline_tests.servers import prepare, running

if TYPE_CHECKING:
    from collections.abc import Iterator

HYPERTABLES = """
SELECT hypertable_name, num_chunks, (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb')
FROM timescaledb_information.hypertables ORDER BY 1
"""


class Ready(Source):
    """A source whose work is done."""

    name = "nse_csv"

    def __init__(self, *batches: ImportBatch) -> None:
        self.batches = batches

    def get_metadata(self) -> SourceMetadata:
        """Describe nothing in particular."""
        return SourceMetadata(self.name, "file", "tool", "1", supports_live=False)

    def fetch(self, request: ImportRequest) -> Iterator[ImportBatch]:
        """Give the batches."""
        del request
        yield from self.batches


def main() -> None:
    """Show it."""
    prepare("apache")
    with (
        tempfile.TemporaryDirectory(prefix="restore-", dir=sys.argv[1] if len(sys.argv) > 1 else None) as name,
        running("apache", Path(name)) as url,
    ):
        folder = Path(name)
        original, other = database(url, "original"), database(url, "restored")
        days = fill(original)
        os.environ["PIPELINE_HOME"] = str(folder / "home")
        place = folder / "home" / "catalogs" / "csv" / "NIFTY" / "2025-10"
        export_underlying(original, "csv", "NIFTY", days[0], days[-1], output=place)
        repository = Repository.open(folder / "backups")
        made = create(repository, {"warehouse": original}, trees(home(folder / "home")))
        print(f"backed up {made.manifest.rows:,} rows, {made.manifest.size_bytes:,} bytes")
        done = restore(repository, made.manifest, {"warehouse": other}, trees(home(folder / "other")))
        print(f"restored {done.tables} tables, {done.rows:,} rows, {done.files} files; every checksum equal")
        print(f"original {ask(original, HYPERTABLES)}\nrestored {ask(other, HYPERTABLES)}")
        if ask(original, HYPERTABLES) != ask(other, HYPERTABLES):
            raise SystemExit("the hypertables differ")
        if upgrade(other):
            raise SystemExit("migrations were outstanding")
        with other.connect() as connection:
            print(f"drift: {find_drift(connection).differences or 'none'}")
        for one in validate_below(folder / "other" / "catalogs"):
            print(f"catalog by {one.verification.engine}: {'sound' if one.verification.passed else 'FAILED'}")
        goes_on(other, days)


def fill(warehouse: Warehouse) -> list[dt.date]:
    """Load a month and deliver one session of it again."""
    upgrade(warehouse)
    days = []
    for day, batches in month_batches(MonthSpec()):
        days.append(day)
        load(warehouse, *batches)
        if len(days) == 1:
            load(warehouse, *(corrected(batch) for batch in batches))
    return days


def goes_on(warehouse: Warehouse, days: list[dt.date]) -> None:
    """Load into the restored database: a correction, and the month after."""
    before = table_rows(warehouse)
    _, batches = next(iter(month_batches(MonthSpec(days[0], days[0], seed=8))))
    load(warehouse, *(corrected(batch) for batch in batches))
    for _, later in month_batches(MonthSpec(dt.date(2025, 11, 3), dt.date(2025, 11, 3), tick_dates=())):
        load(warehouse, *later)
    print(f"it takes imports: {before:,} rows of options before, {table_rows(warehouse):,} after")
    print(f"restored {ask(warehouse, HYPERTABLES)}")


def corrected(batch: ImportBatch) -> ImportBatch:
    """Change the volume of a row in a hundred."""
    volume = pl.when(pl.int_range(pl.len()) % 100 == 7).then(pl.col("volume") + 1).otherwise("volume")  # noqa: PLR2004
    return replace(batch, observations=batch.observations.with_columns(volume=volume))


def load(warehouse: Warehouse, *batches: ImportBatch) -> None:
    """Run the load step."""
    for report in import_source(warehouse, Ready(*batches), ImportRequest()):
        if report.status != "complete":
            raise SystemExit(report.message)


def table_rows(warehouse: Warehouse) -> int:
    """Count the observations of options."""
    return int(ask(warehouse, "SELECT count(*) FROM options_ticks")[0][0])


def database(url: str, name: str) -> Warehouse:
    """Make an empty database."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
    return Warehouse(urlsplit(url)._replace(path=f"/{name}").geturl())


def home(folder: Path) -> Settings:
    """Give the settings of a home."""
    return Settings(home=folder, database_url=None)


def ask(warehouse: Warehouse, query: str) -> list[tuple[Any, ...]]:
    """Give the rows of a query."""
    with warehouse.connect() as connection:
        return connection.execute(query.encode()).fetchall()


if __name__ == "__main__":
    main()
