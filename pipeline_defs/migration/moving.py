"""Moving one bundle: read, stored step by step, reconciled, and given its name; taken up where a run stopped.

Every step (a year of daily bars, a month of minutes) is one transaction of the import path. What is stored is
remembered by its loads, so that a run that was killed at any instant is continued by the next, which stores the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import SourceError
from pipeline_defs.migration import ledger
from pipeline_defs.migration.assembling import Assembly, layout_of, open_spools
from pipeline_defs.migration.reading import check_unchanged, read_actions, read_series
from pipeline_defs.migration.reconciling import count_left_out, reconcile
from pipeline_defs.progress import Step
from pipeline_defs.schema.batches import SourceMetadata
from pipeline_defs.warehouse.loading_days import import_days
from pipeline_defs.warehouse.named_bundles import BundleMember, add_to_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import polars as pl
    import psycopg

    from pipeline_defs.migration.frames import SeriesChunk
    from pipeline_defs.migration.ledger import Entry
    from pipeline_defs.migration.plan import BundlePlan
    from pipeline_defs.progress import OnProgress
    from pipeline_defs.warehouse.faults import PersistentConnection

CHANGED: Final = "changed"
NOT_RECONCILED: Final = "not_reconciled"
UNREADABLE: Final = "unreadable"

REASONS: Final[dict[str, str]] = {
    CHANGED: "It was moved in, or begun, from other files or with other settings.",
    NOT_RECONCILED: "What is stored and refused is not what was found in its files.",
    UNREADABLE: "Its files could not be read to the end.",
}
"""Why moving a bundle fails."""

_MAX_SHOWN: Final = 5

_FINISH: Final = """
UPDATE migrated_bundles SET state = 'done', rows_stored = %(stored)s, rows_quarantined = %(quarantined)s,
                            finished_at = clock_timestamp()
WHERE bundle_id = %(bundle_id)s
"""

_MEMBERS: Final = """
SELECT symbol, instrument_id, dataset, bar_seconds FROM migrated_series
WHERE bundle_id = %(bundle_id)s AND instrument_id IS NOT NULL ORDER BY symbol, bar_seconds
"""


@dataclass(frozen=True, slots=True)
class Registered:
    """A bundle with what the ledger has of it.

    Parameters
    ----------
    plan : BundlePlan
        What is found now.
    entry : Entry
        What the ledger says.
    digest : str
        Of what is found now; the ledger's is that of what was begun.

    """

    plan: BundlePlan
    entry: Entry
    digest: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one bundle in a run.

    Parameters
    ----------
    entry : Entry
        As the ledger has it afterwards.
    was_done : bool
        It was moved in before, and nothing was to be done.
    stored_now : int
        Rows that this run stored.
    left_out : int
        Bars and lines of a bundle that is done which are in no table, but for days without a trade and repetitions.

    """

    entry: Entry
    was_done: bool = False
    stored_now: int = 0
    left_out: int = 0

    @property
    def is_failed(self) -> bool:
        """Whether it is neither there nor left out for a reason."""
        return self.entry.state not in {"done", "quarantined"}

    def to_lines(self) -> list[str]:
        """Say it to people: one line, and a second one with what to do where there is something to do."""
        one = self.entry
        if one.state == "done":
            how = f"{one.rows_stored:,} rows" + (", moved in before" if self.was_done else "")
            rest = (one.rows_quarantined or 0) + one.lines_refused
            refused = f", {rest:,} quarantined" if rest else ""
            return [f"done         {one.name:<24} {one.source}  {how}{refused}"]
        return [f"{one.state:<11}  {one.name:<24} {one.reason}: {one.detail}", f"             Next: {one.next_step}"]

    def to_json(self) -> dict[str, Any]:
        """Give the shape that ``pipeline migrate --json`` prints."""
        one = self.entry
        return {
            "bundle": one.name,
            "source": one.source,
            "named_bundle": one.bundle_name,
            "market": one.market,
            "stamps": one.stamps,
            "state": one.state,
            "was_done": self.was_done,
            "reason": one.reason,
            "detail": one.detail,
            "next_step": one.next_step,
            "rows_found": one.rows_found,
            "rows_stored": one.rows_stored,
            "rows_quarantined": one.rows_quarantined,
            "lines_refused": one.lines_refused,
            "stored_now": self.stored_now,
            "left_out": self.left_out,
        }


@dataclass(frozen=True, slots=True)
class Readers:
    """How the files of a planned bundle are read.

    Parameters
    ----------
    series : callable
        From a plan to its bars and unreadable lines, a `SeriesChunk` at a time.
    actions : callable
        From a plan to its corporate actions, `ACTION_SCHEMA`.

    """

    series: Callable[[BundlePlan], Iterable[SeriesChunk]]
    actions: Callable[[BundlePlan], pl.DataFrame]


def read_files(plan: BundlePlan) -> Iterable[SeriesChunk]:
    """Read the bars of a bundle from its files, once they were seen to be those that were planned."""
    check_unchanged(plan)
    for bar_seconds in plan.bundle.bar_lengths:
        yield from read_series(plan, bar_seconds)


OLD_FILES: Final = Readers(read_files, read_actions)
"""The readers of what old stores hold."""


