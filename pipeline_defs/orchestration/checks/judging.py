"""What a check is made of: what it found, and how that is told to Dagster."""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import dagster as dg

from pipeline_defs.markets.market import market
from pipeline_defs.orchestration import evidence
from pipeline_defs.orchestration.assets.describing import failures_explained, partitioned_check
from pipeline_defs.orchestration.partitions import session_partitions
from pipeline_defs.orchestration.resources import WAREHOUSE, open_warehouse_of
from pipeline_defs.sources.registry import source_market
from pipeline_defs.warehouse.connection import Warehouse


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


def build_checks(key: dg.AssetKey, table: str, source: str, checks: tuple[Check, ...]) -> dg.AssetChecksDefinition:
    """Make the checks of a table, evaluated together; without a source, of a table of the NSE."""
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
            yield result_of(check, judgement, blocking=by_name[check.name].blocking)

    return table_checks


def result_of(check: dg.AssetCheckKey, judgement: Judgement, *, blocking: bool) -> dg.AssetCheckResult:
    """Tell a judgement to Dagster."""
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
