"""``export_catalog``: what ``pipeline export`` runs, launchable with the same words from the UI.

An export that lands where the catalog of an asset's partition lies is that catalog from now on: one of all the sessions
is a materialisation of the asset, with its check, one of some of them an observation. Elsewhere it tells on its run.
"""

import datetime as dt
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from pydantic import Field

from pipeline_defs.errors import ConfigurationError, MarketRuleError
from pipeline_defs.exports.registry import EXPORTERS
from pipeline_defs.orchestration.assets.catalogs import ENGINE_VERIFIED, catalog_key
from pipeline_defs.orchestration.assets.outcomes import describe_catalog, describe_verification
from pipeline_defs.orchestration.commands.imports import DATA_VERSION
from pipeline_defs.orchestration.commands.telling import failures_told
from pipeline_defs.orchestration.partitions import MONTH, UNDERLYING, catalog_partitions, finished_sessions
from pipeline_defs.orchestration.resources import WAREHOUSE, FolderExport, WarehouseResource, open_warehouse_of
from pipeline_defs.schema.lengths import parse_lengths
from pipeline_defs.storage.locations import parse_location

if TYPE_CHECKING:
    from pipeline_defs.exports.run import PublishedExport
    from pipeline_defs.storage.locations import Location


class ExportConfig(dg.Config):
    """What to export; empty is not said."""

    format: str = Field(description="Format, e.g. nautilus.")
    underlying: str = Field(description="E.g. NIFTY.")
    start_date: str = Field(description="First trade date, YYYY-MM-DD, inclusive.")
    end_date: str = Field(description="Last trade date, YYYY-MM-DD, inclusive.")
    output: str = Field(description="Directory to publish, or s3://bucket/prefix.")
    as_of: str = Field(default="", description="Export what was known at this instant, with its offset.")
    bars: str = Field(default="1m", description="Lengths of bars: the shortest is read, the others are made of it.")
    from_ticks: bool = Field(default=False, description="Make the bars out of ticks, whatever bars are stored.")
    ticks: bool = Field(default=False, description="Export ticks, too, in formats that have a place for them.")
    greeks: bool = Field(default=False, description="Export implied volatility and Greeks of options, too.")
    source: str = Field(default="", description="Whose observations; default as the declared precedence says.")

    def dates(self) -> tuple[dt.date, dt.date]:
        """Read the first and the last trade date.

        Raises
        ------
        ConfigurationError
            If one cannot be read.

        """
        return _date(self.start_date, "start_date"), _date(self.end_date, "end_date")

    def known_at(self) -> dt.datetime | None:
        """Read the instant; its zone is looked at by who reads as of it.

        Raises
        ------
        ConfigurationError
            If it cannot be read.

        """
        try:
            return dt.datetime.fromisoformat(self.as_of) if self.as_of else None
        except ValueError:
            raise ConfigurationError(
                f"{self.as_of!r} is not an instant, expected e.g. 2025-08-14T18:00+05:30", where="as_of"
            ) from None


@dg.op(
    name="take_out",
    description="Build a catalog, let the engine verify it, publish it.",
    required_resource_keys={WAREHOUSE},
    out=dg.Out(dg.Nothing),
)
def export_catalog_op(context: dg.OpExecutionContext, config: ExportConfig) -> Iterator[Any]:
    """Export what is asked for, and tell the asset if it is one of its partitions."""
    from pipeline_defs.publishing import export_underlying  # noqa: PLC0415 -- imports polars

    started = time.perf_counter()
    with failures_told(context) as listener:
        first, last = config.dates()
        shortest, *longer = parse_lengths(config.bars)
        published = export_underlying(
            open_warehouse_of(context.resources),
            config.format,
            config.underlying,
            first,
            last,
            output=parse_location(config.output),
            known_at=config.known_at(),
            source=config.source or None,
            bar_seconds=shortest,
            resolutions=longer,
            with_ticks=config.ticks,
            bars_from_ticks=config.from_ticks,
            with_greeks=config.greeks,
            on_progress=listener.on_progress,
        )
        listener.on_result(published)
        metadata = describe_catalog(published, (first, last), time.perf_counter() - started)
        metadata["known_at"] = published.known_at.isoformat()
        event = _event(config.format, config.underlying, (first, last), published, metadata)
    if isinstance(event, dg.AssetMaterialization):
        # Dagster takes evaluations here, too, and leaves them out of the type.
        context.log_event(_verified(event, published))  # type: ignore[arg-type]
    if event is not None:
        yield event
    yield dg.Output(None, metadata=metadata)


EXPORT_JOB: Final = dg.GraphDefinition(name="export_catalog", node_defs=[export_catalog_op]).to_job(
    description="What 'pipeline export' runs: a catalog built, read back by its engine, published.",
    resource_defs={WAREHOUSE: WarehouseResource()},
    executor_def=dg.in_process_executor,
)


def _event(
    format_name: str,
    underlying: str,
    days: tuple[dt.date, dt.date],
    published: "PublishedExport[Location]",
    metadata: dict[str, Any],
) -> dg.AssetMaterialization | dg.AssetObservation | None:
    """Give the event of the asset's partition whose place the export has taken, if there is one."""
    month = f"{days[0]:%Y-%m}"
    if format_name not in EXPORTERS or not catalog_partitions().has_partition_key(f"{month}|{underlying}"):
        return None
    place = FolderExport(format_name=format_name).place(underlying, month)
    if str(published.path) != str(place.absolute() if isinstance(place, Path) else place):
        return None
    key = catalog_key(format_name)
    partition = dg.MultiPartitionKey({MONTH: month, UNDERLYING: underlying})
    if not _has_all_sessions(month, days):
        told = f"a part of the month was put in its place: {days[0]} to {days[1]}"
        return dg.AssetObservation(asset_key=key, partition=partition, description=told, metadata=metadata)
    return dg.AssetMaterialization(
        asset_key=key,
        partition=partition,
        description="exported by a command",
        metadata=metadata,
        tags={DATA_VERSION: published.catalog_hash},
    )


def _has_all_sessions(month: str, days: tuple[dt.date, dt.date]) -> bool:
    try:
        sessions = finished_sessions(month, dt.datetime.now(dt.UTC))
    except MarketRuleError:
        return False
    return days[0] <= sessions[0] and sessions[-1] <= days[1] and f"{days[1]:%Y-%m}" == month


def _verified(event: dg.AssetMaterialization, published: "PublishedExport[Location]") -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=event.asset_key,
        check_name=ENGINE_VERIFIED,
        passed=published.verified,
        description=f"confirmed by {published.verification.engine}",
        metadata=describe_verification(published),
        blocking=True,
        partition=event.partition,
    )


def _date(text: str, name: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{text!r} is not a date, expected YYYY-MM-DD", where=name) from None
