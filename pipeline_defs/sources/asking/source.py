"""The `Source` of every API: what is missing is asked for once, judged by shared rules, and given day by day.

An adapter is a subclass that says what it can give (`datasets`, `limits`), names its instruments (`list_instruments`)
and asks one question (`ask`). Everything else is here, so that all sources fail, resume and confirm alike.
"""

from __future__ import annotations

import datetime as dt
import os
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from pipeline_defs.errors import ConfigurationError, NothingGivenError, SourceError
from pipeline_defs.markets.market import Market, market
from pipeline_defs.schema.batches import Delivery, ImportBatch, ImportRequest, Source, SourceMetadata
from pipeline_defs.settings import load_settings
from pipeline_defs.sources.asking.answers import Answers
from pipeline_defs.sources.asking.assembling import WindowOfAnswers, empty_batch
from pipeline_defs.sources.asking.calling import Caller, Patience
from pipeline_defs.sources.asking.limiting import SharedLimits
from pipeline_defs.sources.asking.questions import Answer, Dataset, Limit, Listed, Question, Window, digest_of
from pipeline_defs.sources.asking.universe import SourceUniverse, read_universe
from pipeline_defs.sources.asking.windows import cut_windows

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pipeline_defs.sources.asking.streaming import Heard, Silence


def utc_now() -> dt.datetime:
    """Tell the time."""
    return dt.datetime.now(dt.UTC)


