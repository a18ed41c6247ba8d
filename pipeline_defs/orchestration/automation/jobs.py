"""What is started: each job is one click in the UI, too, with or without a schedule."""

from typing import TYPE_CHECKING, Final

import dagster as dg

from pipeline_defs.errors import ConfigurationError, MarketRuleError
from pipeline_defs.orchestration.assets.describing import BARS, CATALOGS, INGESTION, failures_explained
from pipeline_defs.orchestration.assets.sources import table_key
from pipeline_defs.orchestration.pools import ASKING_STEP
from pipeline_defs.orchestration.resources import WAREHOUSE, import_port_key, import_port_of, open_warehouse_of
from pipeline_defs.sources.registry import source_entry, source_market

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

    from pipeline_defs.warehouse.reports import LoadReport

PRIORITY: Final = "dagster/priority"

NSE_DAILY: Final = dg.define_asset_job(
    "nse_daily",
    selection=dg.AssetSelection.groups(INGESTION, BARS),
    description="One trading session of the NSE files into the warehouse, with its bars and checks.",
)

MONTH_CATALOGS: Final = dg.define_asset_job(
    "month_catalogs",
    selection=dg.AssetSelection.groups(CATALOGS),
    description="The catalogs of one month of one underlying, in every format, verified and published.",
)


def daily_job_name(source: str) -> str:
    """Name the job of a source's session."""
    return f"{source}_daily"


def daily_keys(source: str, tables: frozenset[str] | None = None) -> list[dg.AssetKey]:
    """Name the assets of a session of a source.

    Parameters
    ----------
    source : str
        As in the registry.
    tables : frozenset of str, optional
        Only these of its tables.

    Returns
    -------
    list of dagster.AssetKey
        The tables and, with options of the NSE, the bars of options.

    """
    chosen = [table for table in source_entry(source).tables if tables is None or table in tables]
    bars = ["options_hourly", "options_daily"] if _makes_bars(source, chosen) else []
    return [*(table_key(source, table) for table in chosen), *map(dg.AssetKey, bars)]


def daily_job(source: str) -> "UnresolvedAssetJobDefinition":
    """Make the job that stores one session of an API.

    Parameters
    ----------
    source : str
        As in the registry.

    Returns
    -------
    dagster.UnresolvedAssetJobDefinition
        ``<source>_daily``.

    """
    return dg.define_asset_job(
        daily_job_name(source),
        selection=dg.AssetSelection.assets(*daily_keys(source)),
        description=(
            f"One session of {source_market(source)} from `{source}` into the warehouse, with its checks: the source is"
            " asked for what is not stored yet. A session that is stored as it is asks nothing."
        ),
        tags={PRIORITY: "5"},
    )


def intraday_job(source: str) -> dg.JobDefinition:
    """Make the job that stores what a source completed of the running session.

    Parameters
    ----------
    source : str
        As in the registry.

    Returns
    -------
    dagster.JobDefinition
        ``<source>_intraday``; configured with ``tables``, default all that the universe wants.

    """

    @dg.op(
        name=f"look_at_{source}",
        description="Ask for the bars of the running session that were completed since the last stored one.",
        # One vendor, one key, one pool, shared with the assets.
        pool=source,
        tags=ASKING_STEP,
        config_schema={
            "tables": dg.Field(
                [str], default_value=[], description="Tables to look at; none named: all that the universe wants."
            )
        },
        required_resource_keys={WAREHOUSE, import_port_key(source)},
    )
    def look(context: dg.OpExecutionContext) -> None:
        """Store the part of the session that is complete, and say so on its assets."""
        from pipeline_defs.micro_batches import store_completed  # noqa: PLC0415 -- imports polars
        from pipeline_defs.sources.asking.source import ApiSource  # noqa: PLC0415 -- as above
        from pipeline_defs.warehouse.reports import refuse_damage  # noqa: PLC0415 -- only a run needs it

        adapter = import_port_of(context.resources, source).source()
        reports: list[LoadReport] = []
        with failures_explained():
            if not isinstance(adapter, ApiSource):
                raise ConfigurationError(f"{source} cannot be asked for a part of a day")
            warehouse = open_warehouse_of(context.resources)
            tables = context.op_config["tables"] or None
            try:
                # What was stored before a question failed is observed, too.
                for report in store_completed(warehouse, adapter, tables, dagster_run_id=context.run_id):
                    reports.append(report)
                    context.log_event(_observed(source, report))
            except MarketRuleError as closed:
                context.log.info("nothing was asked: %s", closed)
            refuse_damage(reports)

    @dg.job(
        name=f"{source}_intraday",
        description=(
            f"Bars of the running session of {source_market(source)} that `{source}` completed since the last stored"
            " one. It materialises no partition: half a day is not a day. The session's own run completes it."
        ),
        tags={PRIORITY: "10"},
    )
    def intraday() -> None:
        look()

    return intraday


def _makes_bars(source: str, tables: list[str]) -> bool:
    return "options_ticks" in tables and source_market(source) == "NSE"


def _observed(source: str, report: "LoadReport") -> dg.AssetObservation:
    """Report what is there of a session that is not over; an observation never counts as its materialisation."""
    to = report.complete_to
    known = {} if to is None else {"complete_to": dg.MetadataValue.timestamp(to)}
    return dg.AssetObservation(
        asset_key=table_key(source, report.dataset),
        partition=report.trade_date.isoformat(),
        description=report.message or ("the whole session" if to is None else f"complete to {to:%H:%M:%S} UTC"),
        metadata={
            **known,
            "bar_seconds": report.bar_seconds,
            "rows_stored": report.stored,
            "rows_unchanged": report.unchanged,
            "rows_corrected": report.corrected,
            "rows_refused": sum(report.quarantined.values()),
            "cache": report.cache,
            "source_calls": report.calls or 0,
            "fetch_seconds": round(report.fetch_seconds, 3),
            "load_id": report.load_id,
        },
    )
