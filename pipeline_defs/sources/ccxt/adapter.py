"""The `ApiSource` of spot pairs at exchanges that CCXT speaks to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.schema.tables import DAY
from pipeline_defs.sources.asking.questions import Answer, Dataset, Limit, Listed, Question, Window
from pipeline_defs.sources.asking.source import ApiSource
from pipeline_defs.sources.ccxt.client import Client
from pipeline_defs.sources.ccxt.listening import Ear
from pipeline_defs.sources.ccxt.paging import Walk
from pipeline_defs.sources.ccxt.pairs import list_pair
from pipeline_defs.sources.ccxt.rows import bar_rows

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence

    import polars as pl

    from pipeline_defs.sources.asking.streaming import Heard, Silence

DEFAULT_EXCHANGE: Final = "binance"

_PACES: Final = (
    (1000, Limit(1, 3.0, "one_in_3_s")),
    (333, Limit(1, 1.0, "one_a_second")),
    (100, Limit(3, 1.0, "three_a_second")),
)
"""Milliseconds a request, as the client paces an exchange, above which a slower limit holds as well."""


@dataclass(kw_only=True)
class CcxtSource(ApiSource):
    """Bars of spot pairs of one exchange, which the universe file names; default Binance.

    Prices need no key. A question of a week of minutes is 11 pages at Binance; each takes a turn of the shared limits,
    and all of them count or none.
    """

    name = "ccxt"
    datasets: ClassVar[tuple[Dataset, ...]] = (Dataset("spot_prices", 60, 7, ("PAIR",), delay_seconds=60),)
    live_datasets: ClassVar[tuple[Dataset, ...]] = datasets
    limits: ClassVar[tuple[Limit, ...]] = (Limit(10, 1.0), *(limit for _, limit in _PACES))
    version: ClassVar[str] = "spot candles 1"
    vendor_url: ClassVar[str] = "https://docs.ccxt.com"
    supports_live: ClassVar[bool] = True
    default_market: ClassVar[str] = "CRYPTO"
    asks_exchanges: ClassVar[bool] = True

    _client: Client | None = field(default=None, init=False, repr=False)

    def list_instruments(self, dataset: Dataset, window: Window) -> list[Listed]:
        """Name the pairs of the universe.

        Parameters
        ----------
        dataset : Dataset
            Bars of a day at most.
        window : Window
            Not looked at: pairs do not expire.

        Returns
        -------
        list of Listed

        Raises
        ------
        ConfigurationError
            If the exchange is unknown, or has no such bars.
        SourceError
            If it does not list a pair; near names are shown.

        """
        del window
        if self.market.zone != "UTC":
            raise ConfigurationError(
                f"market {self.market.name} does not fit: days of pairs are those of UTC",
                where="universe file, section ccxt",
                next_step="leave `market` out, or write CRYPTO",
            )
        if dataset.bar_seconds > DAY:
            raise ConfigurationError(
                f"bars of {dataset.bar_seconds} s are longer than a day",
                where="universe file, section ccxt",
                next_step="write 1d or less under bars: spot_prices",
            )
        client = self._asked()
        client.timeframe(dataset.bar_seconds)
        mode = client.exchange.precisionMode
        return [list_pair(client.name, client.markets or {}, mode, named) for named in self.wanted.pairs]

    def ask(self, question: Question) -> Answer:
        """Ask for the bars of one pair, page by page; a page that fails discards all.

        Parameters
        ----------
        question : Question
            One pair.

        Returns
        -------
        Answer

        Raises
        ------
        TryAgainError
            If asking again may help.
        SourceError
            If it was refused for good.

        """
        client = self._asked()
        seconds = question.dataset.bar_seconds
        timeframe = client.timeframe(seconds)
        pages = 0

        def ask_page(since: int, limit: int) -> pl.DataFrame:
            nonlocal pages
            self._take_turn(client, first=pages == 0)
            pages += 1
            return client.candles(question.listed.symbol, timeframe, since, limit)

        walk = Walk(ask_page, client.name, timeframe, seconds * 1000, client.page_limit)
        start, end, now = (
            round(instant.timestamp() * 1000) for instant in (question.start, question.end, self.clock())
        )
        return Answer(
            bar_rows(walk.collect(start, end, now), seconds, client.reply.server_ms),
            f"{client.name}, {pages} pages",
        )

    def stream(self, dataset: Dataset, listed: Sequence[Listed], stop: threading.Event) -> Iterator[Heard | Silence]:
        """Give bars as they are completed: each when a later one has begun.

        Parameters
        ----------
        dataset : Dataset
            Of which length.
        listed : sequence of Listed
            Which pairs.
        stop : threading.Event
            Ends it.

        Yields
        ------
        Heard or Silence
            Bars of one pair; or a span without connection.

        Raises
        ------
        ConfigurationError
            If the exchange does not stream such bars.
        SourceError
            If it refuses a pair.

        """
        client = self._asked()
        ear = Ear(
            client=client,
            bar_seconds=dataset.bar_seconds,
            listed=tuple(listed),
            stop=stop,
            clock=self.clock,
            endpoint=self.endpoint,
            patience=self.patience,
        )
        yield from ear.listen()

    def close(self) -> None:
        """Let go of the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _asked(self) -> Client:
        """Give the client, with its list of markets."""
        if self._client is None:
            name = self.wanted.exchange or DEFAULT_EXCHANGE
            self._client = Client(name, self.endpoint, self.patience.try_seconds)
        client = self._client
        if client.markets is None:
            self.call(client.load_markets, f"ccxt {client.name} markets")
        return client

    def _take_turn(self, client: Client, *, first: bool) -> None:
        """Wait for a page's turn; the first one's is taken already, but only of the limit that holds for all."""
        if not first:
            self.call.turn()
        slower = next((limit.group for above, limit in _PACES if client.exchange.rateLimit > above), None)
        if slower is not None:
            self.call.turn(slower)
