"""One trading session of one source into the warehouse, for the tables that were asked for.

Joins the port, the adapter and the import path for a single partition; knows nothing of Dagster. Imports polars: only
a run imports this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_defs.errors import SourceError
from pipeline_defs.schema.batches import ImportRequest, Source
from pipeline_defs.settings import load_settings
from pipeline_defs.storage.raw_archive import open_raw_archive
from pipeline_defs.warehouse.loading import import_source
from pipeline_defs.warehouse.reports import refuse_damage

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Iterator

    from pipeline_defs.schema.batches import ImportBatch, SourceMetadata
    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.reports import LoadReport


class SelectedTables(Source):
    """A source that gives only the batches of some tables.

    Parameters
    ----------
    source : Source
        Gives all.
    tables : collection of str
        Which of its batches are passed on.

    """

    def __init__(self, source: Source, tables: Collection[str]) -> None:
        self.name = source.name
        self._source = source
        self._tables = frozenset(tables)

    def get_metadata(self) -> SourceMetadata:
        """Describe the source itself."""
        return self._source.get_metadata()

    def fetch(self, request: ImportRequest) -> Iterator[ImportBatch]:
        """Pass on the batches of the selected tables.

        Raises
        ------
        SourceError
            If there was none among what the source gave.

        """
        others: set[str] = set()
        selected = False
        for batch in self._source.fetch(request):
            if batch.table in self._tables:
                selected = True
                yield batch
            else:
                others.add(batch.table)
        # A source that gives nothing at all has found everything stored, or is told so by the import path.
        if others and not selected:
            raise SourceError(
                f"the source gave nothing for {', '.join(sorted(self._tables))}; it has {', '.join(sorted(others))}",
                where=self.get_metadata().source_url,
                next_step="select the tables that were delivered, or add the missing files",
            )


def import_session(
    warehouse: Warehouse,
    source: Source,
    trade_date: dt.date,
    tables: Collection[str],
    *,
    dagster_run_id: str,
    reread: bool = True,
) -> dict[str, list[LoadReport]]:
    """Import one trade date.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    source : Source
        The adapter.
    trade_date : datetime.date
        The session.
    tables : collection of str
        Tables to fill.
    dagster_run_id : str
        Recorded with each load.
    reread : bool, default True
        Whether what is stored as it is, is read again: who materialises a partition of files by hand wants it made
        right, even if rows were changed behind the pipeline's back. An API is asked only for what is missing.

    Returns
    -------
    dict of str to list of LoadReport
        By table, one report for each resolution; no key for a table of which nothing was delivered.

    Raises
    ------
    SourceError
        If the source has nothing for the date and tables.

    """
    archive = open_raw_archive(load_settings(), source.name)
    request = ImportRequest(trade_date, trade_date, tables=frozenset(tables), archive=archive)
    reports: dict[str, list[LoadReport]] = {}
    selected = SelectedTables(source, tables)
    for report in import_source(warehouse, selected, request, dagster_run_id=dagster_run_id, reread=reread):
        reports.setdefault(report.dataset, []).append(report)
    return reports


def import_counts(
    warehouse: Warehouse,
    source: Source,
    table: str,
    start_date: dt.date,
    end_date: dt.date,
    *,
    underlying: str | None,
) -> dict[str, int]:
    """Import a range of one table and give the classic counts; see `ImportPort.import_options_data`."""
    request = ImportRequest(start_date, end_date, underlying, tables=frozenset({table}))
    reports = list(import_source(warehouse, SelectedTables(source, {table}), request))
    refuse_damage(reports)
    return {
        "read": sum(report.read for report in reports),
        "stored": sum(report.stored for report in reports),
        "unchanged": sum(report.unchanged for report in reports),
        "corrected": sum(report.corrected for report in reports),
        "retired": sum(report.retired for report in reports),
        "quarantined": sum(sum(report.quarantined.values()) for report in reports),
    }
