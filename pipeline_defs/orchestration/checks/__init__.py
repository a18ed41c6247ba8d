"""Asset checks, by factory: put a check here when it says whether a partition can be trusted.

Each check has a name, what it means, whether it stops what comes after, and a function that gives what was expected and
what was found. Checks that stop are those whose failure means wrong data; the others warn. What an import refuses row
by row is decided by the adapters, and what can be said about stored rows by `pipeline_defs.quality`.
"""

from pipeline_defs.orchestration.checks.bars import BAR_CHECKS, build_bar_checks, judge_bars
from pipeline_defs.orchestration.checks.catalogs import build_catalog_checks, judge_manifest, judge_sessions
from pipeline_defs.orchestration.checks.judging import Check, Judgement
from pipeline_defs.orchestration.checks.quality import build_quality_checks
from pipeline_defs.orchestration.checks.tables import (
    SOURCE_CHECKS,
    build_source_checks,
    judge_findings,
    judge_ledger,
    judge_orphans,
    judge_quarantine,
)

__all__ = [
    "BAR_CHECKS",
    "SOURCE_CHECKS",
    "Check",
    "Judgement",
    "build_bar_checks",
    "build_catalog_checks",
    "build_quality_checks",
    "build_source_checks",
    "judge_bars",
    "judge_findings",
    "judge_ledger",
    "judge_manifest",
    "judge_orphans",
    "judge_quarantine",
    "judge_sessions",
]
