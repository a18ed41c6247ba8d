"""Whether published catalogs are whole, and the months they hold."""

import datetime as dt
from collections.abc import Iterator
from typing import Final

import dagster as dg

from pipeline_defs.orchestration import comparisons
from pipeline_defs.orchestration.assets.catalogs import catalog_key
from pipeline_defs.orchestration.assets.describing import failures_explained, partitioned_check
from pipeline_defs.orchestration.checks.judging import Judgement, result_of
from pipeline_defs.orchestration.partitions import catalog_partitions, finished_sessions, split_catalog_key
from pipeline_defs.orchestration.resources import WAREHOUSE, export_port_key, export_port_of, open_warehouse_of
from pipeline_defs.settings import load_settings
from pipeline_defs.storage.locations import Location, S3Location
from pipeline_defs.warehouse.connection import Warehouse

MANIFEST_INTACT: Final = "manifest_intact"
SESSIONS_PRESENT: Final = "sessions_present"

_MAX_SHOWN: Final = 10


def build_catalog_checks(format_name: str) -> dg.AssetChecksDefinition:
    """Make the checks of one format's catalogs."""
    key = catalog_key(format_name)
    partitions = catalog_partitions()
    specs = [
        partitioned_check(
            MANIFEST_INTACT,
            key,
            "Every published file is there, and has the size and hash of the manifest; no other file is. If it fails,"
            " somebody changed the folder: materialise the catalog again, which replaces it as a whole.",
            partitions,
            blocking=True,
        ),
        partitioned_check(
            SESSIONS_PRESENT,
            key,
            "The warehouse has option bars of every session of the month that is over. If it warns, import the sessions"
            " it names, then materialise the catalog again.",
            partitions,
            blocking=False,
        ),
    ]

    @dg.multi_asset_check(
        name=f"check_{format_name}",
        specs=specs,
        can_subset=True,
        required_resource_keys={WAREHOUSE, export_port_key(format_name)},
    )
    def catalog_checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        port = export_port_of(context.resources, format_name)
        month, underlying = split_catalog_key(context.partition_key)
        for check in sorted(context.selected_asset_check_keys):
            with failures_explained():
                if check.name == MANIFEST_INTACT:
                    judgement = judge_manifest(port.place(underlying, month))
                else:
                    judgement = judge_sessions(
                        open_warehouse_of(context.resources),
                        underlying,
                        finished_sessions(month, dt.datetime.now(dt.UTC)),
                    )
            yield result_of(check, judgement, blocking=check.name == MANIFEST_INTACT)

    return catalog_checks


def judge_manifest(place: Location) -> Judgement:
    """Compare a published catalog with its manifest: byte by byte, or in an object store by its listing."""
    if isinstance(place, S3Location):
        from pipeline_defs.storage.download import check_published, read_published  # noqa: PLC0415 -- rarely needed
        from pipeline_defs.storage.objects import ObjectStore  # noqa: PLC0415

        store = ObjectStore.open()
        differences = check_published(store, place)
        files = len(read_published(store, place)[0].objects)
    else:
        from pipeline_defs.exports.manifest import check_manifest, read_manifest  # noqa: PLC0415 -- imports polars

        differences = check_manifest(place)
        files = len(read_manifest(place)["objects"])
    return Judgement(
        not differences,
        f"{files} files as in the manifest",
        f"{len(differences)} differences" if differences else f"{files} files as in the manifest",
        "; ".join(differences[:_MAX_SHOWN]),
    )


def judge_sessions(warehouse: Warehouse, underlying: str, sessions: list[dt.date]) -> Judgement:
    """Look for sessions of which the warehouse has no option bar of an underlying that an export would take."""
    from pipeline_defs.warehouse.precedence import load_precedence  # noqa: PLC0415 -- imports polars

    with failures_explained():
        sources = load_precedence(load_settings().home).order("options_ticks", "NSE")
    missing = comparisons.sessions_without_bars(warehouse, sources, underlying, sessions)
    return Judgement(
        not missing,
        f"{len(sessions)} sessions",
        f"{len(sessions) - len(missing)} sessions",
        "missing: " + ", ".join(map(str, missing)) if missing else "",
    )
