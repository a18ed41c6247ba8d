"""Asset checks, by factory: put a check here when it says whether a partition can be trusted.

Each check is a row of a table below: a name, what it means, whether it stops what comes after, and a function that
gives what was expected and what was found. Checks that stop are those whose failure means wrong data; the others warn.
What an import refuses row by row is decided by the adapters, not here.
"""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import dagster as dg

from pipeline_defs.markets.market import market
from pipeline_defs.orchestration import comparisons, evidence
from pipeline_defs.orchestration.assets.bars import BAR_TABLES
from pipeline_defs.orchestration.assets.catalogs import EXPORTED_SOURCE, catalog_key
from pipeline_defs.orchestration.assets.describing import failures_explained, partitioned_check
from pipeline_defs.orchestration.assets.sources import table_key
from pipeline_defs.orchestration.partitions import (
    catalog_partitions,
    finished_sessions,
    session_partitions,
    split_catalog_key,
)
from pipeline_defs.orchestration.resources import WAREHOUSE, export_port_key, export_port_of, open_warehouse_of
from pipeline_defs.sources.registry import source_entry, source_market
from pipeline_defs.storage.locations import Location, S3Location
from pipeline_defs.warehouse.connection import Warehouse

MAX_QUARANTINED_SHARE: Final = 0.01
"""More refused lines than this are worth a look."""

MANIFEST_INTACT: Final = "manifest_intact"
SESSIONS_PRESENT: Final = "sessions_present"

_MAX_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a check found.

    Parameters
    ----------
    passed : bool
        Whether both sides agree.
    expected, found : int, float or str
        Both sides.
    detail : str, default ""
        Which instruments, lines or files.

    """

    passed: bool
    expected: int | float | str
    found: int | float | str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a partition.

    Parameters
    ----------
    name : str
        Steady snake_case name.
    meaning : str
        What holds when it passes.
    blocking : bool
        Whether a failure stops what comes after; otherwise it warns.
    judge : callable
        From warehouse and partition to a judgement.

    """

    name: str
    meaning: str
    blocking: bool
    judge: Callable[[Warehouse, evidence.Partition], Judgement]


def judge_ledger(warehouse: Warehouse, partition: evidence.Partition) -> Judgement:
    """Hold the rows of a partition against what its last loads say they read, stored and found unchanged."""
    lines = comparisons.ledger(warehouse, partition)
    wrong = [
        f"load {line.load_id} at {line.bar_seconds} s: says {line.written} rows written and {line.known} there,"
        f" found {line.written_held} and {line.held}"
        for line in lines
        if not line.agrees
    ]
    wrong += [
        f"load {load.load_id}: read {load.read}, stored {load.stored}, unchanged {load.unchanged}, corrected"
        f" {load.corrected}, quarantined {load.quarantined}"
        for load in evidence.latest_loads(warehouse, partition)
        if load.status != "rejected" and load.read != load.stored + load.unchanged + load.corrected + load.quarantined
    ]
    expected, found = sum(line.known for line in lines), sum(line.held for line in lines)
    return Judgement(not wrong, expected, found, "; ".join(wrong))


def judge_orphans(warehouse: Warehouse, partition: evidence.Partition) -> Judgement:
    """Look for rows that no load of the partition accounts for."""
    found = comparisons.rows_without_load(warehouse, partition)
    return Judgement(found == 0, 0, found)


def judge_quarantine(warehouse: Warehouse, partition: evidence.Partition) -> Judgement:
    """Compare the share of refused lines in the latest loads with what is usual."""
    loads = evidence.latest_loads(warehouse, partition)
    read, refused = sum(load.read for load in loads), sum(load.quarantined for load in loads)
    share = refused / read if read else 0.0
    commands = ", ".join(f"pipeline quarantine --load {load.load_id}" for load in loads if load.quarantined)
    detail = f"{refused} of {read} lines" + (f"; see them with: {commands}" if commands else "")
    return Judgement(share <= MAX_QUARANTINED_SHARE, f"at most {MAX_QUARANTINED_SHARE:.2%}", f"{share:.2%}", detail)


def judge_findings(warehouse: Warehouse, partition: evidence.Partition) -> Judgement:
    """Look for findings of the latest loads that differ from what was expected of the session."""
    loads = evidence.latest_loads(warehouse, partition)
    findings = evidence.quality_findings(warehouse, [load.load_id for load in loads])
    unexpected = [finding for finding in findings if not finding.passed]
    shown = unexpected or findings
    return Judgement(
        not unexpected,
        "; ".join(f"{finding.check}: {finding.expected}" for finding in shown) or "no finding",
        "; ".join(f"{finding.check}: {finding.found}" for finding in shown) or "no finding",
        "; ".join(finding.detail for finding in unexpected if finding.detail),
    )


