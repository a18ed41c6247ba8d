"""The tables of one source as assets: one partition is one trading session.

One step reads the source once and fills every table that was selected. What a row means, and what is stored or
refused, is decided by the adapter and the warehouse; here a partition is asked for and its outcome is reported.
"""

import datetime as dt
import time
from collections.abc import Iterator
from typing import Any, Final

import dagster as dg

import pipeline_defs
from pipeline_defs.errors import SourceError
from pipeline_defs.markets.market import Market, market
from pipeline_defs.orchestration import comparisons, evidence
from pipeline_defs.orchestration.assets import teaching
from pipeline_defs.orchestration.assets.describing import (
    API_INGESTION,
    INGESTION,
    OWNERS,
    failures_explained,
    partitioned_check,
)
from pipeline_defs.orchestration.assets.outcomes import describe_cache, describe_partition
from pipeline_defs.orchestration.columns import observation_schema
from pipeline_defs.orchestration.freshness import policy_of
from pipeline_defs.orchestration.partitions import refuse_unfinished, session_partitions
from pipeline_defs.orchestration.pools import ASKING_STEP
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

RETRIES: Final = dg.RetryPolicy(max_retries=2, delay=60, backoff=dg.Backoff.EXPONENTIAL)
"""Of an API that could not be asked, after its own patience was at an end; a refusal is never repeated."""

_NOT_DELIVERED: Final = "nothing was delivered for this table"


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
        op_tags=ASKING_STEP if entry.source_type == "api" else None,
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
            # Files of other tables came: that none came of this one is an answer, too, and no partition left undone.
            is_answered = bool(own) or entry.source_type != "api"
            if is_answered and all(report.status != "rejected" for report in own):
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
    content_hash, metadata = describe_partition(warehouse, partition, reports, seconds)
    if not reports:
        metadata["empty_reason"] = _NOT_DELIVERED
    return dg.MaterializeResult(
        asset_key=table_key(partition.source, partition.table),
        data_version=dg.DataVersion(content_hash),
        metadata=metadata,
    )


def _cache_lines(reports: dict[str, list[LoadReport]]) -> Iterator[str]:
    for table, own in reports.items():
        if told := describe_cache(own):
            yield f"{table}: cache {told['cache']}, {told['source_calls']} calls, {told['fetch_seconds']} s"


def _delivered(warehouse: Warehouse, partition: evidence.Partition, *, was_delivered: bool) -> dg.AssetCheckResult:
    before = comparisons.last_delivery(warehouse, partition, _USUAL_WITHIN_DAYS)
    return dg.AssetCheckResult(
        asset_key=table_key(partition.source, partition.table),
        check_name=DELIVERED,
        passed=was_delivered or before is None,
        severity=dg.AssetCheckSeverity.WARN,
        description="delivered" if was_delivered else _NOT_DELIVERED,
        metadata={
            "expected": "nothing in particular" if before is None else f"rows, as on {before}",
            "found": "rows" if was_delivered else "none",
        },
    )
