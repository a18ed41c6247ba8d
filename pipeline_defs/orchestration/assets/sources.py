"""The tables of one source as assets: one partition is one trading session.

One step reads the source once and fills every table that was selected. What a row means, and what is stored or
refused, is decided by the adapter and the warehouse; here a partition is asked for and its outcome is reported.
"""

import datetime as dt
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import dagster as dg

import pipeline_defs
from pipeline_defs.errors import SourceError
from pipeline_defs.markets.market import Market, market
from pipeline_defs.orchestration import comparisons, evidence, pictures
from pipeline_defs.orchestration.assets import teaching
from pipeline_defs.orchestration.assets.describing import (
    API_INGESTION,
    INGESTION,
    OWNERS,
    failures_explained,
    partitioned_check,
)
from pipeline_defs.orchestration.columns import observation_schema
from pipeline_defs.orchestration.display import markdown_table
from pipeline_defs.orchestration.freshness import policy_of
from pipeline_defs.orchestration.partitions import refuse_unfinished, session_partitions
from pipeline_defs.orchestration.resources import (
    WAREHOUSE,
    ImportPort,
    import_port_key,
    import_port_of,
    open_warehouse_of,
)
from pipeline_defs.sources.entry import SourceEntry
from pipeline_defs.sources.registry import source_entry, source_market
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.reports import LoadReport

TABLES: Final = {
    "options_ticks": "Ticks, minute and daily bars of option contracts.",
    "futures_ticks": "Ticks, minute and daily bars of futures and of rolling futures.",
    "spot_prices": "Ticks and minute bars of indices and shares.",
    "equity_daily": "One session of each share or security, by series.",
}
"""The observation tables, each with what it holds."""

DELIVERED: Final = "delivered"
"""Check of each table: what came on the days before came on this day, too."""

_DELIVERED_MEANING: Final = (
    "A table that came on the days before came on this one. If it warns, ask whoever delivers it for the files of the"
    " day, then run the partition again."
)

_USUAL_WITHIN_DAYS: Final = 10
"""A table that came within so many calendar days is missed when it does not come; the longest closure is shorter."""


_MAX_FILES_SHOWN: Final = 20

RETRIES: Final = dg.RetryPolicy(max_retries=2, delay=60, backoff=dg.Backoff.EXPONENTIAL)
"""Of an API that could not be asked, after its own patience was at an end; a refusal is never repeated."""


