"""The checks of `pipeline_defs.quality` as checks of assets: each table's partition is judged once, and told by check.

Errors stop what comes after. What is only worth knowing never fails in Dagster: it is told, and stored as it was found.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Final
from zoneinfo import ZoneInfo

import dagster as dg

from pipeline_defs.markets.market import Market, market
from pipeline_defs.orchestration.assets.describing import failures_explained, partitioned_check
from pipeline_defs.orchestration.assets.sources import table_key
from pipeline_defs.orchestration.display import markdown_table
from pipeline_defs.orchestration.partitions import session_partitions
from pipeline_defs.orchestration.resources import WAREHOUSE, open_warehouse_of
from pipeline_defs.quality.specs import Outcome, Spec, specs_of
from pipeline_defs.settings import load_settings
from pipeline_defs.sources.registry import source_entry, source_market
from pipeline_defs.warehouse.connection import Warehouse

_SEVERITIES: Final = {
    "error": dg.AssetCheckSeverity.ERROR,
    "warn": dg.AssetCheckSeverity.WARN,
    "info": dg.AssetCheckSeverity.WARN,
}


def build_quality_checks(source: str) -> list[dg.AssetChecksDefinition]:
    """Make the quality checks of every table of a source.

    Parameters
    ----------
    source : str
        Adapter, as in `pipeline_defs.sources.registry`.

    Returns
    -------
    list of dagster.AssetChecksDefinition
        One for each table.

    """
    return [_build(source, table) for table in source_entry(source).tables]


def _build(source: str, table: str) -> dg.AssetChecksDefinition:
    calendar = market(source_market(source))
    key = table_key(source, table)
    partitions = session_partitions(market_name=calendar.name)
    by_name = {spec.name: spec for spec in specs_of(table, calendar.name)}
    specs = [
        partitioned_check(
            spec.name, key, f"{spec.meaning} If not: {spec.advice}", partitions, blocking=spec.severity == "error"
        )
        for spec in by_name.values()
    ]

    @dg.multi_asset_check(
        name=f"quality_{source}_{table}", specs=specs, can_subset=True, required_resource_keys={WAREHOUSE}
    )
    def quality_checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        """Judge one session of the table, and store what was found."""
        trade_date = dt.date.fromisoformat(context.partition_key)
        with failures_explained():
            opened = open_warehouse_of(context.resources)
            outcomes = _judge(opened, table, source, trade_date, calendar)
            symbols = _symbols(opened, outcomes)
        for check in sorted(context.selected_asset_check_keys):
            spec = by_name[check.name]
            yield _result(check, spec, outcomes[check.name], symbols, calendar.zone)

    return quality_checks


def _judge(warehouse: Warehouse, table: str, source: str, trade_date: dt.date, calendar: Market) -> dict[str, Outcome]:
    from pipeline_defs.quality.running import check_partition  # noqa: PLC0415 -- imports polars

    return check_partition(warehouse, table, source, trade_date, calendar, home=load_settings().home)


def _symbols(warehouse: Warehouse, outcomes: dict[str, Outcome]) -> dict[int, str]:
    from pipeline_defs.quality.results import symbols_of  # noqa: PLC0415 -- only when something fails

    ids = {failure.instrument_id for outcome in outcomes.values() for failure in outcome.failures}
    named = sorted(instrument_id for instrument_id in ids if instrument_id is not None)
    return symbols_of(warehouse, named) if named else {}


def _result(
    check: dg.AssetCheckKey, spec: Spec, outcome: Outcome, symbols: dict[int, str], zone: str
) -> dg.AssetCheckResult:
    metadata: dict[str, dg.RawMetadataValue] = {
        "expected": outcome.expected,
        "found": outcome.found,
        "examined": outcome.examined,
        "failing": outcome.failing,
    }
    if outcome.detail:
        metadata["detail"] = outcome.detail
    if outcome.failures:
        metadata["failing_rows"] = dg.MetadataValue.md(failing_rows(outcome, symbols, zone))
        metadata["next_step"] = spec.advice
    return dg.AssetCheckResult(
        asset_key=check.asset_key,
        check_name=check.name,
        passed=outcome.passed or spec.severity == "info",
        severity=_SEVERITIES[spec.severity],
        description=outcome.found,
        metadata=metadata,
    )


def failing_rows(outcome: Outcome, symbols: dict[int, str], zone: str) -> str:
    """Write the failing rows as a table, with instants on the clock of the market.

    Parameters
    ----------
    outcome : Outcome
        What a check found.
    symbols : dict of int to str
        Names of the instruments.
    zone : str
        Of the market.

    Returns
    -------
    str
        Markdown; says how many more rows fail than are shown.

    """
    local = ZoneInfo(zone)
    rows = [
        (
            "" if failure.instrument_id is None else symbols.get(failure.instrument_id, failure.instrument_id),
            "" if failure.timestamp is None else f"{failure.timestamp.astimezone(local):%Y-%m-%d %H:%M:%S}",
            "" if failure.bar_seconds is None else "tick" if failure.bar_seconds == 0 else f"{failure.bar_seconds} s",
            failure.detail,
        )
        for failure in outcome.failures
    ]
    more = outcome.failing - len(rows)
    table = markdown_table(["symbol", f"time ({zone})", "bar", "what"], rows)
    return table + (f"\n\nand {more:,} more" if more > 0 else "")
