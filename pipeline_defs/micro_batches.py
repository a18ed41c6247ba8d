"""Part of a running session: what an API completed since the last bar that is stored.

A partition is a session, and half a day is not a day: a micro-batch never claims one. It is a load that speaks of a
window (`loads.window_start`, `window_end`) and takes nothing away; the session's own run, after the close, asks for the
whole day, corrects what was revised and retires what vanished. Joins `sources` and `warehouse`; when to look is decided
by whoever calls.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import ConfigurationError, PipelineError
from pipeline_defs.markets.running import running_session
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.schema.tables import DAY, TICK
from pipeline_defs.sources.asking.assembling import WindowOfAnswers
from pipeline_defs.sources.asking.questions import Answer, Question, Window
from pipeline_defs.sources.asking.source import ApiSource
from pipeline_defs.sources.asking.told import Told
from pipeline_defs.warehouse.days import day_bounds
from pipeline_defs.warehouse.loading import import_source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline_defs.schema.batches import ImportBatch, Source
    from pipeline_defs.sources.asking.questions import Dataset, Listed
    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.reports import LoadReport

SETTLING: Final = dt.timedelta(seconds=10)
"""A bar counts as complete so long after its close: vendors go on writing it for some seconds."""

_INSTANT: Final = dt.timedelta(microseconds=1)

_LAST_BARS: Final = """
SELECT a.symbol, max(o."timestamp") FROM {table} AS o
JOIN instrument_aliases AS a ON a.instrument_id = o.instrument_id AND a.source = o.source
WHERE o.source = %(source)s AND o.bar_seconds = %(bar_seconds)s
  AND o."timestamp" >= %(start)s AND o."timestamp" < %(end)s
GROUP BY a.symbol
"""


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """What one look at a running session gave, of one table and resolution.

    Parameters
    ----------
    table : str
        Observation table.
    bar_seconds : int
        Resolution.
    trade_date : datetime.date
        The session.
    wanted, asked : int
        Instruments of the universe; those of which a bar may have been completed since the last one.
    asked_from, complete_to : datetime.datetime
        Earliest instant that was asked for, and from when on bars are not complete yet; UTC. Equal if none was asked.
    report : LoadReport or None
        What was stored; None when the source had nothing new.

    """

    table: str
    bar_seconds: int
    trade_date: dt.date
    wanted: int
    asked: int
    asked_from: dt.datetime
    complete_to: dt.datetime
    report: LoadReport | None


def tables_wanted(source: Source) -> frozenset[str]:
    """Name the tables of which the universe wants something.

    Parameters
    ----------
    source : Source
        A source that is asked over a network; of any other nothing is known.

    Returns
    -------
    frozenset of str

    Raises
    ------
    ConfigurationError
        If the universe file cannot be read, or says nothing of the source.

    """
    if not isinstance(source, ApiSource):
        return frozenset()
    named = source.wanted.kinds_named()
    return frozenset(one.table for one in source.datasets if not named.isdisjoint(one.kinds))


def intraday_datasets(source: ApiSource, tables: Iterable[str] | None = None) -> list[Dataset]:
    """List what a source can be asked for while a session runs: wanted bars that are shorter than a day.

    Parameters
    ----------
    source : ApiSource
        With a universe.
    tables : iterable of str, optional
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
    named, chosen = source.wanted.kinds_named(), None if tables is None else frozenset(tables)
    found = [
        sized
        for one in source.datasets
        if not named.isdisjoint(one.kinds) and (chosen is None or one.table in chosen)
        for sized in [source.wanted.with_length(one)]
        if TICK < sized.bar_seconds < DAY
    ]
    if not found:
        of = "any table" if chosen is None else ", ".join(sorted(chosen))
        raise ConfigurationError(
            f"the universe wants no bars of {source.name} within the day for {of}",
            next_step="name instruments, and bars shorter than a day; docs/universe.md shows how",
        )
    return found


