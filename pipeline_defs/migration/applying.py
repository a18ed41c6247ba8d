"""Carrying a plan out: bundle by bundle, each reconciled before it counts as done, and taken up where a run stopped.

What can be decided without the database is decided first; then the plan is written to the ledger, and each bundle is
moved by `pipeline_defs.migration.moving`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pipeline_defs.markets.market import market
from pipeline_defs.migration import ledger
from pipeline_defs.migration.assembling import digest_of
from pipeline_defs.migration.moving import OLD_FILES, Mover, Registered
from pipeline_defs.migration.naming import bundle_name, describe_contracts, source_name
from pipeline_defs.migration.stamping import stamps_of
from pipeline_defs.progress import ignore
from pipeline_defs.schema.tables import DAY
from pipeline_defs.warehouse.faults import PersistentConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import psycopg

    from pipeline_defs.migration.moving import Outcome, Readers
    from pipeline_defs.migration.plan import BundlePlan, Plan
    from pipeline_defs.migration.stamping import Stamps
    from pipeline_defs.progress import OnProgress
    from pipeline_defs.warehouse.connection import Warehouse

UNKNOWN_STAMPS: Final = "stamps_unknown"
SHARED_INSTRUMENT: Final = "instrument_shared"
SOURCE_TAKEN: Final = "source_taken"

REASONS: Final[dict[str, str]] = {
    UNKNOWN_STAMPS: "Nothing tells whether its minutes are stamped at their start or at their end.",
    SHARED_INSTRUMENT: "Two of its symbols are one instrument: their bars would be each other's duplicates.",
    SOURCE_TAKEN: "A bundle of another store, or a name that differs in hyphens only, is stored under its source.",
}
"""Why a bundle that the plan takes is quarantined after all."""


def prepare(plan: BundlePlan, stamps: Mapping[str, Stamps]) -> tuple[BundlePlan, Stamps | None]:
    """Decide what can be decided without the database about a bundle that is to be taken.

    Parameters
    ----------
    plan : BundlePlan
        As planned.
    stamps : mapping of str to {"start", "end"}
        What a user said of the minutes of bundles.

    Returns
    -------
    tuple
        The plan, quarantined if it cannot be taken after all, and which end of a minute its stamps name.

    """
    if plan.decision != "take":
        return plan, None
    shared = _shared_instrument(plan)
    if shared is not None:
        return _quarantined(
            plan,
            SHARED_INSTRUMENT,
            f"{shared[0]} and {shared[1]} are one instrument",
            "migrate it after one of the two is taken out of the bundle",
        ), None
    if all(series.bar_seconds >= DAY for series in plan.series):
        return plan, None
    found = stamps.get(plan.name) or stamps_of(plan, market(str(plan.market)))
    if found is None:
        return _quarantined(
            plan,
            UNKNOWN_STAMPS,
            "its minutes begin within a session, and nothing tells which end of a minute their stamps name",
            f"say it: --stamps {plan.name}=start, or =end",
        ), None
    return plan, found


def foresee(plan: Plan, stamps: Mapping[str, Stamps] | None = None) -> Plan:
    """Give the plan as it would be carried out, without a database: what `prepare` quarantines is quarantined in it."""
    return replace(
        plan,
        bundles=tuple(prepare(one, stamps or {})[0] for one in plan.bundles),
        caches=tuple(prepare(one, stamps or {})[0] for one in plan.caches),
    )


def apply_plan(
    warehouse: Warehouse,
    plan: Plan,
    readers: Readers = OLD_FILES,
    *,
    system: str = "rustybt",
    stamps: Mapping[str, Stamps] | None = None,
    dagster_run_id: str | None = None,
    on_progress: OnProgress = ignore,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Move in what a plan takes; what was moved in before stays as it is.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    plan : Plan
        Of one store.
    readers : Readers, optional
        That read its files; default those of old stores.
    system : str, default "rustybt"
        First part of the sources' names.
    stamps : mapping of str to {"start", "end"}, optional
        Which end of a minute the stamps of a bundle name, where a user knows.
    dagster_run_id : str, optional
        Recorded with each load.
    on_progress : callable, optional
        Told before each step.
    on_outcome : callable, optional
        Told of each bundle when it is finished with.

    Returns
    -------
    list of Outcome
        One for each bundle and cached answer of the plan.

    Raises
    ------
    WarehouseError
        If the database failed. What was stored stays, and the next run continues.

    """
    outcomes = []
    with ledger.one_at_a_time(warehouse), PersistentConnection(warehouse) as connection:
        prepared = [prepare(one, stamps or {}) for one in (*plan.bundles, *plan.caches)]

        def register(session: psycopg.Connection) -> list[Registered]:
            with session.transaction():
                store_id = ledger.register_store(session, system, plan)
                return [_register(session, store_id, one, system, ends) for one, ends in prepared]

        mover = Mover(connection, readers, system, dagster_run_id, on_progress)
        for registered in connection.run(register, f"plan of {plan.store.root}"):
            outcomes.append(mover.move(registered))
            on_outcome(outcomes[-1])
    return outcomes


def is_left_cache(outcome: Outcome) -> bool:
    """Tell whether it is a cached answer that stays where it is."""
    return outcome.entry.state == "quarantined" and outcome.entry.kind == "cache"


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """Give what a script is to know of a run.

    Parameters
    ----------
    outcomes : iterable of Outcome
        Of what was asked for: cached answers only if they were.

    Returns
    -------
    int
        0 when every bundle is in, with every bar; 1 when one failed; 3 when a bundle or a bar is left in quarantine.

    """
    meant = list(outcomes)
    if any(one.is_failed for one in meant):
        return 1
    return 3 if any(one.entry.state == "quarantined" or one.left_out for one in meant) else 0


def _register(
    session: psycopg.Connection, store_id: int, plan: BundlePlan, system: str, stamps: Stamps | None
) -> Registered:
    source = name = None
    if plan.decision == "take":
        source, name = source_name(system, str(plan.market), plan.name), bundle_name(plan.name)
        other = ledger.taken_by(session, store_id, plan.name, source)
        if other is not None:
            plan = _quarantined(
                plan,
                SOURCE_TAKEN,
                f"{source} is the bundle {other[1]} of {other[0]}",
                "roll that one back, or rename the folder of this one",
            )
    digest = digest_of(plan, stamps)
    entry = ledger.register_bundle(
        session, store_id, plan, source=source, bundle_name=name, stamps=stamps, digest=digest
    )
    return Registered(plan, entry, digest)


def _shared_instrument(plan: BundlePlan) -> tuple[str, str] | None:
    """Find two symbols of a bundle that are one instrument."""
    for seconds in {series.bar_seconds for series in plan.series}:
        known: dict[tuple[object, ...], str] = {}
        terms = describe_contracts(plan, plan.of_length(seconds))
        identity = terms.select("kind", "underlying", "venue", "series").iter_rows()
        for symbol, same in zip(terms["symbol"], identity, strict=True):
            if known.setdefault(same, symbol) != symbol:
                return known[same], symbol
    return None


def _quarantined(plan: BundlePlan, reason: str, detail: str, next_step: str) -> BundlePlan:
    return replace(plan, decision="quarantine", reason=reason, detail=detail, next_step=next_step)
