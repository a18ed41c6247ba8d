"""Published catalogs as assets: one partition is one month of one underlying.

Building, verifying by the engine and publishing is `pipeline_defs.publishing`; here a month becomes trade dates, and
the outcome, good or bad, becomes metadata and a check.
"""

import datetime as dt
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

import pipeline_defs
from pipeline_defs.errors import ExportError
from pipeline_defs.orchestration import pictures
from pipeline_defs.orchestration.assets import teaching
from pipeline_defs.orchestration.assets.describing import (
    CATALOGS,
    OWNERS,
    failure,
    failures_explained,
    partitioned_check,
)
from pipeline_defs.orchestration.assets.outcomes import describe_catalog, describe_verification
from pipeline_defs.orchestration.assets.sources import table_key
from pipeline_defs.orchestration.partitions import catalog_partitions, finished_sessions, split_catalog_key
from pipeline_defs.orchestration.resources import WAREHOUSE, export_port_key, export_port_of, open_warehouse_of
from pipeline_defs.sources.registry import trading_at

if TYPE_CHECKING:
    from pipeline_defs.exports.run import PublishedExport
    from pipeline_defs.storage.locations import Location

ENGINE_VERIFIED: Final = "engine_verified"
"""Check: the engine itself read back what was exported."""

_EXPORTED_TABLES: Final = ("options_ticks", "futures_ticks", "spot_prices")
_KINDS: Final = {
    "backtrader": {"csv", "python"},
    "csv": {"csv"},
    "lean": {"csv"},
    "nautilus": {"parquet", "python"},
    "parquet": {"parquet"},
}


def build_catalog_assets(format_name: str) -> dg.AssetsDefinition:
    """Make the asset of one format's catalogs.

    Parameters
    ----------
    format_name : str
        As in `pipeline_defs.exports.registry`. Its port is the resource ``<format>_export``.

    Returns
    -------
    dagster.AssetsDefinition
        One asset, keyed ``catalogs/<format>``.

    """
    key = catalog_key(format_name)
    partitions = catalog_partitions()

    @dg.multi_asset(
        name=f"publish_{format_name}",
        specs=[_spec(format_name, partitions)],
        check_specs=[
            partitioned_check(
                ENGINE_VERIFIED,
                key,
                "The engine read back every instrument: rows, sums, first and last bar. If it fails, nothing was"
                " published: the finding names the instrument; export again when its data are right.",
                partitions,
                blocking=True,
            )
        ],
        required_resource_keys={WAREHOUSE, export_port_key(format_name)},
    )
    def catalog_asset(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        """Build one month of one underlying, let the engine verify it, publish it."""
        port = export_port_of(context.resources, format_name)
        month, underlying = split_catalog_key(context.partition_key)
        started = time.perf_counter()
        with failures_explained():
            sessions = finished_sessions(month, dt.datetime.now(dt.UTC))
            opened = open_warehouse_of(context.resources)
            try:
                published = port.publish(opened, underlying, month, sessions[0], sessions[-1])
            except ExportError as error:
                yield _not_verified(key, error)
                raise failure(error) from error
            seconds = time.perf_counter() - started
            source = published.sources[0] if len(published.sources) == 1 else None
            drawn = pictures.catalog_pictures(opened, source, underlying, sessions[0], sessions[-1])
        yield _materialized(key, published, sessions, seconds, drawn)
        yield _verified(key, published)

    return catalog_asset


def catalog_key(format_name: str) -> dg.AssetKey:
    """Name the asset of one format's catalogs."""
    return dg.AssetKey(["catalogs", format_name])


def _spec(format_name: str, partitions: dg.PartitionsDefinition) -> dg.AssetSpec:
    return dg.AssetSpec(
        catalog_key(format_name),
        # Months and sessions are both windows of time: Dagster maps a month to the sessions in it.
        # Which source a contract-day is taken from is decided at the export: it may be any of the market's.
        deps=[table_key(source, table) for table in _EXPORTED_TABLES for source in trading_at("NSE", table)],
        description=teaching.of_catalog(format_name),
        group_name=CATALOGS,
        owners=OWNERS,
        kinds=_KINDS.get(format_name, {"python"}),
        tags={"market": "nse", "format": format_name},
        code_version=pipeline_defs.__version__,
        partitions_def=partitions,
        metadata={"storage": f"<catalogs>/{format_name}/<UNDERLYING>/<YYYY-MM>"},
    )


def _materialized(
    key: dg.AssetKey,
    published: "PublishedExport[Location]",
    sessions: list[dt.date],
    seconds: float,
    drawn: "dict[str, dg.MarkdownMetadataValue]",
) -> dg.MaterializeResult[Any]:
    return dg.MaterializeResult(
        asset_key=key,
        data_version=dg.DataVersion(published.catalog_hash),
        metadata={**describe_catalog(published, (sessions[0], sessions[-1]), seconds), **drawn},
    )


def _verified(key: dg.AssetKey, published: "PublishedExport[Location]") -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=ENGINE_VERIFIED,
        passed=published.verified,
        description=f"confirmed by {published.verification.engine}",
        metadata=describe_verification(published),
    )


def _not_verified(key: dg.AssetKey, error: ExportError) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=ENGINE_VERIFIED,
        passed=False,
        severity=dg.AssetCheckSeverity.ERROR,
        description="nothing was published",
        metadata={"expected": "what the warehouse holds", "found": error.what},
    )