def store_completed(
    warehouse: Warehouse,
    source: ApiSource,
    tables: Iterable[str] | None = None,
    *,
    dagster_run_id: str | None = None,
) -> list[MicroBatch]:
    """Ask for the bars of the running session that were completed since the last stored one, and store them.

    Each instrument is asked from its own last bar of the session, or from the open, up to the last bar that can be
    complete; one of which nothing can have been completed is not asked. What was answered before a question failed is
    stored before the error is raised.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    source : ApiSource
        Whose clock tells the time.
    tables : iterable of str, optional
        Only these; default all that are wanted.
    dagster_run_id : str, optional
        Recorded with the loads.

    Returns
    -------
    list of MicroBatch
        One for each table.

    Raises
    ------
    MarketRuleError
        If no session is running; see `running_session`.
    ConfigurationError
        If nothing is wanted within the day, or a credential is missing.
    SourceError
        If a question stays without an answer.

    """
    batches = []
    try:
        for dataset in intraday_datasets(source, tables):
            now = source.clock()
            day = running_session(source.market, now, dt.timedelta(seconds=dataset.delay_seconds))
            look = _Look(source, dataset, day, now - SETTLING)
            batches.append(look.store(warehouse, dagster_run_id))
    finally:
        source.close()
    return batches


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at a session: what is complete by an instant."""

    source: ApiSource
    dataset: Dataset
    day: dt.date
    complete_to: dt.datetime

    def store(self, warehouse: Warehouse, dagster_run_id: str | None) -> MicroBatch:
        """Ask, and store what came, also if a later question then fails."""
        source, dataset = self.source, self.dataset
        every = source.list_instruments(dataset, Window(self.day, self.day))
        listed = [one for one in every if one.kind in dataset.kinds and one.is_wanted(self.day)]
        questions = self._questions(listed, self._last_bars(warehouse))
        asked, trouble = self._ask(questions)
        batch = self._judged(asked)
        report = None
        if batch is not None:
            told = Told(source, batch)
            (report,) = import_source(warehouse, told, ImportRequest(), dagster_run_id=dagster_run_id)
        if trouble is not None:
            raise trouble
        return MicroBatch(
            table=dataset.table,
            bar_seconds=dataset.bar_seconds,
            trade_date=self.day,
            wanted=len(listed),
            asked=len(questions),
            asked_from=min((question.start for question in questions), default=self.complete_to),
            complete_to=self.complete_to,
            report=report,
        )

    def _questions(self, listed: list[Listed], last: dict[str, dt.datetime]) -> list[Question]:
        source, opens, end = self.source, self.source.market.open(self.day), self._end()
        window = Window(self.day, self.day)
        starts = [(one, max(opens, last.get(one.symbol, opens))) for one in listed]
        return [
            Question(source.name, source.version, self.dataset, one, window, start, end)
            for one, start in starts
            if start < end
        ]

    def _end(self) -> dt.datetime:
        """Give the end of the last bar that can be complete, counting bars from the session's open."""
        opens, closes = self.source.market.open(self.day), self.source.market.close(self.day)
        if self.complete_to >= closes:
            return closes
        length = dt.timedelta(seconds=self.dataset.bar_seconds)
        return opens + max(0, (self.complete_to - opens) // length) * length

    def _last_bars(self, warehouse: Warehouse) -> dict[str, dt.datetime]:
        start, end = day_bounds(self.day, zone=self.source.market.zone, of_closes=True)
        query = _LAST_BARS.replace("{table}", self.dataset.table)
        parameters = {
            "source": self.source.name,
            "bar_seconds": self.dataset.bar_seconds,
            "start": start,
            "end": end,
        }
        with warehouse.connect() as connection:
            return dict(connection.execute(query.encode(), parameters).fetchall())

    def _ask(self, questions: list[Question]) -> tuple[list[tuple[Question, Answer]], PipelineError | None]:
        asked: list[tuple[Question, Answer]] = []
        for question in questions:
            try:
                answer = self.source.call(partial(self.source.ask, question), question.where)
            except PipelineError as error:
                return asked, error
            # Bars before those that were asked for, which some vendors add, are stored already.
            newer = (pl.col("timestamp") > pl.lit(question.start)).fill_null(value=True)
            asked.append((question, Answer(answer.rows.filter(newer), answer.note)))
        return asked, None

    def _judged(self, asked: list[tuple[Question, Answer]]) -> ImportBatch | None:
        """Make the batch of a window; None when no bar was completed."""
        source = self.source
        answered = [(question, answer) for question, answer in asked if answer.rows.height]
        layout = f"{source.name} {source.version}, part of a day"
        answers = WindowOfAnswers(source.name, layout, self.dataset, answered, source.market)
        batch = answers.batch(self.day, ImportRequest(), None, self.complete_to)[0] if answered else None
        if batch is None:
            return None
        # The running candle is no defect: it comes again, complete, with the next look.
        rejects = batch.rejects.filter(pl.col("reason") != "running_bar")
        if batch.observations.is_empty() and rejects.is_empty():
            return None
        window = (min(question.start for question, _ in answered) + _INSTANT, self.complete_to + _INSTANT)
        # That an instrument is silent for some minutes says nothing.
        return replace(batch, rejects=rejects, findings=(), window=window, actions=None)
