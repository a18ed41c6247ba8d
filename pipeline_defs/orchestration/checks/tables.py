"""Whether what was loaded of a table is accounted for, line by line and load by load."""

from typing import Final

import dagster as dg

from pipeline_defs.orchestration import comparisons, evidence
from pipeline_defs.orchestration.assets.sources import table_key
from pipeline_defs.orchestration.checks.judging import Check, Judgement, build_checks
from pipeline_defs.sources.registry import source_entry
from pipeline_defs.warehouse.connection import Warehouse

MAX_QUARANTINED_SHARE: Final = 0.01
"""More refused lines than this are worth a look."""


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


def build_source_checks(source: str) -> list[dg.AssetChecksDefinition]:
    """Make the checks of every table of a source."""
    return [
        build_checks(table_key(source, table), table, source, SOURCE_CHECKS) for table in source_entry(source).tables
    ]
