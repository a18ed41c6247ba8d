"""Fill exactly the gaps that can be filled, through the one import path, and say what came of it.

A source that is asked again and answers the same is remembered for it, so that nobody asks for ever. A source that
could not be asked is not: its gaps stay fillable.
"""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import NothingGivenError, PipelineError
from pipeline_defs.gaps.assessing import Assessment, assess
from pipeline_defs.gaps.ledger import Gap, Scope, list_gaps
from pipeline_defs.gaps.planning import Refill, plan_refills
from pipeline_defs.gaps.remembering import PartitionKey, asked_before, keep_marks, narrow, remember
from pipeline_defs.gaps.series import Series
from pipeline_defs.gaps.supply import FileSupply, Supplies
from pipeline_defs.schema.batches import ImportRequest, Source
from pipeline_defs.scratch import scratch
from pipeline_defs.storage.raw_archive import open_raw_archive
from pipeline_defs.warehouse.loading import import_source
from pipeline_defs.warehouse.reports import LoadReport, refuse_damage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline_defs.schema.batches import ImportBatch, SourceMetadata
    from pipeline_defs.warehouse.connection import Warehouse

_CHANGES_BY_ITSELF: Final = ("source_missing", "not_yet_due")
"""Causes that the passing of time, or a file that arrives, turns into another."""


@dataclass(frozen=True, slots=True)
class Refilled:
    """What came of one request.

    Parameters
    ----------
    refill : Refill
        What was asked.
    loads : tuple of LoadReport
        What was stored.
    error : str or None
        Why the source could not be asked, or its answer not be stored; None when it answered.

    """

    refill: Refill
    loads: tuple[LoadReport, ...]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Backfill:
    """What a backfill did.

    Parameters
    ----------
    planned : tuple of Refill
        The requests.
    done : tuple of Refilled
        What came of each; empty after a dry run.
    assessments : tuple of Assessment
        Of the days that were touched, afterwards.
    filled_minutes : int
        How many minutes those days hold more than before.
    remaining : tuple of Gap
        Gaps that were asked about and are still there, or whose rows were refused.

    """

    planned: tuple[Refill, ...]
    done: tuple[Refilled, ...] = ()
    assessments: tuple[Assessment, ...] = ()
    filled_minutes: int = 0
    remaining: tuple[Gap, ...] = ()

    @property
    def asked_minutes(self) -> int:
        """Minutes that were to be filled."""
        return sum(refill.minutes for refill in self.planned)

    @property
    def remaining_minutes(self) -> int:
        """Minutes that are still missing of those."""
        return sum(gap.minutes for gap in self.remaining)

    @property
    def failures(self) -> list[Refilled]:
        """Requests that failed."""
        return [one for one in self.done if one.error is not None]


