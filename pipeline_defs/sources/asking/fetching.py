"""One dataset of a request: what is fresh is left out, what is missing is asked, every day is given once.

Whether a day is fresh is decided in `pipeline_defs.freshness`, here it is followed: days that are missing are cut into
windows the source allows, and of a day that holds some instruments' answers already only the others are asked. Of a
session that is running only the stretches that are not stored are asked (`running`).
"""

from __future__ import annotations

import datetime as dt
import itertools
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from pipeline_defs.freshness.deciding import Hit, Missing, NotDue, NothingKnown, fresh
from pipeline_defs.schema.deliveries import Delivery, FetchCost
from pipeline_defs.schema.tables import table_for
from pipeline_defs.sources.asking.assembling import WindowOfAnswers, empty_batch
from pipeline_defs.sources.asking.questions import Answer, Question, Window, digest_of
from pipeline_defs.sources.asking.running import RunningSession
from pipeline_defs.sources.asking.windows import cut_windows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline_defs.freshness.deciding import Partition, Verdict
    from pipeline_defs.schema.batches import ImportBatch, ImportRequest
    from pipeline_defs.sources.asking.answers import Answers
    from pipeline_defs.sources.asking.questions import Dataset, Listed
    from pipeline_defs.sources.asking.source import ApiSource

_WHAT_IT_IS: Final = ("kind", "symbol", "underlying", "expiry", "strike", "option_type", "rank", "series", "isin",
                      "venue", "currency", "base_currency")  # fmt: skip
"""Terms that tell one instrument from another; a lot size that changed does not make an answer stale."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Days of a window of which the same instruments are to be asked; the rest, if others are known."""

    window: Window
    listed: dict[str, Listed]
    is_rest: bool


