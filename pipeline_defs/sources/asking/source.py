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

from pipeline_defs.encrypted import check_endpoint
from pipeline_defs.errors import ConfigurationError, NothingGivenError, SourceError
from pipeline_defs.freshness.deciding import Partition
from pipeline_defs.markets.market import Market, market
from pipeline_defs.schema.batches import ImportBatch, ImportRequest, Source, SourceMetadata
from pipeline_defs.settings import load_settings
from pipeline_defs.sources.asking.answers import Answers
from pipeline_defs.sources.asking.calling import Caller, Patience
from pipeline_defs.sources.asking.fetching import DatasetFetch
from pipeline_defs.sources.asking.limiting import SharedLimits
from pipeline_defs.sources.asking.questions import Answer, Dataset, Limit, Listed, Question, Window, digest_of
from pipeline_defs.sources.asking.universe import KIND_SECTIONS, SourceUniverse, read_universe

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Iterator, Sequence
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
    asks_exchanges: ClassVar[bool] = False
    """Whether it speaks to several exchanges, of which one is to be named."""

    universe: SourceUniverse | None = None
    patience: Patience = field(default_factory=Patience)
    endpoint: str | None = None
    clock: Callable[[], dt.datetime] = field(default=utc_now, repr=False)

    def __post_init__(self) -> None:
        """Take the endpoint from the environment; keys would go there, so it is to be encrypted."""
        variable = f"PIPELINE_{self.name.upper()}_ENDPOINT"
        if self.endpoint is None:
            self.endpoint = os.environ.get(variable) or None
        if self.endpoint is not None:
            check_endpoint(self.endpoint, variable)

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

    @classmethod
    def section_of(cls, symbol: str) -> str:
        """Tell of which section of a universe a symbol is, by its spelling; default the first that the source has."""
        del symbol
        kinds = {kind for dataset in cls.datasets for kind in dataset.kinds}
        return next(KIND_SECTIONS[kind] for kind in ("EQ", "PAIR", "SPOT") if kind in kinds)

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

    def revision_of(self, dataset: Dataset, listed: Listed) -> str:
        """Name the state of one instrument's history; default that of all.

        Parameters
        ----------
        dataset : Dataset
            One of `datasets`.
        listed : Listed
            Of what.

        Returns
        -------
        str
            Any text.

        """
        del listed
        return self.revision(dataset)

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

    @property
    def calls_made(self) -> int:
        """Requests made so far, those that were repeated and those for lists of contracts among them."""
        return 0 if self._caller is None else self._caller.calls

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
            for dataset in self.datasets_wanted(request.tables):
                answers = Answers(_answers_folder() / self.name)
                yield from DatasetFetch(self, dataset, request, answers, troubles).batches(first, last)
        finally:
            self.close()
        if troubles:
            raise NothingGivenError(
                "\n".join(troubles),
                next_step="run the partitions again later; if the days are right, look at the source itself",
            )

    def datasets_wanted(self, tables: Collection[str] | None = None) -> list[Dataset]:
        """List the datasets of which the universe names instruments, with the bar lengths that are wanted.

        Parameters
        ----------
        tables : collection of str, optional
            Only of these; default all.

        Raises
        ------
        ConfigurationError
            If there is none.

        """
        named = self.wanted.kinds_named()
        chosen = [
            self.wanted.with_length(dataset)
            for dataset in self.datasets
            if (tables is None or dataset.table in tables) and any(kind in named for kind in dataset.kinds)
        ]
        if not chosen:
            asked = "any table" if tables is None else ", ".join(sorted(tables))
            raise self.wanted.nothing_for(self.name, asked)
        return chosen

    def partitions(self, dataset: Dataset, days: Sequence[dt.date]) -> dict[dt.date, Partition]:
        """Describe days of a dataset for `pipeline_defs.freshness`: nothing is asked of the source.

        Parameters
        ----------
        dataset : Dataset
            One of `datasets_wanted`.
        days : sequence of datetime.date
            Trade dates, sessions or not.

        Returns
        -------
        dict of datetime.date to Partition
            With the digest of what an answer depends on, as the warehouse's ledger remembers it.

        """
        revision, chosen = self.revision(dataset), self.wanted.digest(dataset)
        return {
            day: Partition(
                dataset.table,
                dataset.bar_seconds,
                day,
                self.market,
                dataset.delay_seconds,
                digest_of(self.name, self.version, revision, dataset.table, dataset.bar_seconds, day, chosen),
            )
            for day in days
        }

    def basis(self, dataset: Dataset) -> str:
        """Digest what an answer depends on but for the instrument it is about."""
        wanted = self.wanted
        return digest_of(
            "basis", self.name, self.version, dataset.table, dataset.bar_seconds, wanted.market, wanted.exchange
        )


def _answers_folder() -> Path:
    return load_settings().home / "answers"


def _dates(request: ImportRequest) -> tuple[dt.date, dt.date]:
    if request.start_date is None or request.end_date is None:
        raise SourceError(
            "an API is asked for days: both ends of the range are needed",
            next_step="name the first and the last trade date (--start-date, --end-date)",
        )
    return request.start_date, request.end_date
