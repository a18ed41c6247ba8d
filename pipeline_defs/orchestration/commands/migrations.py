"""``migrate_store``: what ``pipeline migrate`` runs, launchable with the same words from the UI.

Moved-in bundles have no assets, since nothing will ever come after them: what became of each is told on the run.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import dagster as dg
from pydantic import Field

from pipeline_defs.errors import ConfigurationError, WarehouseError
from pipeline_defs.orchestration.commands.telling import failures_told
from pipeline_defs.orchestration.resources import WAREHOUSE, WarehouseResource, open_warehouse_of

if TYPE_CHECKING:
    from pipeline_defs.migration.moving import Outcome
    from pipeline_defs.migration.orders import MigrationOrder

_ENDS: Final = frozenset({"start", "end"})


class MigrationConfig(dg.Config):
    """What to move in; empty is not said."""

    system: str = Field(default="rustybt", description="rustybt (and zipline), or csvdir for one folder of CSV files.")
    root: str = Field(default="", description="The store, or the folder; default ZIPLINE_ROOT or ~/.zipline.")
    cache_root: str = Field(default="", description="The smart cache; default the one beside the store.")
    bundles: list[str] = Field(default=[], description="Only these bundles.")
    markets: dict[str, str] = Field(default={}, description="Where a bundle trades: NSE, US or CRYPTO.")
    stamps: dict[str, str] = Field(default={}, description="Which end of a minute a bundle's stamps name.")
    accept: list[str] = Field(default=[], description="Taken in spite of a checksum that does not fit.")
    take_caches: bool = Field(default=False, description="Take cached answers, too.")
    decimals: int = Field(default=-1, description="Of a folder: what longer prices are rounded to; -1 refuses them.")

    def order(self) -> "MigrationOrder":
        """Give it as the core has it.

        Raises
        ------
        ConfigurationError
            If a word is none of those that there are.

        """
        from pipeline_defs.migration.orders import MigrationOrder  # noqa: PLC0415 -- keeps definitions quick

        wrong = [end for end in self.stamps.values() if end not in _ENDS]
        if wrong or self.system not in {"rustybt", "csvdir"}:
            raise ConfigurationError(
                f"{(wrong or [self.system])[0]!r} is not known", next_step="write start or end; rustybt or csvdir"
            )
        return MigrationOrder(
            system=cast("Any", self.system),
            root=Path(self.root) if self.root else None,
            cache_root=Path(self.cache_root) if self.cache_root else None,
            bundles=tuple(self.bundles),
            markets=self.markets,
            stamps=cast("Any", self.stamps),
            accept=tuple(self.accept),
            take_caches=self.take_caches,
            decimals=self.decimals if self.decimals >= 0 else None,
        )


def config_of(order: "MigrationOrder") -> dict[str, Any]:
    """Give an order as a run's configuration: `MigrationConfig` reads the same order from it."""
    return {
        "system": order.system,
        "root": "" if order.root is None else str(order.root.expanduser().absolute()),
        "cache_root": "" if order.cache_root is None else str(order.cache_root.expanduser().absolute()),
        "bundles": list(order.bundles),
        "markets": dict(order.markets),
        "stamps": dict(order.stamps),
        "accept": list(order.accept),
        "take_caches": order.take_caches,
        "decimals": -1 if order.decimals is None else order.decimals,
    }


@dg.op(
    name="move_store_in",
    description="Move bundles of an old store into the warehouse.",
    required_resource_keys={WAREHOUSE},
    out=dg.Out(dg.Nothing),
)
def migrate_store_op(context: dg.OpExecutionContext, config: MigrationConfig) -> dg.Output[None]:
    """Move in what the plan takes; a bundle that failed fails the run, one that is quarantined is told."""
    from pipeline_defs.migration.applying import apply_plan  # noqa: PLC0415 -- imports polars

    started = time.perf_counter()
    with failures_told(context) as listener:
        order = config.order()

        def hear(outcome: "Outcome") -> None:
            listener.on_result(outcome)
            log = context.log.info if outcome.entry.state == "done" else context.log.warning
            log(" ".join(outcome.to_lines()))

        outcomes = apply_plan(
            open_warehouse_of(context.resources),
            order.plan(),
            system=order.system,
            stamps=order.stamps,
            dagster_run_id=context.run_id,
            on_progress=listener.on_progress,
            on_outcome=hear,
        )
        failed = [one for one in outcomes if one.is_failed]
        if failed:
            raise WarehouseError(
                f"{len(failed)} of {len(outcomes)} bundles failed, the first: {failed[0].entry.detail}",
                where=f"bundle {failed[0].entry.name}",
                next_step=failed[0].entry.next_step,
            )
    return dg.Output(None, metadata=_describe(outcomes, time.perf_counter() - started))


def _describe(outcomes: "list[Outcome]", seconds: float) -> dict[str, Any]:
    done = [one for one in outcomes if one.entry.state == "done"]
    return {
        "bundles_moved_in": len(done),
        "bundles_quarantined": len(outcomes) - len(done),
        "rows_stored": sum(one.stored_now for one in outcomes),
        "rows_left_out": sum(one.left_out for one in outcomes),
        "seconds": round(seconds, 3),
        "bundles": dg.MetadataValue.table(
            [
                dg.TableRecord(
                    {
                        "bundle": one.entry.name,
                        "state": one.entry.state,
                        "source": one.entry.source or "",
                        "rows": one.entry.rows_stored or 0,
                        "left_out": one.left_out,
                        "reason": one.entry.reason or "",
                    }
                )
                for one in outcomes
            ]
            or [dg.TableRecord({"bundle": "none", "state": "", "source": "", "rows": 0, "left_out": 0, "reason": ""})]
        ),
    }


MIGRATE_JOB: Final = dg.GraphDefinition(name="migrate_store", node_defs=[migrate_store_op]).to_job(
    description="What 'pipeline migrate rustybt' and 'pipeline migrate csvdir' run.",
    resource_defs={WAREHOUSE: WarehouseResource()},
    executor_def=dg.in_process_executor,
)
