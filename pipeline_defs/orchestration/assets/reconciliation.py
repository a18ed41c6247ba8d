"""The comparison of sources as an asset: one partition is a trading session, whatever sources have of it.

Comparing is `pipeline_defs.reconciliation`; here the outcome becomes numbers, a table, a picture, and two checks that
warn. Nothing is corrected: which source an export takes is the declared precedence.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

import pipeline_defs
from pipeline_defs.orchestration.assets.describing import OWNERS, RECONCILIATION, failures_explained, partitioned_check
from pipeline_defs.orchestration.assets.sources import table_key
from pipeline_defs.orchestration.display import markdown_table
from pipeline_defs.orchestration.partitions import IST, session_partitions
from pipeline_defs.orchestration.resources import WAREHOUSE, open_warehouse_of
from pipeline_defs.sources.entry import OBSERVED_TABLES
from pipeline_defs.sources.registry import trading_at
from pipeline_defs.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from pipeline_defs.reconciliation.comparing import Reconciliation
    from pipeline_defs.reconciliation.reading import Disagreement

KEY: Final = dg.AssetKey("reconciliation")
SOURCES_AGREE: Final = "sources_agree"
BHAVCOPY_AGREES: Final = "bhavcopy_agrees"

_CHECKS: Final = {
    SOURCES_AGREE: "Sources that hold the same contract-day say the same of it, within their tolerances.",
    BHAVCOPY_AGREES: "Open, high, low, close, volume and open interest of a source's finer data are those of the"
    " exchange's own daily file, within their tolerances.",
}
_MOST_SHOWN: Final = 20
_MOST_DRAWN: Final = 2_000


def build_reconciliation_asset() -> dg.AssetsDefinition:
    """Make the asset that compares what the sources of the NSE hold of a session.

    Returns
    -------
    dagster.AssetsDefinition
        One asset, keyed ``reconciliation``.

    """
    partitions = session_partitions()

    @dg.multi_asset(
        name="reconcile_sources",
        specs=[
            dg.AssetSpec(
                KEY,
                deps=[table_key(source, table) for table in OBSERVED_TABLES for source in trading_at("NSE", table)],
                description=(
                    "Whether sources agree: every two that hold the same contract-day are compared bar by bar, and each"
                    " against the exchange's own daily file. A report: no source's rows are changed by it, and which"
                    " one an export takes is the declared precedence (`precedence.yaml`)."
                ),
                group_name=RECONCILIATION,
                owners=OWNERS,
                kinds={"sql", "postgres"},
                tags={"market": "nse"},
                code_version=pipeline_defs.__version__,
                partitions_def=partitions,
                metadata={"dagster/table_name": "public.reconciliations"},
            )
        ],
        check_specs=[
            partitioned_check(name, KEY, meaning, partitions, blocking=False) for name, meaning in _CHECKS.items()
        ],
        required_resource_keys={WAREHOUSE},
    )
    def reconciliation_asset(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        """Compare everything that can be compared of one session."""
        from pipeline_defs.reconciliation.comparing import BHAVCOPY  # noqa: PLC0415 -- only a run needs it
        from pipeline_defs.reconciliation.session import reconcile_session  # noqa: PLC0415

        with failures_explained():
            opened = open_warehouse_of(context.resources)
            made = reconcile_session(opened, dt.date.fromisoformat(context.partition_key))
        yield dg.MaterializeResult(asset_key=KEY, metadata=_described(opened, made))
        refereed = [one for one in made if one.right == BHAVCOPY]
        yield _checked(opened, SOURCES_AGREE, [one for one in made if one.right != BHAVCOPY])
        yield _checked(opened, BHAVCOPY_AGREES, refereed)

    return reconciliation_asset


def _described(warehouse: Warehouse, made: Sequence["Reconciliation"]) -> dict[str, Any]:
    from pipeline_defs.plots.disagreement import Apart, Compared, draw_disagreement  # noqa: PLC0415 -- only a run needs it
    from pipeline_defs.plots.drawing import to_markdown  # noqa: PLC0415
    from pipeline_defs.reconciliation import reading  # noqa: PLC0415

    ids = [one.reconciliation_id for one in made]
    drawn = reading.worst_disagreements(warehouse, ids, most=_MOST_DRAWN)
    alike = reading.find_look_alikes(warehouse, ids)
    verdicts = reading.count_verdicts(warehouse, ids)
    picture = draw_disagreement(
        [Compared(_label(one), one.agreeing, one.disagreeing, one.only_left, one.only_right) for one in made],
        [Apart(one.timestamp.astimezone(IST), one.field, float(one.share)) for one in drawn],
    )
    return {
        **_numbers(warehouse, made),
        **{f"contract_days_{verdict}": count for verdict, count in verdicts.items()},
        "dagster/partition_row_count": len(made),
        "look_alikes": len(alike),
        "comparisons": dg.MetadataValue.md(_table(made)),
        "worst": dg.MetadataValue.md(_worst_table(drawn[:_MOST_SHOWN])),
        "picture": dg.MetadataValue.md(to_markdown(picture, "What agrees, and how far apart the rest is")),
        **({"not_compared": dg.MetadataValue.md("\n\n".join(map(str, alike[:_MOST_SHOWN])))} if alike else {}),
    }


def _checked(warehouse: Warehouse, name: str, made: Sequence["Reconciliation"]) -> dg.AssetCheckResult:
    from pipeline_defs.reconciliation import reading  # noqa: PLC0415 -- only a run needs it

    disagreeing = sum(one.disagreeing for one in made)
    worst = reading.worst_disagreements(warehouse, [one.reconciliation_id for one in made], most=_MOST_SHOWN)
    compared = sum(one.compared for one in made)
    return dg.AssetCheckResult(
        asset_key=KEY,
        check_name=name,
        passed=disagreeing == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=None if compared else "there was nothing to compare",
        metadata={
            "expected": f"{compared} bars agree",
            "found": f"{disagreeing} bars disagree" if disagreeing else f"{compared} bars agree",
            **_numbers(warehouse, made),
            **({"worst": dg.MetadataValue.md(_worst_table(worst))} if worst else {}),
        },
    )


def _numbers(warehouse: Warehouse, made: Sequence["Reconciliation"]) -> dict[str, Any]:
    """Give numbers with steady names, which the UI plots over the partitions."""
    from pipeline_defs.reconciliation import reading  # noqa: PLC0415 -- only a run needs it

    counts = {
        name: sum(getattr(one, name) for one in made)
        for name in ("compared", "agreeing", "disagreeing", "only_left", "only_right", "differences")
    }
    worst = reading.worst_by_field(warehouse, [one.reconciliation_id for one in made])
    share = {"agreeing_share": counts["agreeing"] / counts["compared"]} if counts["compared"] else {}
    return {
        **counts,
        **share,
        "worst_difference": max((difference for _, difference in worst.values()), default=0.0),
        **{f"worst_difference_{field}": difference for field, (_, difference) in worst.items()},
    }


def _label(one: "Reconciliation") -> str:
    length = {86_400: "1d", 3_600: "1h", 60: "1m"}.get(one.bar_seconds, f"{one.bar_seconds}s")
    return f"{one.dataset} {length}: {one.left} | {one.right}"


def _table(made: Sequence["Reconciliation"]) -> str:
    return markdown_table(
        ["compared", "bars", "agreeing", "disagreeing", "only left", "only right"],
        [[_label(one), one.compared, one.agreeing, one.disagreeing, one.only_left, one.only_right] for one in made],
    )


def _worst_table(worst: Sequence["Disagreement"]) -> str:
    if not worst:
        return "no disagreement"
    return markdown_table(
        ["bar closes at", "instrument", "field", "left", "right", "tolerance", "apart"],
        [
            [
                f"{one.timestamp.astimezone(IST):%H:%M:%S}",
                one.symbol or one.instrument_id,
                one.field,
                str(one.left_value),
                str(one.right_value),
                f"{one.tolerance.normalize():f}",
                f"{one.share:.2%}",
            ]
            for one in worst
        ],
    )