@dataclass(slots=True)
class DatasetFetch:
    """Fetches one dataset.

    Parameters
    ----------
    source : ApiSource
        Asks.
    dataset : Dataset
        What.
    request : ImportRequest
        What it is part of.
    answers : Answers
        Kept from earlier tries.
    troubles : list of str
        Taken in here: sessions without any row.

    """

    source: ApiSource
    dataset: Dataset
    request: ImportRequest
    answers: Answers
    troubles: list[str]
    _partitions: dict[dt.date, Partition] = field(default_factory=dict)

    def batches(self, first: dt.date, last: dt.date) -> Iterator[ImportBatch]:
        """Give what is missing of a range of trade dates.

        Yields
        ------
        ImportBatch
            By trade date: closed days, then a session that is running, then the others.

        """
        days = [first + dt.timedelta(days=offset) for offset in range((last - first).days + 1)]
        self._partitions = self.source.partitions(self.dataset, days)
        now = self.source.clock()
        verdicts = {day: self._verdict(partition, now) for day, partition in self._partitions.items()}
        closed = {day: one.reason for day, one in verdicts.items() if isinstance(one, NotDue) and one.is_closed}
        for day, reason in closed.items():
            yield self._empty(day, reason, self._delivery(day, {}))
        for day, one in verdicts.items():
            if isinstance(one, Missing) and not one.is_whole:
                yield from self._running(day, one)
        # A day that is not due is asked all the same when a person names it; its answer will not count as final.
        whole = [
            day
            for day, one in verdicts.items()
            if day not in closed and (isinstance(one, NotDue) or (isinstance(one, Missing) and one.is_whole))
        ]
        bridge = frozenset(day for day in days if self.source.market.closed_reason(day) is not None)
        for window in cut_windows(whole, self.dataset.max_days, bridge):
            yield from self._window(window)

    def _verdict(self, partition: Partition, now: dt.datetime) -> Verdict:
        ledger = self.request.ledger
        verdict = fresh(partition, now, ledger or NothingKnown(), self.request.allowance)
        if ledger is not None and isinstance(verdict, Hit) and verdict.until is not None:
            ledger.keep_running(partition.trade_date, partition.table, partition.bar_seconds, partition.digest or "")
        return verdict

    # Days that are over. -----------------------------------------------------------------------------------------

    def _window(self, window: Window) -> Iterator[ImportBatch]:
        begun, calls = time.perf_counter(), self.source.calls_made
        listed = self._listed(window)
        # What is final is judged by the time before the question: a session may close while it is answered.
        asked_at = self.source.clock()
        sessions = self.source.market.sessions(window.first, window.last)
        parts, held = self._parts(window, listed, sessions)
        asked = [(part, self._ask(part.listed, part.window, asked_at)) for part in parts]
        seconds = (time.perf_counter() - begun) / len(sessions)
        cost = FetchCost(self.source.calls_made - calls, seconds)
        for day in held:
            if self.request.ledger is not None:
                delivery = self._delivery(day, {})
                self.request.ledger.adopt(delivery, cost, day, self.dataset.table, self.dataset.bar_seconds)
        for part, answered in asked:
            answers = self._of(answered)
            for day in self.source.market.sessions(part.window.first, part.window.last):
                # What was asked of some symbols says nothing of the day as a whole.
                is_final = self.request.symbols is None and self._partitions[day].is_due(asked_at)
                delivery_of = self._delivery(day, part.listed) if is_final else None
                batch, trouble = answers.batch(day, self.request, delivery_of, asked_at)
                if batch is None and part.is_rest:
                    # The others' answers are stored: that these gave nothing is an answer, too.
                    batch = answers.silent_batch(day, self.request, delivery_of)
                if batch is None:
                    self.troubles.append(trouble)
                else:
                    yield replace(batch, cost=cost)
            for question, _ in answered:
                self.answers.forget(question)

    def _parts(
        self, window: Window, listed: dict[str, Listed], sessions: Sequence[dt.date]
    ) -> tuple[list[_Part], list[dt.date]]:
        """Cut a window where what is known changes; list the days of which every wanted instrument is."""
        known: dict[dt.date, frozenset[str]] = {}
        if self.request.ledger is not None:
            table, seconds = self.dataset.table, self.dataset.bar_seconds
            basis = self.source.basis(self.dataset)
            known = self.request.ledger.answered(window.first, window.last, table, seconds, basis)

        def state(day: dt.date) -> tuple[bool, frozenset[str]]:
            there = known.get(day, frozenset()) & listed.keys()
            wanted = {name for name, one in listed.items() if one.is_wanted(day)}
            return bool(wanted) and wanted <= there, there

        parts: list[_Part] = []
        held: list[dt.date] = []
        for (is_held, there), group in itertools.groupby(sessions, key=state):
            days = list(group)
            if is_held:
                held += days
            else:
                rest = {name: one for name, one in listed.items() if name not in there}
                parts.append(_Part(Window(days[0], days[-1]), rest, is_rest=bool(there)))
        return parts, held

    # A session that is running. ----------------------------------------------------------------------------------

    def _running(self, day: dt.date, missing: Missing) -> Iterator[ImportBatch]:
        session = RunningSession(
            self.source,
            self.dataset,
            self.request,
            self._partitions[day],
            lambda: self._listed(Window(day, day)),
            self.troubles,
        )
        yield from session.batches(missing, lambda reason: self._empty(day, reason, None))

    # What both need. ---------------------------------------------------------------------------------------------

    def _listed(self, window: Window) -> dict[str, Listed]:
        """Name what is wanted, each by what tells its answers from another's."""
        every = [one for one in self.source.list_instruments(self.dataset, window) if self._belongs_here(one)]
        listed = [one for one in every if self._is_asked_for(one)]
        if every and not listed:
            which = self.request.underlying or ", ".join(sorted(self.request.symbols or ()))
            raise self.source.wanted.nothing_for(self.source.name, f"{self.dataset.table} of {which}")
        return {self._name_of(one): one for one in listed}

    def _belongs_here(self, one: Listed) -> bool:
        """Tell whether an instrument's bars of this length are in this table: days of shares have one of their own."""
        return one.kind in self.dataset.kinds and table_for(one.kind, self.dataset.bar_seconds) == self.dataset.table

    def _is_asked_for(self, one: Listed) -> bool:
        is_of_underlying = self.request.underlying in {None, one.terms["underlying"]}
        return is_of_underlying and (self.request.symbols is None or one.symbol in self.request.symbols)

    def _ask(self, listed: dict[str, Listed], window: Window, asked_at: dt.datetime) -> list[tuple[Question, Answer]]:
        market = self.source.market
        start, end = market.bounds(window.first)[0], market.bounds(window.last)[1]
        sessions = market.sessions(window.first, window.last)
        questions = [
            Question(self.source.name, self.source.version, self.dataset, one, window, start, end)
            for one in listed.values()
            if any(one.is_wanted(day) for day in sessions)
        ]
        settled = self._partitions[window.last].is_due(asked_at)
        # Who wants everything read again does not want what was kept.
        kept = settled and self.request.ledger is not None
        return [(question, self._answer(question, look=kept, keep=settled)) for question in questions]

    def _answer(self, question: Question, *, look: bool, keep: bool) -> Answer:
        known = self.answers.get(question) if look else None
        if known is not None:
            return known
        answer = self.source.call(lambda: self.source.ask(question), question.where)
        if keep:
            self.answers.put(question, answer)
        return answer

    def _of(self, asked: Sequence[tuple[Question, Answer]]) -> WindowOfAnswers:
        layout = f"{self.source.name} {self.source.version}"
        return WindowOfAnswers(self.source.name, layout, self.dataset, asked, self.source.market)

    def _delivery(self, day: dt.date, listed: dict[str, Listed]) -> Delivery:
        answered = tuple(name for name, one in listed.items() if one.is_wanted(day))
        return Delivery(self._partitions[day].digest or "", 1, self.source.basis(self.dataset), answered)

    def _name_of(self, listed: Listed) -> str:
        """Tell an instrument's answers from another's, and from its own before the vendor adjusted them."""
        terms = {name: listed.terms.get(name) for name in _WHAT_IT_IS}
        return digest_of(listed.vendor_id, terms, self.source.revision_of(self.dataset, listed))[:16]

    def _empty(self, day: dt.date, reason: str, delivery: Delivery | None) -> ImportBatch:
        kinds = {*self.dataset.kinds} & {*self.source.wanted.kinds_named()}
        batch = empty_batch(
            self.dataset,
            day,
            reason,
            zone=self.source.market.zone,
            request=self.request,
            delivery=delivery,
            fractional=bool(self.source.market.fractional_kinds & kinds),
        )
        return replace(batch, cost=FetchCost(0, 0.0))
