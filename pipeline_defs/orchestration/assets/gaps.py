"""The gap ledger in Dagster: an asset for each source, a check that assesses after each import, and the backfill.

Causes are found, and gaps filled, in `pipeline_defs.gaps`; here a partition is named and its numbers are reported.
"""

import datetime as dt
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from pydantic import Field

import pipeline_defs
from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.markets.market import market
from pipeline_defs.orchestration.assets.describing import OWNERS, failures_explained, partitioned_check
from pipeline_defs.orchestration.assets.sources import table_key
from pipeline_defs.orchestration.display import markdown_table
from pipeline_defs.orchestration.partitions import session_partitions
from pipeline_defs.orchestration.pools import ASKING_STEP
from pipeline_defs.orchestration.resources import WAREHOUSE, open_warehouse_of
from pipeline_defs.settings import load_settings
from pipeline_defs.sources.registry import source_entry, source_market
from pipeline_defs.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from pipeline_defs.gaps.assessing import Assessment
    from pipeline_defs.gaps.backfilling import Backfill
    from pipeline_defs.gaps.ledger import Gap, Scope

GROUP: Final = "gaps"
GAP_LEDGER: Final = "gap_ledger"
NOTHING_MISSING: Final = "nothing_missing"
"""Check of each table: no minute is missing for which its source, or a refusal, is to blame."""

NOTHING_LEFT: Final = "nothing_left"
BACKFILL_KEY: Final = dg.AssetKey(["gaps", "backfill"])

_MEANING: Final = "Every minute is there, or it is known why not: closed, nothing traded, or not due yet."
_BLAMED: Final = ("source_missing", "quarantined")
_CAUSES: Final = (*_BLAMED, "no_trade", "not_yet_due", "closed")
_MAX_SHOWN: Final = 50


class BackfillConfig(dg.Config):
    """What a backfill looks at; what is empty is not restricted."""

    source: str = Field(default="", description="Only this source, e.g. ccxt.")
    dataset: str = Field(default="", description="Only this table, e.g. spot_prices.")
    first_date: str = Field(default="", description="First trade date, YYYY-MM-DD, inclusive.")
    last_date: str = Field(default="", description="Last trade date, YYYY-MM-DD, inclusive.")
    dry_run: bool = Field(default=False, description="Only show what would be asked.")
    ask_again: bool = Field(default=False, description="Also ask for what a source was asked for before, in vain.")


def ledger_key(source: str) -> dg.AssetKey:
    """Name the asset of a source's gap ledger."""
    return dg.AssetKey([source, GAP_LEDGER])


def build_gap_asset(source: str) -> dg.AssetsDefinition:
    """Make the gap ledger of one source: a partition is a session, assessed over all tables it was loaded into.

    Parameters
    ----------
    source : str
        Adapter, as in the registry.

    Returns
    -------
    dagster.AssetsDefinition
        One asset, keyed ``<source>/gap_ledger``.

    """
    calendar = market(source_market(source))

    @dg.multi_asset(
        name=f"assess_gaps_{source}",
        specs=[
            dg.AssetSpec(
                ledger_key(source),
                deps=[table_key(source, table) for table in source_entry(source).tables],
                description=(
                    f"What each session of `{source}` should hold, what it holds, and why the rest is missing: closed,"
                    " no trade, source missing, not yet due, refused. Minutes are summed over the instruments."
                ),
                group_name=GROUP,
                owners=OWNERS,
                kinds={"sql", "postgres"},
                tags={"market": calendar.name.lower(), "source": source},
                code_version=pipeline_defs.__version__,
                partitions_def=session_partitions(market_name=calendar.name),
                metadata={"dagster/table_name": "public.session_gaps"},
            )
        ],
        required_resource_keys={WAREHOUSE},
    )
    def gap_asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        """Assess one session."""
        trade_date = dt.date.fromisoformat(context.partition_key)
        started = time.perf_counter()
        with failures_explained():
            opened = open_warehouse_of(context.resources)
            assessments = _assess(opened, source, None, trade_date)
            if not assessments:
                raise SourceError(
                    f"{source} was not loaded around {trade_date}: nothing is expected of that day",
                    next_step="import some days first; what comes regularly is expected until ten days after its last",
                )
        return dg.MaterializeResult(
            asset_key=ledger_key(source),
            metadata={
                **_numbers(assessments),
                "seconds": round(time.perf_counter() - started, 3),
                "gaps": dg.MetadataValue.md(_gap_table(_gaps_of(opened, source, None, trade_date))),
            },
        )

    return gap_asset