@dataclass(frozen=True, slots=True)
class Mover:
    """Moves bundles.

    Parameters
    ----------
    connection : PersistentConnection
        To the warehouse, while the migration's lock is held.
    readers : Readers
        Of the old files.
    system : str
        Whose store it is.
    dagster_run_id : str or None
        Recorded with each load.
    on_progress : callable
        Told before each step.

    """

    connection: PersistentConnection
    readers: Readers
    system: str
    dagster_run_id: str | None
    on_progress: OnProgress

    def move(self, registered: Registered) -> Outcome:
        """Bring a bundle to where the plan wants it.

        Parameters
        ----------
        registered : Registered
            Planned, begun, or done before.

        Returns
        -------
        Outcome

        Raises
        ------
        WarehouseError
            If the database failed.

        """
        plan, entry = registered.plan, registered.entry
        if entry.state == "quarantined":
            return Outcome(entry)
        if entry.state == "done" and (plan.decision != "take" or entry.digest == registered.digest):
            left_out = self.connection.run(
                lambda session: count_left_out(session, entry.bundle_id), f"bundle {entry.name}"
            )
            return Outcome(entry, was_done=True, left_out=left_out)
        if plan.decision != "take" or entry.digest != registered.digest:
            return self._changed(registered)
        self.connection.run(lambda session: ledger.begin_bundle(session, entry.bundle_id), f"bundle {entry.name}")
        try:
            stored = self._store(plan, entry)
        except SourceError as error:
            return self._failed(entry, UNREADABLE, str(error), error.next_step or "mend the cause and run it again")
        return self._finish(entry, stored)

    def _store(self, plan: BundlePlan, entry: Entry) -> int:
        """Read the files, and store what is not there yet; give the number of rows."""
        self.on_progress(Step(f"{plan.name}: reading", 0, plan.rows))
        rows, refused = open_spools()
        stored = done = 0
        with rows, refused:
            assembly = Assembly(plan, entry.stamps, rows, refused)
            assembly.read(self.readers.series(plan))

            def begin(session: psycopg.Connection) -> set[tuple[str, int, Any]]:
                with session.transaction():
                    ledger.plan_series(session, entry.bundle_id, assembly)
                    return ledger.loaded_days(session, str(entry.source), entry.digest)

            loaded = self.connection.run(begin, f"bundle {entry.name}")
            for batch in assembly.batches(self.readers.actions(plan)):
                missing = [day for day in batch.days if (batch.table, batch.bar_seconds, day) not in loaded]
                self.on_progress(Step(f"{plan.name}: storing {batch.table} {batch.days[-1]}", done, plan.rows))
                done += batch.observations.height + batch.rejects.height
                if missing:
                    part = batch if len(missing) == len(batch.days) else batch.only(missing)
                    told = self._metadata(plan, entry)
                    stored += import_days(self.connection, told, part, dagster_run_id=self.dagster_run_id)
        self.on_progress(Step(f"{plan.name}: reconciling", plan.rows, plan.rows))
        return stored

    def _metadata(self, plan: BundlePlan, entry: Entry) -> SourceMetadata:
        return SourceMetadata(
            source=str(entry.source),
            source_type="file",
            source_url=plan.bundle.folder.absolute().as_uri(),
            api_version=f"{self.system} {layout_of(plan)}",
            supports_live=False,
        )

    def _finish(self, entry: Entry, stored: int) -> Outcome:
        """Hold what is stored against what was found; only what adds up is done."""

        def finish(session: psycopg.Connection) -> str | int:
            with session.transaction():
                held = reconcile(session, entry.bundle_id, str(entry.source))
                wrong = [str(one) for one in held.differences]
                if held.lines != entry.lines_refused:
                    wrong.append(f"{entry.lines_refused} lines that are no bar in the files, {held.lines} here")
                if wrong:
                    more = f" and {len(wrong) - _MAX_SHOWN} more" if len(wrong) > _MAX_SHOWN else ""
                    return "; ".join(wrong[:_MAX_SHOWN]) + more
                members = [
                    BundleMember(symbol, instrument_id, str(entry.source), dataset, bar_seconds)
                    for symbol, instrument_id, dataset, bar_seconds in session.execute(
                        _MEMBERS, {"bundle_id": entry.bundle_id}
                    )
                ]
                add_to_bundle(session, str(entry.bundle_name), members)
                counts = {"stored": held.stored, "quarantined": held.quarantined}
                session.execute(_FINISH, {"bundle_id": entry.bundle_id, **counts})
                return held.left_out

        ended = self.connection.run(finish, f"bundle {entry.name}")
        if isinstance(ended, str):
            return self._failed(
                entry,
                NOT_RECONCILED,
                ended,
                f"roll it back with 'pipeline migrate {self.system} --roll-back --bundle {entry.name}' and report it",
                stored,
            )
        return Outcome(self._read(entry), stored_now=stored, left_out=ended)

    def _changed(self, registered: Registered) -> Outcome:
        plan, entry = registered.plan, registered.entry
        what = (
            f"it was begun as {entry.source}, and its files or the settings of the migration are others now"
            if plan.decision == "take"
            else f"it was begun as {entry.source}, and would be quarantined now: {plan.reason}: {plan.detail}"
        )
        return self._failed(
            entry,
            CHANGED,
            what,
            f"roll it back with 'pipeline migrate {self.system} --roll-back --bundle {entry.name}', then migrate again",
            keep=entry.state == "done",
        )

    def _failed(
        self, entry: Entry, reason: str, detail: str, next_step: str, stored: int = 0, *, keep: bool = False
    ) -> Outcome:
        """Note a failure; what is done stays done in the ledger, whatever its files are now."""
        failed = replace(entry, state="failed", reason=reason, detail=detail, next_step=next_step)
        if not keep:
            self.connection.run(
                lambda session: ledger.fail_bundle(
                    session, entry.bundle_id, reason=reason, detail=detail, next_step=next_step
                ),
                f"bundle {entry.name}",
            )
        return Outcome(failed, stored_now=stored)

    def _read(self, entry: Entry) -> Entry:
        return self.connection.run(
            lambda session: ledger.read_entry_by_id(session, entry.bundle_id), f"bundle {entry.name}"
        )