@dataclass(kw_only=True)
class ApiSource(Source):
    """What all API sources are.

    Parameters
    ----------
    universe : SourceUniverse or None
        What is wanted; default what the universe file says of this source.
    patience : Patience
        How long a request is tried.
    endpoint : str or None
        Where to ask in place of the vendor's own address: a gateway, a proxy, a test server. Default
        ``PIPELINE_<SOURCE>_ENDPOINT``.
    clock : callable
        Tells the time, UTC.

    """

    datasets: ClassVar[tuple[Dataset, ...]]
    live_datasets: ClassVar[tuple[Dataset, ...]] = ()
    """What can be streamed, a dataset a table: ticks, or bars that are complete."""
    limits: ClassVar[tuple[Limit, ...]] = ()
    version: ClassVar[str]
    """Of the vendor's API and of what this adapter makes of it; raised when the same reply would give other rows."""
    vendor_url: ClassVar[str]
    """The vendor's address, for provenance."""
    supports_live: ClassVar[bool] = False
    default_market: ClassVar[str] = "NSE"

    universe: SourceUniverse | None = None
    patience: Patience = field(default_factory=Patience)
    endpoint: str | None = None
    clock: Callable[[], dt.datetime] = field(default=utc_now, repr=False)

    def __post_init__(self) -> None:
        """Take the endpoint from the environment."""
        if self.endpoint is None:
            self.endpoint = os.environ.get(f"PIPELINE_{self.name.upper()}_ENDPOINT") or None

    # What an adapter does. ---------------------------------------------------------------------------------------

    @abstractmethod
    def list_instruments(self, dataset: Dataset, window: Window) -> list[Listed]:
        """Name the instruments of the universe that belong to a dataset.

        Parameters
        ----------
        dataset : Dataset
            One of `datasets`.
        window : Window
            They may be asked for on days outside their own dates: those are left out later.

        Returns
        -------
        list of Listed

        Raises
        ------
        SourceError
            If the source does not know one; its message lists near names. Requests go through `call`.

        """

    @abstractmethod
    def ask(self, question: Question) -> Answer:
        """Ask one question, once: waiting for one's turn, and trying again, is done around it.

        Raises
        ------
        TryAgainError
            If asking again may help. Nothing of a reply that is not whole is given.
        SourceError
            If it is refused for good: a key, a plan, a symbol, a reply of an unknown shape.

        """

    def stream(self, dataset: Dataset, listed: Sequence[Listed], stop: threading.Event) -> Iterator[Heard | Silence]:
        """Give what the source tells as it happens, until told to stop; only where `supports_live` is true.

        Parameters
        ----------
        dataset : Dataset
            Ticks, or bars that are complete.
        listed : sequence of Listed
            Of what.
        stop : threading.Event
            Set from another thread: the iterator ends within a second or two.

        Yields
        ------
        Heard or Silence
            Rows of one instrument; or a span in which the connection was down, once it is up again.

        """
        del dataset, listed, stop
        raise SourceError(f"{self.name} does not stream", next_step="import it in partitions")

    def revision(self, dataset: Dataset) -> str:
        """Name the state of the vendor's history: when it changes (a split adjusted it), everything is asked again.

        Parameters
        ----------
        dataset : Dataset
            One of `datasets`.

        Returns
        -------
        str
            Any text; default the same always.

        """
        del dataset
        return ""

    def live_dataset(self, table: str) -> Dataset:
        """Find what is streamed for a table.

        Raises
        ------
        ConfigurationError
            If nothing is.

        """
        for dataset in self.live_datasets:
            if dataset.table == table:
                return dataset
        there = ", ".join(dataset.table for dataset in self.live_datasets) or "nothing"
        raise ConfigurationError(f"{self.name} streams nothing for {table}; it streams {there}")

    def close(self) -> None:
        """Let go of connections, after the last question of a `fetch`."""

    # What all have in common. ------------------------------------------------------------------------------------

    @property
    def wanted(self) -> SourceUniverse:
        """The universe of this source."""
        if self.universe is None:
            self.universe = read_universe(self.name)
        return self.universe

    @property
    def market(self) -> Market:
        """The market whose days the partitions are."""
        return market(self.wanted.market or self.default_market)

    @property
    def call(self) -> Caller:
        """Does requests under this source's limits."""
        if self._caller is None:
            folder = load_settings().home / "limits"
            self._caller = Caller(SharedLimits(folder, self.name, self.limits), self.patience)
        return self._caller

    _caller: Caller | None = field(default=None, init=False, repr=False)

    def get_metadata(self) -> SourceMetadata:
        """Describe the source, for provenance."""
        return SourceMetadata(
            source=self.name,
            source_type="api",
            source_url=self.endpoint or self.vendor_url,
            api_version=self.version,
            supports_live=self.supports_live,
        )

    def fetch(self, request: ImportRequest) -> Iterator[ImportBatch]:
        """Give what is not stored yet of the days that were asked for.

        Yields
        ------
        ImportBatch
            By table, then trade date. Days on which the market was closed are confirmed to be empty.

        Raises
        ------
        ConfigurationError
            If the request names no dates, the universe names no instrument, or a credential is missing.
        SourceError
            If a question stays without an answer, or a session without any row: what could be given has been given
            before, and what was answered is kept for the next try.

        """
        first, last = _dates(request)
        troubles: list[str] = []
        try:
            for dataset in self._datasets(request):
                yield from self._fetch_dataset(dataset, first, last, request, troubles)
        finally:
            self.close()
        if troubles:
            raise NothingGivenError(
                "\n".join(troubles),
                next_step="run the partitions again later; if the days are right, look at the source itself",
            )

    def _datasets(self, request: ImportRequest) -> list[Dataset]:
        named = self.wanted.kinds_named()
        chosen = [
            self.wanted.with_length(dataset)
            for dataset in self.datasets
            if (request.tables is None or dataset.table in request.tables)
            and any(kind in named for kind in dataset.kinds)
        ]
        if not chosen:
            asked = "any table" if request.tables is None else ", ".join(sorted(request.tables))
            raise self.wanted.nothing_for(self.name, asked)
        return chosen

    def _fetch_dataset(
        self, dataset: Dataset, first: dt.date, last: dt.date, request: ImportRequest, troubles: list[str]
    ) -> Iterator[ImportBatch]:
        calendar = self.market
        every_day = [first + dt.timedelta(days=offset) for offset in range((last - first).days + 1)]
        closed = frozenset(day for day in every_day if calendar.closed_reason(day) is not None)
        marks = self._marks(dataset, every_day)
        missing = [day for day in every_day if not _holds(request, day, marks[day])]
        fractional = bool(calendar.fractional_kinds & {*dataset.kinds} & {*self.wanted.kinds_named()})
        for day in (day for day in missing if day in closed):
            reason = calendar.closed_reason(day) or ""
            delivery = Delivery(marks[day], 1)
            yield empty_batch(
                dataset, day, reason, zone=calendar.zone, request=request, delivery=delivery, fractional=fractional
            )
        for window in cut_windows([day for day in missing if day not in closed], dataset.max_days, closed):
            # What is final is judged by the time before the question: a session may close while it is answered.
            asked_at = self.clock()
            asked = self._ask_window(dataset, window, request, asked_at)
            answers = WindowOfAnswers(self.name, f"{self.name} {self.version}", dataset, asked, calendar)
            for day in calendar.sessions(window.first, window.last):
                is_whole = request.symbols is None and self._is_settled(dataset, day, asked_at)
                known_by = Delivery(marks[day], 1) if is_whole else None
                batch, trouble = answers.batch(day, request, known_by, asked_at)
                if batch is None:
                    troubles.append(trouble)
                else:
                    yield batch
            for question, _ in asked:
                self._answers.forget(question)

    def _ask_window(
        self, dataset: Dataset, window: Window, request: ImportRequest, asked_at: dt.datetime
    ) -> list[tuple[Question, Answer]]:
        every = [one for one in self.list_instruments(dataset, window) if one.kind in dataset.kinds]
        listed = [one for one in every if _is_asked_for(request, one)]
        if every and not listed:
            which = request.underlying or ", ".join(sorted(request.symbols or ()))
            raise self.wanted.nothing_for(self.name, f"{dataset.table} of {which}")
        start, end = self.market.bounds(window.first)[0], self.market.bounds(window.last)[1]
        questions = [
            Question(self.name, self.version, dataset, one, window, start, end)
            for one in listed
            if any(one.is_wanted(day) for day in self.market.sessions(window.first, window.last))
        ]
        settled = self._is_settled(dataset, window.last, asked_at)
        # Who wants everything read again does not want what was kept.
        kept = settled and request.ledger is not None
        return [(question, self._answer(question, look=kept, keep=settled)) for question in questions]

    def _answer(self, question: Question, *, look: bool, keep: bool) -> Answer:
        known = self._answers.get(question) if look else None
        if known is not None:
            return known
        answer = self.call(lambda: self.ask(question), question.where)
        if keep:
            self._answers.put(question, answer)
        return answer

    @property
    def _answers(self) -> Answers:
        return Answers(_answers_folder() / self.name)

    def _is_settled(self, dataset: Dataset, day: dt.date, asked_at: dt.datetime) -> bool:
        """Tell whether the source's answer about a day was final when it was asked."""
        return asked_at >= self.market.close(day) + dt.timedelta(seconds=dataset.delay_seconds)

    def _marks(self, dataset: Dataset, days: list[dt.date]) -> dict[dt.date, str]:
        """Give what an answer about each day depends on, as the warehouse's ledger remembers it."""
        revision, chosen = self.revision(dataset), self.wanted.digest(dataset)
        return {
            day: digest_of(self.name, self.version, revision, dataset.table, dataset.bar_seconds, day, chosen)
            for day in days
        }


def _answers_folder() -> Path:
    return load_settings().home / "answers"


def _dates(request: ImportRequest) -> tuple[dt.date, dt.date]:
    if request.start_date is None or request.end_date is None:
        raise SourceError(
            "an API is asked for days: both ends of the range are needed",
            next_step="name the first and the last trade date (--start-date, --end-date)",
        )
    return request.start_date, request.end_date


def _is_asked_for(request: ImportRequest, one: Listed) -> bool:
    is_of_underlying = request.underlying in {None, one.terms["underlying"]}
    return is_of_underlying and (request.symbols is None or one.symbol in request.symbols)


def _holds(request: ImportRequest, day: dt.date, mark: str) -> bool:
    return request.ledger is not None and request.ledger.holds(day, mark)
