"""Whether hourly and daily bars are what their observations say."""

from typing import Final

import dagster as dg

from pipeline_defs.orchestration import comparisons, evidence
from pipeline_defs.orchestration.assets.bars import BAR_TABLES
from pipeline_defs.orchestration.checks.judging import Check, Judgement, build_checks
from pipeline_defs.warehouse.connection import Warehouse


def judge_bars(warehouse: Warehouse, partition: evidence.Partition) -> Judgement:
    """Compare a session's bars with the observations they were made of, instrument by instrument."""
    compared = comparisons.compare_bars(warehouse, partition.table, partition.trade_date)
    return Judgement(
        compared.differing == 0,
        f"{compared.observations} observations, {compared.volume} units",
        f"{compared.observations_in_bars} observations, {compared.volume_in_bars} units",
        f"{compared.differing} of {compared.compared} instruments differ in count, volume, high, low or last price",
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


def build_bar_checks() -> list[dg.AssetChecksDefinition]:
    """Make the checks of the bar tables."""
    return [build_checks(dg.AssetKey(table), table, "", BAR_CHECKS) for table in BAR_TABLES]
