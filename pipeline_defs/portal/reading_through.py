"""Live mode's stale end: what is due and not stored is imported first, by the one import path, and then read.

Whether a session is fresh is decided by `freshness`, what is missing is asked for as by any other import; here it is
only said when to look. A look that found everything stored is not repeated before another bar can be complete.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.freshness.deciding import SETTLING, Hit, Missing, NotDue, fresh
from pipeline_defs.portal.errors import StaleDataError
from pipeline_defs.schema.batches import ImportRequest, Source
from pipeline_defs.schema.tables import DAY
from pipeline_defs.sources.asking.source import ApiSource
from pipeline_defs.sources.registry import api_sources, get_source
from pipeline_defs.warehouse.deliveries import Ledger
from pipeline_defs.warehouse.faults import PersistentConnection
from pipeline_defs.warehouse.loading import import_source

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pipeline_defs.freshness.deciding import Verdict
    from pipeline_defs.sources.asking.questions import Dataset
    from pipeline_defs.warehouse.connection import Warehouse

_AGAIN: Final = dt.timedelta(minutes=1)
"""After a look at a session that does not run."""

_SOON: Final = dt.timedelta(seconds=5)
"""After a look at one of which something is still missing."""

_FIRST_DAY: Final = """
SELECT min(trade_date) FROM loads
WHERE source = %s AND dataset = %s AND bar_seconds = %s AND status <> 'rejected'
"""


@dataclass
class ReadThrough:
    """Keeps the end of what is stored fresh.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    clock : callable
        Tells the time, also to sources that are made here.
    given : Source or None
        The one source that is asked; None for whichever the instruments come from.

    """

    warehouse: Warehouse
    clock: Callable[[], dt.datetime]
    given: Source | None = None
    imports: int = field(default=0, init=False)
    """Imports made so far."""
    left_out: dict[str, str] = field(default_factory=dict, init=False)
    """Sources that are not asked, and why: their universe names nothing."""
    _made: dict[str, ApiSource] = field(default_factory=dict, init=False, repr=False)
    _looked: dict[tuple[str, str], tuple[dt.date, dt.datetime, dt.datetime]] = field(
        default_factory=dict, init=False, repr=False
    )

    def bring_up(self, names: Collection[str], first: dt.date) -> None:
        """Import what is missing of the sessions from a day to now.

        Parameters
        ----------
        names : collection of str
            Sources; those that cannot be asked are left alone.
        first : datetime.date
            The first trade date that is about to be read. What was never stored is not a stale end: history of before
            the first stored session is left to a backfill.

        Raises
        ------
        StaleDataError
            If a source did not give what is missing; nothing stale is handed out instead.
        ConfigurationError
            If the one source that was given wants nothing, or lacks a credential.

        """
        for source in self._asked(names):
            try:
                datasets = source.datasets_wanted()
            except ConfigurationError as reason:
                if self.given is not None:
                    raise
                self.left_out[source.name] = reason.what
                continue
            for dataset in datasets:
                self._look(source, dataset, first)

    def _asked(self, names: Collection[str]) -> list[ApiSource]:
        if self.given is not None:
            return [self.given] if isinstance(self.given, ApiSource) else []
        asked = []
        for name in sorted(set(names) & set(api_sources()) - set(self.left_out)):
            if name not in self._made:
                made = get_source(name, clock=self.clock)
                if not isinstance(made, ApiSource):  # a plug-in that answers otherwise than ours
                    self.left_out[name] = "it cannot be asked for days"
                    continue
                self._made[name] = made
            asked.append(self._made[name])
        return asked

    def _look(self, source: ApiSource, dataset: Dataset, first: dt.date) -> None:
        now = self.clock().astimezone(dt.UTC)
        key = source.name, f"{dataset.table}/{dataset.bar_seconds}"
        looked = self._looked.get(key)
        if looked is not None and looked[0] <= first and looked[1] <= now < looked[2]:
            return
        today = source.market.trade_date(now)
        with PersistentConnection(self.warehouse) as connection:
            metadata = source.get_metadata()
            stored = connection.run(
                lambda one: one.execute(_FIRST_DAY, [source.name, dataset.table, dataset.bar_seconds]).fetchone(),
                "the first stored session",
            )
            begin = min(max(first, (stored and stored[0]) or first), today)
            ledger = Ledger(connection, metadata, None, None)
            days = source.market.sessions(begin, today)
            parts = source.partitions(dataset, days)
            verdicts = {day: fresh(part, now, ledger, dt.timedelta(0)) for day, part in parts.items()}
        missing = [day for day, verdict in verdicts.items() if isinstance(verdict, Missing)]
        if missing:
            self._import(source, dataset, missing)
        self._looked[key] = (
            min(first, begin),
            now,
            _next_look(verdicts.get(today), dataset, now, is_stale=bool(missing)),
        )

    def _import(self, source: ApiSource, dataset: Dataset, missing: list[dt.date]) -> None:
        request = ImportRequest(missing[0], missing[-1], tables=frozenset({dataset.table}), allowance=dt.timedelta(0))
        self.imports += 1
        try:
            for _ in import_source(self.warehouse, source, request):
                pass
        except SourceError as error:
            raise StaleDataError(
                f"what is missing could not be had: {error.what}",
                where=f"{source.name} {dataset.table} {missing[0]} to {missing[-1]}",
                next_step="ask again when the source answers; 'as_of' reads what is stored, as it is",
            ) from error


def _next_look(verdict: Verdict | None, dataset: Dataset, now: dt.datetime, *, is_stale: bool) -> dt.datetime:
    """Say when something more can be there: after the bar that is running, or in a while."""
    if isinstance(verdict, NotDue) and verdict.due_at is not None and verdict.due_at > now:
        return min(verdict.due_at, now + _AGAIN)
    runs = isinstance(verdict, Missing) and not verdict.is_whole
    runs = runs or (isinstance(verdict, Hit) and verdict.until is not None)
    if runs and dataset.bar_seconds < DAY:
        length = dt.timedelta(seconds=min(max(dataset.bar_seconds, 1), 60))
        epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
        return epoch + ((now - SETTLING - epoch) // length + 1) * length + SETTLING
    return now + (_SOON if is_stale else _AGAIN)
