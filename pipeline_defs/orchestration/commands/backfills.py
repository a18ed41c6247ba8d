"""``backfill``: what ``pipeline backfill`` runs; the asset `gaps/backfill` is told of it, and can do the same."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from pipeline_defs.orchestration.assets.gaps import (
    BACKFILL_KEY,
    BackfillConfig,
    describe_backfill,
    refuse_failures,
    scope_of,
)
from pipeline_defs.orchestration.commands.telling import failures_told
from pipeline_defs.orchestration.pools import ASKING_STEP
from pipeline_defs.orchestration.resources import WAREHOUSE, WarehouseResource, open_warehouse_of
from pipeline_defs.settings import load_settings

if TYPE_CHECKING:
    from pipeline_defs.gaps.ledger import Scope


def config_of(scope: "Scope", *, ask_again: bool) -> dict[str, Any]:
    """Give a part of the ledger as a run's configuration: `scope_of` reads the same from it."""
    said = {
        "dataset": scope.dataset,
        "source": scope.source,
        "first_date": scope.first and scope.first.isoformat(),
        "last_date": scope.last and scope.last.isoformat(),
    }
    return {"ask_again": ask_again, **{name: value for name, value in said.items() if value}}


@dg.op(
    name="fill",
    description="Import exactly what the gap ledger says is missing and can be had.",
    tags=ASKING_STEP,
    required_resource_keys={WAREHOUSE},
    out=dg.Out(dg.Nothing),
)
def backfill_op(context: dg.OpExecutionContext, config: BackfillConfig) -> Iterator[Any]:
    """Fill the gaps; the listener hears of each request before it is made, and of the outcome."""
    from pipeline_defs.gaps.backfilling import Backfiller  # noqa: PLC0415 -- imports polars
    from pipeline_defs.gaps.supply import Supplies  # noqa: PLC0415

    with failures_told(context) as listener:
        filler = Backfiller(
            open_warehouse_of(context.resources),
            Supplies(load_settings()),
            dagster_run_id=context.run_id,
            on_progress=listener.on_result,
        )
        outcome = filler.run(scope_of(config), dry_run=config.dry_run, ask_again=config.ask_again)
        listener.on_result(outcome)
    metadata = describe_backfill(outcome)
    yield dg.AssetMaterialization(BACKFILL_KEY, metadata=metadata)
    with failures_told(context):
        refuse_failures(outcome)
    yield dg.Output(None, metadata=metadata)


BACKFILL_JOB: Final = dg.GraphDefinition(name="backfill", node_defs=[backfill_op]).to_job(
    description="What 'pipeline backfill' runs: exactly what is missing and can be had.",
    resource_defs={WAREHOUSE: WarehouseResource()},
    executor_def=dg.in_process_executor,
)
