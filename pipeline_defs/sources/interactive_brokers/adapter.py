"""The source: what it can give, its connection, and one question at a time."""

from __future__ import annotations

import itertools
import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.schema.tables import DAY, TICK
from pipeline_defs.sources.asking.calling import Patience, TryAgainError
from pipeline_defs.sources.asking.questions import Answer, Dataset, Limit, Listed, Question, Window, answer_rows
from pipeline_defs.sources.asking.source import ApiSource
from pipeline_defs.sources.interactive_brokers.bars import cancel_bars, check_size, read_bars, send_bars
from pipeline_defs.sources.interactive_brokers.connecting import IDS_TRIED, parse_address
from pipeline_defs.sources.interactive_brokers.errors import not_back_yet
from pipeline_defs.sources.interactive_brokers.listing import Listing
from pipeline_defs.sources.interactive_brokers.loop import run
from pipeline_defs.sources.interactive_brokers.session import Reply, Session
from pipeline_defs.sources.interactive_brokers.ticks import QUOTES, TRADES, read_all, read_ticks

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_ENDPOINT: Final = "127.0.0.1:7497"
DETAILS: Final = "details"
MINUTE: Final = 60
_YEAR_DAYS: Final = 365
_LONGEST_TURN_SECONDS: Final = 900.0
_LOWEST_ID: Final = 100
_IDS: Final = 10_000
_HIGHEST_ID: Final = 2**31 - 1 - IDS_TRIED

_turns = itertools.count()


@dataclass(kw_only=True)
class InteractiveBrokersSource(ApiSource):
    """History of a TWS or IB Gateway that somebody is logged in to.

    Parameters
    ----------
    client_id : int or None
        First client id to try; default ``IB_CLIENT_ID``, else one that other processes hardly take.
    universe, patience, endpoint, clock
        As of every API source; the endpoint is ``host:port``.

    """

    name = "interactive_brokers"
    datasets: ClassVar[tuple[Dataset, ...]] = (
        Dataset("options_ticks", MINUTE, 1, ("OPT",), delay_seconds=60),
        Dataset("futures_ticks", MINUTE, 1, ("FUT",), delay_seconds=60),
        Dataset("spot_prices", MINUTE, 1, ("SPOT", "EQ"), delay_seconds=60),
        Dataset("equity_daily", DAY, _YEAR_DAYS, ("EQ",), delay_seconds=900),
    )
    tick_datasets: ClassVar[tuple[Dataset, ...]] = (
        Dataset("options_ticks", TICK, 1, ("OPT",), delay_seconds=60),
        Dataset("futures_ticks", TICK, 1, ("FUT",), delay_seconds=60),
        Dataset("spot_prices", TICK, 1, ("EQ",), delay_seconds=60),
    )
    """Trades with their quotes: `ask` answers them, but a universe cannot name a length of 0 to choose them."""
    limits: ClassVar[tuple[Limit, ...]] = (Limit(60, 600), Limit(6, 2), Limit(45, 1, DETAILS))
    version: ClassVar[str] = "tws-178/1"
    vendor_url: ClassVar[str] = DEFAULT_ENDPOINT
    supports_live: ClassVar[bool] = False
    default_market: ClassVar[str] = "US"

    patience: Patience = field(default_factory=lambda: Patience(total_seconds=_LONGEST_TURN_SECONDS))
    """Longer than other sources': when 60 requests are done, the next one's turn comes after ten minutes."""

    client_id: int | None = None

    _session: Session | None = field(default=None, init=False, repr=False)
    _listing: Listing | None = field(default=None, init=False, repr=False)
    _was_connected: bool = field(default=False, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def list_instruments(self, dataset: Dataset, window: Window) -> list[Listed]:
        """Find the universe's instruments in TWS."""
        if dataset.bar_seconds != TICK:
            check_size(dataset)
        if self._listing is None:
            self._listing = Listing(self.wanted, self.market, self._ask_details)
        return self._listing.instruments(dataset, window, self.market.trade_date(self.clock()))

    def ask(self, question: Question) -> Answer:
        """Ask for the bars of one window, or the ticks of one day."""
        if question.dataset.bar_seconds == TICK:
            return self._ask_ticks(question)
        reply = self._request(send_bars(question, self.clock(), self.market), cancel_bars)
        if reply.rows is None or reply.rows.is_empty():
            return Answer(answer_rows({}), reply.nothing)
        return read_bars(reply.rows, question, self.market)

    def close(self) -> None:
        """End the connection."""
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            run(session.close())

    def _ask_details(self, send: Callable[[Any, int], None], where: str) -> Reply:
        return self.call(lambda: self._request(send), where, DETAILS)

    def _ask_ticks(self, question: Question) -> Answer:
        turns = itertools.count()

        def ask(send: Callable[[Any, int], None], needed: int) -> Reply:
            # The first turn was taken for the question itself.
            for _ in range(needed if next(turns) else needed - 1):
                self.call.turn()
            return self._request(send)

        trades = read_all(question, TRADES, self.clock(), ask)
        quotes = read_all(question, QUOTES, self.clock(), ask)
        return read_ticks(trades, quotes, question)

    def _request(self, send: Callable[[Any, int], None], cancel: Callable[[Any, int], None] | None = None) -> Reply:
        session = self._connected()
        try:
            return run(session.request(send, cancel))
        except TryAgainError:
            if not session.is_usable:
                self.close()
            raise

    def _connected(self) -> Session:
        """Give the connection; a new one where there is none, or the last one failed."""
        with self._lock:
            if self._session is not None and self._session.is_usable:
                return self._session
            address = parse_address(self.endpoint or DEFAULT_ENDPOINT)
            wait = self.patience.first_wait_seconds
            session = Session(address, self.patience.try_seconds, wait)
            try:
                run(session.connect(_first_client_id(self.client_id)))
            except BaseException as error:
                run(session.close())
                if self._was_connected and isinstance(error, SourceError) and not isinstance(error, TryAgainError):
                    raise not_back_yet(error.what, wait) from None
                raise
            self._session, self._was_connected = session, True
            return session


def _first_client_id(given: int | None) -> int:
    """Give the first client id to try: the one that is set, or one that other processes hardly take."""
    text = os.environ.get("IB_CLIENT_ID") if given is None else str(given)
    if not text:
        return _LOWEST_ID + (os.getpid() * IDS_TRIED + next(_turns)) % _IDS
    # Client 0 is TWS itself: orders that people place there would be told to it.
    if not text.isdigit() or not 0 < int(text) <= _HIGHEST_ID:
        raise ConfigurationError(
            f"{text!r} is no client id, expected a number from 1 to {_HIGHEST_ID}",
            where="IB_CLIENT_ID" if given is None else "interactive_brokers",
            next_step="correct it, or leave it out to have one chosen",
        )
    return int(text)
