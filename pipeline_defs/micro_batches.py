"""Part of a running session: what an API completed since the last bar that is stored.

One import of the present day, in which what is stored may be no older than it must be. What is missing is decided,
asked and stored as for every other import; when to look is decided by whoever calls. Joins `sources` and `warehouse`.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from pipeline_defs.errors import ConfigurationError, MarketRuleError
from pipeline_defs.freshness.deciding import NotDue, NothingKnown, fresh
from pipeline_defs.markets.running import running_session
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.schema.tables import DAY, TICK
from pipeline_defs.warehouse.loading import import_source

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pipeline_defs.sources.asking.questions import Dataset
    from pipeline_defs.sources.asking.source import ApiSource
    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.reports import LoadReport


def intraday_datasets(source: ApiSource, tables: Collection[str] | None = None) -> list[Dataset]:
    """List what a source can be asked for while a session runs: wanted bars that are shorter than a day.

    Parameters
    ----------
    source : ApiSource
        With a universe.
    tables : collection of str, optional
        Only these.

    Returns
    -------
    list of Dataset
        With the lengths that the universe names.

    Raises
    ------
    ConfigurationError
        If there is none.

    """
    found = [one for one in source.datasets_wanted(tables) if TICK < one.bar_seconds < DAY]
    if not found:
        of = "any table" if tables is None else ", ".join(sorted(tables))
        raise ConfigurationError(
            f"the universe wants no bars of {source.name} within the day for {of}",
            next_step="name instruments, and bars shorter than a day; docs/universe.md shows how",
        )
    return found


def store_completed(
    warehouse: Warehouse,
    source: ApiSource,
    tables: Collection[str] | None = None,
    *,
    dagster_run_id: str | None = None,
) -> Iterator[LoadReport]:
    """Ask for the bars of the running session that were completed since the last stored one, and store them.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    source : ApiSource
        Whose clock tells the time.
    tables : collection of str, optional
        Only these; default all that are wanted.
    dagster_run_id : str, optional
        Recorded with the loads.

    Yields
    ------
    LoadReport
        At least one for each table whose session runs and has a complete bar: a hit where every complete bar is stored.

    Raises
    ------
    MarketRuleError
        If there is no such table, with the reason: a holiday, before the open or the first bar, after the close.
    ConfigurationError
        If nothing is wanted within the day, or a credential is missing.
    SourceError
        If a question stays without an answer; what was answered before is stored.

    """
    now = source.clock()
    day = source.market.trade_date(now)
    running: set[str] = set()
    reasons: list[MarketRuleError] = []
    for dataset in intraday_datasets(source, tables):
        try:
            running_session(source.market, now, dt.timedelta(seconds=dataset.delay_seconds))
            _refuse_before_its_first_bar(source, dataset, day, now)
        except MarketRuleError as reason:
            reasons.append(reason)
        else:
            running.add(dataset.table)
    if not running:
        raise reasons[0]
    request = ImportRequest(day, day, tables=frozenset(running), allowance=dt.timedelta(0))
    yield from import_source(warehouse, source, request, dagster_run_id=dagster_run_id)


def _refuse_before_its_first_bar(source: ApiSource, dataset: Dataset, day: dt.date, now: dt.datetime) -> None:
    (partition,) = source.partitions(dataset, [day]).values()
    verdict = fresh(partition, now, NothingKnown())
    if isinstance(verdict, NotDue):
        when = "" if verdict.due_at is None else f", but will have one at {verdict.due_at:%H:%M:%S} UTC"
        raise MarketRuleError(f"{dataset.table} {day}: {verdict.reason}{when}", next_step="look again then")