def judge_bars(warehouse: Warehouse, partition: evidence.Partition) -> Judgement:
    """Compare a session's bars with the observations they were made of, instrument by instrument."""
    compared = comparisons.compare_bars(warehouse, partition.table, partition.trade_date)
    return Judgement(
        compared.differing == 0,
        f"{compared.observations} observations, {compared.volume} units",
        f"{compared.observations_in_bars} observations, {compared.volume_in_bars} units",
        f"{compared.differing} of {compared.compared} instruments differ in count, volume, high, low or last price",
    )


SOURCE_CHECKS: Final = (
    Check(
        name="rows_accounted_for",
        meaning=(
            "Every line read is stored, known or refused, and every row stored is there. If it fails, rows were changed"
            " or lost behind the pipeline's back: run the partition again, which makes it right."
        ),
        blocking=True,
        judge=judge_ledger,
    ),
    Check(
        name="no_rows_without_load",
        meaning=(
            "Every row names the load of this partition that wrote it. If it fails, something else wrote to the table:"
            " `pipeline doctor` counts such rows; delete them, then run the partition again."
        ),
        blocking=True,
        judge=judge_orphans,
    ),
    Check(
        name="quarantine_share",
        meaning=(
            "Few lines were refused. If it warns, the command in its detail lists them, each with file, line and"
            " reason; ask for a better file, or accept what is missing."
        ),
        blocking=False,
        judge=judge_quarantine,
    ),
    Check(
        name="session_findings",
        meaning=(
            "Indices and futures have every minute of the session, and nothing else looks wrong in the delivery. If it"
            " warns, the detail names the instruments or files; ask for what is missing, then run the partition again."
        ),
        blocking=False,
        judge=judge_findings,
    ),
)

BAR_CHECKS: Final = (
    Check(
        name="bars_equal_ticks",
        meaning=(
            "Count, volume, high, low and last price of each option equal those of its observations. If it fails, the"
            " bars are behind: materialise them again for this session."
        ),
        blocking=True,
        judge=judge_bars,
    ),
)


def build_source_checks(source: str) -> list[dg.AssetChecksDefinition]:
    """Make the checks of every table of a source."""
    return [_build(table_key(source, table), table, source, SOURCE_CHECKS) for table in source_entry(source).tables]


def build_bar_checks() -> list[dg.AssetChecksDefinition]:
    """Make the checks of the bar tables."""
    return [_build(dg.AssetKey(table), table, "", BAR_CHECKS) for table in BAR_TABLES]


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
            yield _result(check, judgement, blocking=check.name == MANIFEST_INTACT)

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
    """Look for sessions of which the warehouse has no option bar of an underlying."""
    missing = comparisons.sessions_without_bars(warehouse, EXPORTED_SOURCE, underlying, sessions)
    return Judgement(
        not missing,
        f"{len(sessions)} sessions",
        f"{len(sessions) - len(missing)} sessions",
        "missing: " + ", ".join(map(str, missing)) if missing else "",
    )


def _build(key: dg.AssetKey, table: str, source: str, checks: tuple[Check, ...]) -> dg.AssetChecksDefinition:
    calendar = market(source_market(source) if source else "NSE")
    partitions = session_partitions(market_name=calendar.name)
    by_name = {check.name: check for check in checks}
    specs = [partitioned_check(check.name, key, check.meaning, partitions, blocking=check.blocking) for check in checks]

    @dg.multi_asset_check(
        name=f"check_{'_'.join(key.path)}", specs=specs, can_subset=True, required_resource_keys={WAREHOUSE}
    )
    def table_checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        partition = evidence.Partition(table, source, dt.date.fromisoformat(context.partition_key), calendar.zone)
        with failures_explained():
            opened = open_warehouse_of(context.resources)
        for check in sorted(context.selected_asset_check_keys):
            judgement = by_name[check.name].judge(opened, partition)
            yield _result(check, judgement, blocking=by_name[check.name].blocking)

    return table_checks


def _result(check: dg.AssetCheckKey, judgement: Judgement, *, blocking: bool) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=check.asset_key,
        check_name=check.name,
        passed=judgement.passed,
        severity=dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN,
        metadata={
            "expected": judgement.expected,
            "found": judgement.found,
            **({"detail": judgement.detail} if judgement.detail else {}),
        },
    )