@dataclass(slots=True)
class Backfiller:
    """Fills gaps.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    supplies : Supplies
        What the sources can give.
    clock : callable
        Tells the time, UTC.
    dagster_run_id : str or None
        Recorded with each load.
    on_progress : callable, optional
        Called with each request before it is made.

    """

    warehouse: Warehouse
    supplies: Supplies
    clock: Callable[[], dt.datetime] = field(default=lambda: dt.datetime.now(dt.UTC))
    dagster_run_id: str | None = None
    on_progress: Callable[[Refill], None] | None = None

    def run(self, scope: Scope, *, dry_run: bool = False, ask_again: bool = False) -> Backfill:
        """Fill what the ledger says can be filled.

        Parameters
        ----------
        scope : Scope
            Which part of it.
        dry_run : bool, default False
            Plan only.
        ask_again : bool, default False
            Also ask for what a source was asked for before and did not have.

        Returns
        -------
        Backfill
            Failures of single requests are in it; the others are made all the same.

        Raises
        ------
        WarehouseError
            If the server refused.

        """
        stale = {_partition(gap) for gap in list_gaps(self.warehouse, scope, causes=_CHANGES_BY_ITSELF)}
        if ask_again:
            stale |= asked_before(self.warehouse, scope)
        before = {_key(one): one.present_minutes for one in self._assess(stale, ask_again=ask_again)}
        fillable = list_gaps(self.warehouse, scope, only_fillable=True)
        planned = tuple(plan_refills(self.warehouse, fillable, self.supplies))
        if dry_run:
            if ask_again:
                self._assess(stale)
            return Backfill(planned)
        done = tuple(self._refill(refill) for refill in planned)
        touched = {_partition(gap) for gap in fillable}
        assessments = self._assess(touched)
        narrow(self.warehouse, touched)
        filled = sum(one.present_minutes - before[_key(one)] for one in assessments)
        left = list_gaps(self.warehouse, scope, causes=("source_missing", "quarantined"))
        asked: dict[PartitionKey, list[Gap]] = {}
        for gap in fillable:
            asked.setdefault(_partition(gap), []).append(gap)
        remaining = tuple(gap for gap in left if any(_is_of(gap, one) for one in asked.get(_partition(gap), ())))
        return Backfill(planned, done, tuple(assessments), filled, remaining)

    def _assess(self, partitions: set[PartitionKey], *, ask_again: bool = False) -> list[Assessment]:
        wanted = [(Series(table, source, seconds, day, day), day) for table, source, seconds, day in sorted(partitions)]
        return list(assess(self.warehouse, wanted, supplies=self.supplies, now=self.clock(), ask_again=ask_again))

    def _refill(self, refill: Refill) -> Refilled:
        if self.on_progress is not None:
            self.on_progress(refill)
        # What was there before the question is what answered it: a file that arrives meanwhile is worth another try.
        supply = self.supplies.of(refill.source)
        fingerprints = {gap.trade_date: supply.fingerprint(gap.trade_date) for gap in refill.gaps}
        reports: list[LoadReport] = []
        error = None
        try:
            with self._source(refill) as source:
                request = ImportRequest(
                    refill.first,
                    refill.last,
                    tables=refill.tables,
                    symbols=refill.symbols,
                    archive=open_raw_archive(self.supplies.settings, refill.source),
                )
                # The ledger of deliveries takes these days for held: it is not asked.
                reports.extend(
                    import_source(
                        self.warehouse,
                        _Narrowed(source, refill.kinds),
                        request,
                        dagster_run_id=self.dagster_run_id,
                        reread=True,
                    )
                )
            refuse_damage(reports)
        except NothingGivenError:
            pass  # an answer, too
        except PipelineError as failure:
            error = str(failure)
        if error is None:
            remember(self.warehouse, refill.gaps, fingerprints)
        if refill.symbols is not None:
            keep_marks(self.warehouse, reports)
        return Refilled(refill, tuple(reports), error)

    @contextmanager
    def _source(self, refill: Refill) -> Iterator[Source]:
        supply = self.supplies.of(refill.source)
        if not isinstance(supply, FileSupply):
            yield self.supplies.make_source(refill.source)
        elif not refill.is_archived:
            yield self.supplies.make_source(refill.source, path=str(supply.folder))
        else:
            with scratch("backfill") as folder:
                for day in sorted({gap.trade_date for gap in refill.gaps}):
                    supply.restore(day, folder)
                yield self.supplies.make_source(refill.source, path=str(folder))


class _Narrowed(Source):
    """A source that gives only the tables and resolutions that are to be filled."""

    def __init__(self, source: Source, kinds: frozenset[tuple[str, int]]) -> None:
        self.name = source.name
        self._source, self._kinds = source, kinds

    def get_metadata(self) -> SourceMetadata:
        return self._source.get_metadata()

    def fetch(self, request: ImportRequest) -> Iterator[ImportBatch]:
        return (batch for batch in self._source.fetch(request) if (batch.table, batch.bar_seconds) in self._kinds)


def _partition(gap: Gap) -> PartitionKey:
    return gap.dataset, gap.source, gap.bar_seconds, gap.trade_date


def _key(assessment: Assessment) -> PartitionKey:
    return assessment.dataset, assessment.source, assessment.bar_seconds, assessment.trade_date


def _is_of(gap: Gap, asked: Gap) -> bool:
    """Tell whether a gap is a part of one that was asked about."""
    is_same = None in {gap.instrument_id, asked.instrument_id} or gap.instrument_id == asked.instrument_id
    return is_same and gap.gap_start < asked.gap_end and gap.gap_end > asked.gap_start
