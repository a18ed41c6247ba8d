"""A session that is running: what was completed since it was asked last, for what is stored to grow by.

Half a day is not a day: a batch speaks of its window and takes nothing away, and is no answer that counts as final. The
whole day is asked once more when it is due, which corrects what was revised and retires what vanished.
"""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import PipelineError
from pipeline_defs.freshness.spans import Span
from pipeline_defs.schema.deliveries import Delivery, FetchCost
from pipeline_defs.sources.asking.assembling import WindowOfAnswers
from pipeline_defs.sources.asking.questions import Question, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline_defs.freshness.deciding import Missing, Partition
    from pipeline_defs.schema.batches import ImportBatch, ImportRequest
    from pipeline_defs.sources.asking.questions import Answer, Dataset, Listed
    from pipeline_defs.sources.asking.source import ApiSource

_INSTANT: Final = dt.timedelta(microseconds=1)


@dataclass(slots=True)
class RunningSession:
    """Fetches the stretches of one running session that are missing.

    Parameters
    ----------
    source : ApiSource
        Asks.
    dataset : Dataset
        What.
    request : ImportRequest
        What it is part of.
    partition : Partition
        The session.
    list_wanted : callable
        Names what is wanted, each by what tells its answers from another's; may ask the source.
    troubles : list of str
        Taken in here.

    """

    source: ApiSource
    dataset: Dataset
    request: ImportRequest
    partition: Partition
    list_wanted: Callable[[], dict[str, Listed]]
    troubles: list[str]

    def batches(self, missing: Missing, empty: Callable[[str], ImportBatch]) -> Iterator[ImportBatch]:
        """Ask for what is missing.

        Parameters
        ----------
        missing : Missing
            What `pipeline_defs.freshness.fresh` said.
        empty : callable
            Makes the batch of which there is nothing new, with the reason.

        Yields
        ------
        ImportBatch
            One a stretch, those without any row left out; what was answered before a question failed comes first.

        Raises
        ------
        PipelineError
            If a question stays without an answer. That a session has not one row, although it is under way for longer
            than the source may take, is a trouble.

        """
        begun, calls = time.perf_counter(), self.source.calls_made
        listed = self.list_wanted()
        digest = self.partition.digest or ""
        so_far = Delivery(digest, 1, digest, tuple(listed)) if self.request.symbols is None else None
        opens, until = self.source.market.open(self._day), missing.ranges[-1].end
        is_first = len(missing.ranges) == 1 and missing.ranges[0].start == opens
        # Nothing is stored: what lies before the open is asked, too, as of every other day.
        begin = self.source.market.bounds(self._day)[0]
        ranges = [Span(begin, until)] if is_first else list(missing.ranges)
        wanted = [one for one in listed.values() if one.is_wanted(self._day)]
        nothing, said = True, ""
        for span, starts in zip(ranges, self._starts(ranges, wanted), strict=True):
            answered, error = self._ask(wanted, starts, span.end)
            batch, said = self._batch(answered, span, until)
            if batch is not None:
                cost = FetchCost(self.source.calls_made - calls, time.perf_counter() - begun)
                # That some instruments were answered does not account for the others.
                yield replace(batch, so_far=so_far if error is None else None, cost=cost)
                begun, calls, nothing = time.perf_counter(), self.source.calls_made, False
            if error is not None:
                raise error
        if nothing and wanted and is_first and until - opens > self._patience:
            self.troubles.append(said)
        elif nothing:
            start, end = ranges[0].start, ranges[-1].end
            reason = f"nothing new from {start:%H:%M} to {end:%H:%M} UTC; the session is running"
            cost = FetchCost(self.source.calls_made - calls, time.perf_counter() - begun)
            yield replace(empty(reason), window=(start + _INSTANT, end + _INSTANT), cost=cost)

    @property
    def _day(self) -> dt.date:
        return self.partition.trade_date

    @property
    def _patience(self) -> dt.timedelta:
        """For so long after the open it is no error that there is nothing: vendors are late."""
        return self.partition.allowance + dt.timedelta(seconds=self.partition.grace_seconds)

    def _starts(self, ranges: list[Span], wanted: list[Listed]) -> Iterator[list[dt.datetime]]:
        """Say from when on each instrument is asked: for the newest stretch from its own last bar, if that is earlier.

        A bar that was published late is got so. What lies before is not read again, nor is a stretch in between that is
        missing itself.
        """
        *holes, newest = ranges
        yield from ([hole.start] * len(wanted) for hole in holes)
        ledger, floor = self.request.ledger, holes[-1].end if holes else self.source.market.open(self._day)
        if ledger is None or newest.start <= floor:
            yield [newest.start] * len(wanted)
            return
        last = ledger.last_observations(self.dataset.table, self.dataset.bar_seconds, floor, newest.start)
        yield [last.get(one.symbol, floor) for one in wanted]

    def _ask(
        self, wanted: list[Listed], starts: list[dt.datetime], end: dt.datetime
    ) -> tuple[list[tuple[Question, Answer]], PipelineError | None]:
        """Ask one after the other, up to a question that fails."""
        source, window = self.source, Window(self._day, self._day)
        answered: list[tuple[Question, Answer]] = []
        for one, start in zip(wanted, starts, strict=True):
            question = Question(source.name, source.version, self.dataset, one, window, start, end)
            try:
                answer = source.call(lambda question=question: source.ask(question), question.where)  # type: ignore[misc]
            except PipelineError as error:
                return answered, error
            # Some sources give whole days whatever was asked; what is stored already is not looked at again.
            within = pl.col("timestamp").is_null() | (pl.col("timestamp") > start)
            is_whole = start == source.market.bounds(self._day)[0]
            answered.append((question, answer if is_whole else replace(answer, rows=answer.rows.filter(within))))
        return answered, None

    def _batch(
        self, answered: list[tuple[Question, Answer]], span: Span, until: dt.datetime
    ) -> tuple[ImportBatch | None, str]:
        """Make the batch of a stretch; None, and why, when no bar was completed."""
        layout = f"{self.source.name} {self.source.version}, part of a day"
        told = [pair for pair in answered if pair[1].rows.height] or answered
        if not told:
            return None, ""
        answers = WindowOfAnswers(self.source.name, layout, self.dataset, told, self.source.market)
        batch, said = answers.batch(self._day, self.request, None, until)
        if batch is None:
            return None, said
        # The running candle is no defect: it comes again, complete, with the next look.
        rejects = batch.rejects.filter(pl.col("reason") != "running_bar")
        rows = batch.observations
        is_hole = span.end < until
        if is_hole:
            rows = rows.filter(pl.col("timestamp") <= span.end)
        last = rows["timestamp"].max()
        if not isinstance(last, dt.datetime):
            if rejects.is_empty():
                return None, f"{self.source.name} {self.dataset.table} {self._day}: no bar is complete yet"
            last = span.end
        # A hole is closed by its answer; the newest stretch ends with the last observation.
        end = span.end if is_hole else last
        start = min(span.start, *(question.start for question, _ in answered))
        # That an instrument is silent for some minutes says nothing, and neither does half a day of actions.
        window = (start + _INSTANT, end + _INSTANT)
        return replace(batch, observations=rows, rejects=rejects, findings=(), actions=None, window=window), ""