def build_source_assets(source: str) -> dg.AssetsDefinition:
    """Make the assets of one source.

    Parameters
    ----------
    source : str
        Adapter, as in `pipeline_defs.sources.registry`. Its port is the resource ``<source>_import``.

    Returns
    -------
    dagster.AssetsDefinition
        One asset for each observation table, keyed ``<source>/<table>``.

    """
    entry = source_entry(source)
    calendar = market(source_market(source))
    partitions = session_partitions(market_name=calendar.name)

    @dg.multi_asset(
        name=f"import_{source}",
        specs=[_spec(source, table, entry, calendar, partitions) for table in entry.tables],
        check_specs=[
            partitioned_check(DELIVERED, table_key(source, table), _DELIVERED_MEANING, partitions, blocking=False)
            for table in entry.tables
        ],
        can_subset=True,
        # One vendor, one key, one pool: how many runs may ask at once is set in the UI or with the CLI of Dagster.
        pool=source if entry.source_type == "api" else None,
        retry_policy=RETRIES if entry.source_type == "api" else None,
        required_resource_keys={WAREHOUSE, import_port_key(source)},
    )
    def import_assets(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        """Read one session of the source and store the tables that were selected."""
        port = import_port_of(context.resources, source)
        trade_date = dt.date.fromisoformat(context.partition_key)
        tables = {key.path[-1] for key in context.selected_asset_keys}
        started = time.perf_counter()
        with failures_explained():
            refuse_unfinished(trade_date, dt.datetime.now(dt.UTC), calendar.name)
            opened = open_warehouse_of(context.resources)
            reports = _import(opened, port, trade_date, tables, context.run.run_id)
        seconds = time.perf_counter() - started
        for line in _cache_lines(reports):
            context.log.info(line)
        for table in entry.tables:
            partition = evidence.Partition(table, source, trade_date, calendar.zone)
            own = reports.get(table, [])
            if table not in tables:
                continue
            if own and all(report.status != "rejected" for report in own):
                yield _materialized(opened, partition, own, seconds)
            yield _delivered(opened, partition, was_delivered=bool(own))
        with failures_explained():
            _refuse_damage(reports)

    return import_assets


def table_key(source: str, table: str) -> dg.AssetKey:
    """Name the asset of one table of one source."""
    return dg.AssetKey([source, table])


def _spec(
    source: str, table: str, entry: SourceEntry, calendar: Market, partitions: dg.PartitionsDefinition
) -> dg.AssetSpec:
    is_api = entry.source_type == "api"
    return dg.AssetSpec(
        table_key(source, table),
        description=teaching.of_source(f"{TABLES[table]} {entry.meaning}".rstrip(), source, is_api=is_api),
        skippable=True,
        group_name=API_INGESTION if is_api else INGESTION,
        owners=OWNERS,
        kinds=set(entry.kinds),
        tags={"market": calendar.name.lower(), "source": source},
        code_version=pipeline_defs.__version__,
        partitions_def=partitions,
        freshness_policy=policy_of(calendar) if is_api else None,
        metadata={
            "dagster/table_name": f"public.{table}",
            "dagster/column_schema": observation_schema(),
            "view_for_people": f"v_{table}",
        },
    )


def _import(
    warehouse: Warehouse, port: ImportPort, trade_date: dt.date, tables: set[str], run_id: str
) -> dict[str, list[LoadReport]]:
    from pipeline_defs.orchestration.importing import import_session  # noqa: PLC0415 -- imports polars

    try:
        return import_session(
            warehouse, port.source(), trade_date, tables, dagster_run_id=run_id, reread=port.reads_again()
        )
    except SourceError as error:
        looked_for = port.looked_for(trade_date)
        if looked_for is None:
            raise
        raise SourceError(
            f"{error.what}; looked for {looked_for}",
            where=error.where,
            next_step=f"add the files of {trade_date} and run the partition again",
        ) from error


def _refuse_damage(reports: dict[str, list[LoadReport]]) -> None:
    from pipeline_defs.warehouse.reports import refuse_damage  # noqa: PLC0415 -- only a run needs it

    refuse_damage(report for own in reports.values() for report in own)


def _materialized(
    warehouse: Warehouse, partition: evidence.Partition, reports: list[LoadReport], seconds: float
) -> dg.MaterializeResult[Any]:
    state = evidence.partition_state(warehouse, partition)
    files = evidence.files_read(warehouse, [report.load_id for report in reports])
    refused: Counter[str] = Counter()
    for report in reports:
        refused.update(report.quarantined)
    totals = {
        "rows_read": sum(report.read for report in reports),
        "rows_stored": sum(report.stored for report in reports),
        "rows_unchanged": sum(report.unchanged for report in reports),
        "rows_corrected": sum(report.corrected for report in reports),
        "rows_retired": sum(report.retired for report in reports),
    }
    return dg.MaterializeResult(
        asset_key=table_key(partition.source, partition.table),
        data_version=dg.DataVersion(state.content_hash),
        metadata={
            **totals,
            "rows_quarantined": refused.total(),
            "dagster/partition_row_count": state.rows,
            "instruments": state.instruments,
            "seconds": round(seconds, 3),
            "files_read": len(files),
            "bytes_read": sum(file.size_bytes for file in files),
            **_files(files),
            **_cache(reports),
            "loads": dg.MetadataValue.md(_loads_table(reports)),
            "refused": dg.MetadataValue.md(_refused_table(refused)),
            **pictures.session_pictures(warehouse, partition),
        },
    )


def _cache(reports: list[LoadReport]) -> dict[str, Any]:
    """Say whether an API had to be called; numbers, so that the UI plots them."""
    calls = [report.calls for report in reports if report.calls is not None]
    if not calls:
        return {}
    return {
        "cache": "hit" if all(report.is_hit for report in reports) else "miss",
        "source_calls": sum(calls),
        "fetch_seconds": round(sum(report.fetch_seconds for report in reports), 3),
    }


def _cache_lines(reports: dict[str, list[LoadReport]]) -> Iterator[str]:
    for table, own in reports.items():
        if told := _cache(own):
            yield f"{table}: cache {told['cache']}, {told['source_calls']} calls, {told['fetch_seconds']} s"


def _files(files: list[evidence.FileRead]) -> dict[str, dg.MetadataValue[Any]]:
    """Name the files below the deepest folder they share; a source that is asked over a network has none."""
    if not files:
        return {}
    if not any(Path(file.path).is_absolute() for file in files):
        asked = [(file.path, file.layouts, file.size_bytes) for file in files[:_MAX_FILES_SHOWN]]
        return {"answers": dg.MetadataValue.md(markdown_table(["asked", "of", "bytes"], asked))}
    folder = os.path.commonpath([Path(file.path).parent for file in files])
    shown = [
        (os.path.relpath(file.path, folder), file.layouts, file.members, file.size_bytes)
        for file in files[:_MAX_FILES_SHOWN]
    ]
    more = f"\n\nand {len(files) - len(shown)} more" if len(files) > len(shown) else ""
    table = markdown_table(["file", "layout", "members", "bytes"], shown)
    return {"folder": dg.MetadataValue.path(folder), "files": dg.MetadataValue.md(table + more)}


def _loads_table(reports: list[LoadReport]) -> str:
    return markdown_table(
        ["load", "resolution", "status", "read", "stored", "unchanged", "corrected", "retired"],
        [
            (
                str(report.load_id),
                "ticks" if report.bar_seconds == 0 else f"{report.bar_seconds} s",
                report.status if not report.message else f"{report.status}: {report.message}",
                report.read,
                report.stored,
                report.unchanged,
                report.corrected,
                report.retired,
            )
            for report in reports
        ],
    )


def _refused_table(refused: Counter[str]) -> str:
    if not refused:
        return "No line was refused."
    return markdown_table(["reason", "lines or files"], refused.most_common())


def _delivered(warehouse: Warehouse, partition: evidence.Partition, *, was_delivered: bool) -> dg.AssetCheckResult:
    before = comparisons.last_delivery(warehouse, partition, _USUAL_WITHIN_DAYS)
    return dg.AssetCheckResult(
        asset_key=table_key(partition.source, partition.table),
        check_name=DELIVERED,
        passed=was_delivered or before is None,
        severity=dg.AssetCheckSeverity.WARN,
        description="delivered" if was_delivered else "nothing was delivered for this table",
        metadata={
            "expected": "nothing in particular" if before is None else f"rows, as on {before}",
            "found": "rows" if was_delivered else "none",
        },
    )