def build_gap_checks(source: str) -> list[dg.AssetChecksDefinition]:
    """Make the check of every table of a source: it assesses what was just imported."""
    return [_gap_check(source, table) for table in source_entry(source).tables]


def _gap_check(source: str, table: str) -> dg.AssetChecksDefinition:
    partitions = session_partitions(market_name=market(source_market(source)).name)
    key = table_key(source, table)

    @dg.multi_asset_check(
        name=f"check_gaps_{source}_{table}",
        specs=[partitioned_check(NOTHING_MISSING, key, _MEANING, partitions, blocking=False)],
        required_resource_keys={WAREHOUSE},
    )
    def gap_check(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        trade_date = dt.date.fromisoformat(context.partition_key)
        with failures_explained():
            opened = open_warehouse_of(context.resources)
            assessments = _assess(opened, source, table, trade_date)
        blamed = sum(one.missing.get(cause, 0) for one in assessments for cause in _BLAMED)
        gaps = [gap for gap in _gaps_of(opened, source, table, trade_date) if gap.cause in _BLAMED]
        return dg.AssetCheckResult(
            asset_key=key,
            check_name=NOTHING_MISSING,
            passed=blamed == 0,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={
                "expected": "0 minutes missing without a good reason",
                "found": f"{blamed} minutes",
                **_numbers(assessments),
                **({"gaps": dg.MetadataValue.md(_gap_table(gaps))} if gaps else {}),
            },
        )

    return gap_check


@dg.multi_asset(
    name="backfill_gaps",
    specs=[
        dg.AssetSpec(
            BACKFILL_KEY,
            description=(
                "Imports exactly what the gap ledger says is missing and can be had: launch it with a source, a table"
                " and a range in the run's configuration, or with none of them for everything that was assessed."
            ),
            group_name=GROUP,
            owners=OWNERS,
            kinds={"python", "postgres"},
            code_version=pipeline_defs.__version__,
        )
    ],
    check_specs=[
        dg.AssetCheckSpec(NOTHING_LEFT, asset=BACKFILL_KEY, description="Everything that was asked about is there now.")
    ],
    op_tags=ASKING_STEP,
    required_resource_keys={WAREHOUSE},
)
def backfill_asset(
    context: dg.AssetExecutionContext, config: BackfillConfig
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Fill the gaps of a part of the ledger."""
    from pipeline_defs.gaps.backfilling import Backfiller  # noqa: PLC0415 -- imports polars
    from pipeline_defs.gaps.supply import Supplies  # noqa: PLC0415

    with failures_explained():
        filler = Backfiller(
            open_warehouse_of(context.resources),
            Supplies(load_settings()),
            dagster_run_id=context.run.run_id,
            on_progress=lambda refill: context.log.info("asking %s", refill),
        )
        outcome = filler.run(scope_of(config), dry_run=config.dry_run, ask_again=config.ask_again)
    yield dg.MaterializeResult(asset_key=BACKFILL_KEY, metadata=describe_backfill(outcome))
    yield dg.AssetCheckResult(
        asset_key=BACKFILL_KEY,
        check_name=NOTHING_LEFT,
        passed=not outcome.remaining and not outcome.failures,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"expected": "0 minutes missing", "found": f"{outcome.remaining_minutes} minutes missing"},
    )
    with failures_explained():
        refuse_failures(outcome)


FILL_GAPS: Final = dg.define_asset_job(
    "fill_gaps",
    selection=dg.AssetSelection.assets(BACKFILL_KEY),
    description="Import exactly what is missing and can be had; set source, dataset and dates in the launchpad.",
)


def _assess(warehouse: Warehouse, source: str, table: str | None, trade_date: dt.date) -> "list[Assessment]":
    from pipeline_defs.gaps.assessing import assess  # noqa: PLC0415 -- imports polars
    from pipeline_defs.gaps.series import list_series  # noqa: PLC0415

    every = list_series(warehouse, dataset=table, source=source)
    expected = [(one, trade_date) for one in every if one.expected_days(trade_date, trade_date)]
    return list(assess(warehouse, expected))


def _gaps_of(warehouse: Warehouse, source: str, table: str | None, trade_date: dt.date) -> "list[Gap]":
    from pipeline_defs.gaps.ledger import Scope, list_gaps  # noqa: PLC0415 -- only a run needs it

    return list_gaps(warehouse, Scope(table, source, trade_date, trade_date))


def _numbers(assessments: "list[Assessment]") -> dict[str, Any]:
    """Give numbers under steady names, so that the UI plots them over the partitions."""
    expected = sum(one.expected_minutes for one in assessments)
    present = sum(one.present_minutes for one in assessments)
    missing = {
        f"missing_{cause}": sum(one.missing.get(cause, 0) for one in assessments)
        for cause in _CAUSES
        if cause != "closed"
    }
    return {
        "expected_minutes": expected,
        "present_minutes": present,
        **missing,
        "fillable_minutes": sum(one.fillable_minutes for one in assessments),
        "coverage": round(present / expected, 6) if expected else 1.0,
    }


def _gap_table(gaps: "list[Gap]") -> str:
    if not gaps:
        return "No gap."
    rows = [
        (
            gap.dataset,
            f"{gap.bar_seconds} s",
            f"{gap.gap_start:%H:%M}-{gap.gap_end:%H:%M}Z",
            gap.about,
            gap.minutes,
            gap.cause,
            "yes" if gap.fillable else "",
            gap.detail,
        )
        for gap in gaps[:_MAX_SHOWN]
    ]
    more = f"\n\nand {len(gaps) - _MAX_SHOWN} more" if len(gaps) > _MAX_SHOWN else ""
    header = ["table", "resolution", "when", "what", "minutes", "cause", "fillable", "detail"]
    return markdown_table(header, rows) + more


def refuse_failures(outcome: "Backfill") -> None:
    """Raise what became of the requests that failed, if any did.

    Raises
    ------
    SourceError
        If a source could not be asked, or its answer not be stored.

    """
    if outcome.failures:
        raise SourceError(
            "\n".join(f"{one.refill}: {one.error}" for one in outcome.failures),
            next_step="mend the cause and launch the backfill again: what was filled is not asked for again",
        )


def describe_backfill(outcome: "Backfill") -> dict[str, Any]:
    """Give a backfill as metadata."""
    planned = [(str(refill), refill.minutes) for refill in outcome.planned[:_MAX_SHOWN]]
    done = [
        (str(one.refill), sum(load.stored for load in one.loads), ", ".join(str(load.load_id) for load in one.loads),
         one.error or "answered")
        for one in outcome.done[:_MAX_SHOWN]
    ]  # fmt: skip
    return {
        "requests": len(outcome.planned),
        "asked_minutes": outcome.asked_minutes,
        "filled_minutes": outcome.filled_minutes,
        "remaining_minutes": outcome.remaining_minutes,
        "failed_requests": len(outcome.failures),
        "planned": dg.MetadataValue.md(
            markdown_table(["request", "minutes"], planned) if planned else "Nothing to fill."
        ),
        "done": dg.MetadataValue.md(
            markdown_table(["request", "rows stored", "loads", "outcome"], done) if done else "Nothing was asked."
        ),
        "remaining": dg.MetadataValue.md(_gap_table(list(outcome.remaining))),
    }


def scope_of(config: BackfillConfig) -> "Scope":
    """Give the part of the ledger that a configuration names.

    Raises
    ------
    ConfigurationError
        If a date cannot be read.

    """
    from pipeline_defs.gaps.ledger import Scope  # noqa: PLC0415 -- only a run needs it

    return Scope(
        config.dataset or None,
        config.source.replace("-", "_") or None,
        _date(config.first_date, "first_date"),
        _date(config.last_date, "last_date"),
    )


def _date(text: str, name: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        raise ConfigurationError(f"{text!r} is not a date, expected YYYY-MM-DD", where=name) from None
