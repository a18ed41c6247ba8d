"""Zerodha as a source: bars of shares, indices, futures and options, and ticks as they happen."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.markets.sessions import IST
from pipeline_defs.schema.tables import DAY, MINUTE, TICK
from pipeline_defs.settings import load_settings
from pipeline_defs.sources.asking.questions import Answer, Dataset, Limit, Listed, Question, Window
from pipeline_defs.sources.asking.source import ApiSource
from pipeline_defs.sources.zerodha.candles import rows_of
from pipeline_defs.sources.zerodha.client import Client
from pipeline_defs.sources.zerodha.contracts import resolve
from pipeline_defs.sources.zerodha.dumps import Dumps, checked
from pipeline_defs.sources.zerodha.intervals import interval_of, max_days_of
from pipeline_defs.sources.zerodha.listening import Order, listen
from pipeline_defs.sources.zerodha.session import (
    Session,
    SessionExpiredError,
    api_key,
    current_session,
    expired,
    mark_refused,
)

if TYPE_CHECKING:
    import threading
    from collections.abc import Collection, Iterator, Sequence

    from pipeline_defs.sources.asking.streaming import Heard, Silence

_STAMP = "%Y-%m-%d %H:%M:%S"
_HAS_INTEREST = frozenset({"FUT", "OPT"})
_MOST_STREAMED = 3_000
_ADJUSTED = "daily bars are adjusted for splits and bonuses, as of the request"


@dataclass(kw_only=True)
class ZerodhaSource(ApiSource):
    """Kite Connect.

    Parameters
    ----------
    stream_endpoint : str or None
        Where to listen in place of Kite's own address; default ``PIPELINE_ZERODHA_STREAM_ENDPOINT``.

    """

    name = "zerodha"
    # What never expires comes first: a chain that cannot be asked for any more keeps nothing else back.
    datasets: ClassVar = (
        Dataset("equity_daily", DAY, 2_000, ("EQ",), delay_seconds=10_800),
        Dataset("spot_prices", MINUTE, 60, ("SPOT", "EQ"), delay_seconds=900),
        Dataset("futures_ticks", MINUTE, 60, ("FUT",), delay_seconds=900),
        Dataset("options_ticks", MINUTE, 60, ("OPT",), delay_seconds=900),
    )
    live_datasets: ClassVar = (
        Dataset("spot_prices", TICK, 1, ("SPOT", "EQ")),
        Dataset("futures_ticks", TICK, 1, ("FUT",)),
        Dataset("options_ticks", TICK, 1, ("OPT",)),
    )
    limits: ClassVar = (Limit(3, 1.0), Limit(10, 1.0, "instruments"))
    version: ClassVar = "kite-3/1"
    vendor_url: ClassVar = "https://api.kite.trade"
    default_market: ClassVar = "NSE"
    supports_live: ClassVar = True

    stream_endpoint: str | None = None
    _client: Client | None = field(default=None, init=False, repr=False)
    _session: Session | None = field(default=None, init=False, repr=False)
    _refused: SessionExpiredError | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Take the endpoints from the environment."""
        super().__post_init__()
        if self.stream_endpoint is None:
            self.stream_endpoint = os.environ.get("PIPELINE_ZERODHA_STREAM_ENDPOINT") or None

    @classmethod
    def section_of(cls, symbol: str) -> str:
        """Tell indices, whose names have a blank (``NIFTY 50``), from shares, whose symbols have none."""
        return "indices" if " " in symbol else "equities"

    def list_instruments(self, dataset: Dataset, window: Window) -> list[Listed]:
        """Name the instruments of the universe, as the dumps nearest to the window's days know them."""
        return resolve(self.wanted, dataset, self.market.sessions(window.first, window.last), self._dumps)

    def ask(self, question: Question) -> Answer:
        """Ask for the candles of one instrument and window."""
        dataset, listed = question.dataset, question.listed
        interval, with_interest = interval_of(dataset), listed.kind in _HAS_INTEREST
        # Kite takes both ends as inclusive, by the second, in India.
        first, last = (
            instant.astimezone(IST).strftime(_STAMP)
            for instant in (question.start, question.end - dt.timedelta(seconds=1))
        )
        try:
            candles = self._connected().candles(listed.vendor_id, first, last, interval, with_interest=with_interest)
        except SessionExpiredError as error:
            raise self._refusal(error) from None
        rows = rows_of(
            candles,
            dataset.bar_seconds,
            self.market,
            with_interest=with_interest,
            has_volume=listed.kind != "SPOT",
        )
        return Answer(rows, _ADJUSTED if dataset.bar_seconds == DAY else "")

    def stream(self, dataset: Dataset, listed: Sequence[Listed], stop: threading.Event) -> Iterator[Heard | Silence]:
        """Give ticks as Kite tells them, in full mode."""
        if dataset.bar_seconds != TICK:
            raise ConfigurationError("Kite streams ticks, no bars", where=f"zerodha {dataset.table}")
        if len(listed) > _MOST_STREAMED:
            raise ConfigurationError(
                f"{len(listed)} instruments, and a connection of Kite takes {_MOST_STREAMED:,}",
                where=f"zerodha {dataset.table}",
                next_step="narrow strikes and expiries in the universe",
            )
        self._session = current_session(self.clock())
        try:
            yield from listen(listed, Order(api_key(), self._session.access_token, self.stream_endpoint), stop)
        except SessionExpiredError as error:
            raise self._refusal(error) from None

    def close(self) -> None:
        """Let go of connections."""
        if self._client is not None:
            self._client.close()
        self._client = self._session = self._refused = None

    def datasets_wanted(self, tables: Collection[str] | None = None) -> list[Dataset]:
        """Give each dataset the days that one request of its length may cover; see `ApiSource.datasets_wanted`."""
        return [replace(one, max_days=max_days_of(one)) for one in super().datasets_wanted(tables)]

    @property
    def _dumps(self) -> Dumps:
        return Dumps(load_settings().home / "instruments" / self.name, self._fetch_dump, self.clock)

    def _fetch_dump(self) -> bytes:
        return self.call(self._ask_dump, "zerodha instruments", "instruments")

    def _ask_dump(self) -> bytes:
        try:
            return checked(self._connected().instruments())
        except SessionExpiredError as error:
            raise self._refusal(error) from None

    def _connected(self) -> Client:
        """Give the client; none, once Kite has refused the session."""
        if self._refused is not None:
            raise self._refused
        if self._client is None:
            self._session = current_session(self.clock())
            self._client = Client(api_key(), self._session.access_token, self.endpoint, self.patience.try_seconds)
        return self._client

    def _refusal(self, error: SessionExpiredError) -> SessionExpiredError:
        """Remember that Kite refused the session, for this run and the next ones."""
        if self._refused is None and self._session is not None:
            now = self.clock()
            mark_refused(self._session, now)
            known = expired(self._session, now)
            self._refused = SessionExpiredError(f"{known.what}: {error.what}", next_step=known.next_step)
        return self._refused or error
