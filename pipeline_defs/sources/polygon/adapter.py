"""Bars of US shares, indices and options from Polygon's REST API."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

import polars as pl

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.schema.tables import DAY, EQUITY_DAILY, MINUTE
from pipeline_defs.sources.asking.questions import Action, Answer, Dataset, Limit, Listed, Question, Window
from pipeline_defs.sources.asking.source import ApiSource
from pipeline_defs.sources.polygon.actions import ask_actions, one_a_day
from pipeline_defs.sources.polygon.bars import bar_rows, results_of_pages, span_of, volume_of
from pipeline_defs.sources.polygon.connection import VENDOR_URL, Connection
from pipeline_defs.sources.polygon.contracts import (
    contracts_of,
    has_enough,
    last_expiries,
    listed_of,
    merged,
    no_contract,
    wanted_days,
)
from pipeline_defs.sources.polygon.live import bars_as_they_come
from pipeline_defs.sources.polygon.pages import DELAYED, all_pages
from pipeline_defs.sources.polygon.refusals import PlanError
from pipeline_defs.sources.polygon.tickers import INDEX, checked_ticker, require_known

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence

    from massive import RESTClient

    from pipeline_defs.sources.asking.streaming import Heard, Silence
    from pipeline_defs.sources.asking.universe import Chain, Named

_FREE_REQUESTS: Final = 5
_PER_SECONDS: Final = 60.0
_PLAN_DELAY: Final = 20 * 60
"""Most plans give data a quarter of an hour late."""

_AFTER_HOURS: Final = 5 * 3600
"""The volume of a daily bar grows until the extended hours end, four hours after the close."""

_MOST_BARS: Final = 50_000
_MOST_PAGES: Final = 200
"""A month of seconds has 54."""


@dataclass(kw_only=True)
class PolygonSource(ApiSource):
    """Asks Polygon (Massive), with the key of ``POLYGON_API_KEY``.

    Parameters
    ----------
    feed : str or None
        Where to listen: a host of the vendor's, or ``ws://127.0.0.1:<port>`` for a test. Default
        ``PIPELINE_POLYGON_FEED``, else the real-time one.
    universe, patience, endpoint, clock
        As of every API source.

    """

    name = "polygon"
    datasets: ClassVar[tuple[Dataset, ...]] = (
        Dataset("options_ticks", MINUTE, 31, ("OPT",), _PLAN_DELAY),
        Dataset("spot_prices", MINUTE, 31, ("EQ", "SPOT"), _PLAN_DELAY),
        Dataset("equity_daily", DAY, 3650, ("EQ",), _AFTER_HOURS),
    )
    live_datasets: ClassVar[tuple[Dataset, ...]] = (
        Dataset("options_ticks", MINUTE, 31, ("OPT",)),
        Dataset("spot_prices", MINUTE, 31, ("EQ", "SPOT")),
    )
    version: ClassVar[str] = "v2-aggs-2"
    vendor_url: ClassVar[str] = VENDOR_URL
    supports_live: ClassVar[bool] = True
    default_market: ClassVar[str] = "US"

    feed: str | None = None

    _requests: int = field(default=_FREE_REQUESTS, init=False, repr=False)
    _connected: Connection | None = field(default=None, init=False, repr=False)
    _known: set[tuple[str, dt.date]] = field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        """Take endpoint, feed and rate limit from the environment."""
        super().__post_init__()
        if self.feed is None:
            self.feed = os.environ.get("PIPELINE_POLYGON_FEED") or None
        self._requests = _requests_per_minute()

    @property
    def limits(self) -> tuple[Limit, ...]:  # type: ignore[override] # the key's plan decides, not the class
        """The free plan's rate, or what ``POLYGON_REQUESTS_PER_MINUTE`` says."""
        return (Limit(self._requests, _PER_SECONDS),)

    @classmethod
    def section_of(cls, symbol: str) -> str:
        """Tell indices, which begin with ``I:``, from shares."""
        return "indices" if symbol.startswith(INDEX) else "equities"

    def list_instruments(self, dataset: Dataset, window: Window) -> list[Listed]:
        """Name the instruments of the universe; options are asked of the vendor, as known on the window's last day."""
        wanted = self.wanted
        if wanted.futures or wanted.pairs:
            raise ConfigurationError(
                "this source gives shares, indices and options, neither futures nor pairs",
                where="universe, section polygon",
                next_step="move them to the section of another source",
            )
        listed: list[Listed] = []
        if "EQ" in dataset.kinds:
            listed += [self._named(one, "EQ", checked_ticker(one.symbol)) for one in wanted.equities]
        if "SPOT" in dataset.kinds:
            tickers = (INDEX + checked_ticker(one.symbol).removeprefix(INDEX) for one in wanted.indices)
            listed += [self._named(one, "SPOT", ticker) for one, ticker in zip(wanted.indices, tickers, strict=True)]
        if "OPT" in dataset.kinds:
            for chain in wanted.options:
                listed += self._contracts(chain, window)
        return merged(listed)

    def ask(self, question: Question) -> Answer:
        """Ask for the bars of one window: all pages of them, or none."""
        ticker, dataset = question.listed.vendor_id, question.dataset
        what = f"{question.listed.symbol} {question.window}"
        count, span = span_of(dataset.bar_seconds)
        begin, end = _range(question)

        def first(client: RESTClient) -> object:
            return client.list_aggs(
                ticker, count, span, begin, end, adjusted=False, sort="asc", limit=_MOST_BARS, raw=True
            )

        pages = all_pages(self.connection, first, what, self.call.turn, _MOST_PAGES)
        results = results_of_pages(pages, ticker, what)
        if not results and question.listed.kind != "OPT":
            self._require_known(ticker, question.window.last)
        rows = bar_rows(results, dataset.bar_seconds, self.market, what, **volume_of(question.listed))
        delayed = any(page["status"] == DELAYED for page in pages)
        note = "unadjusted; the plan delays data (status DELAYED)" if delayed else "unadjusted"
        if dataset.table != EQUITY_DAILY.name:
            return Answer(rows, note)
        actions, more = self._actions(ticker, question.window)
        return Answer(rows, f"{note}; {more}" if more else note, actions)

    def stream(self, dataset: Dataset, listed: Sequence[Listed], stop: threading.Event) -> Iterator[Heard | Silence]:
        """Give bars as the vendor completes them: of a minute, or of a second."""
        return bars_as_they_come(
            self.feed,
            dataset,
            listed,
            stop,
            market=self.market,
            clock=self.clock,
            first_word_seconds=self.patience.try_seconds,
        )

    def close(self) -> None:
        """Let go of connections."""
        if self._connected is not None:
            self._connected.close()
            self._connected = None

    @property
    def connection(self) -> Connection:
        """The vendor's client, made when it is needed first."""
        if self._connected is None:
            self._connected = Connection(self.endpoint, self.patience.try_seconds)
        return self._connected

    def _named(self, one: Named, kind: str, ticker: str) -> Listed:
        market = self.market
        terms: dict[str, Any] = {
            "kind": kind,
            "symbol": ticker,
            "underlying": one.underlying or ticker.removeprefix(INDEX).upper(),
            "venue": one.venue or market.venue,
            "currency": one.currency or market.currency,
        }
        return Listed(ticker, terms, one.first_date, one.last_date)

    def _contracts(self, chain: Chain, window: Window) -> list[Listed]:
        days = wanted_days(chain, self.market.sessions(window.first, window.last))
        if not days:
            return []

        def ask(until: dt.date, *, expired: bool) -> pl.DataFrame:
            where = f"{self.name} options of {chain.underlying} {window}"
            turn = self.call.turn
            return self.call(lambda: contracts_of(self.connection, chain, window, until, turn, expired=expired), where)

        # The vendor may count the contracts that expire on the last day to either side.
        over = ask(window.last, expired=True)
        for until in last_expiries(chain, window):
            contracts = pl.concat([ask(until, expired=False), over])
            if has_enough(chain, contracts, window):
                break
        listed = listed_of(chain, contracts, days, self.market.currency)
        if not listed:
            raise no_contract(chain, window)
        return listed

    def _actions(self, ticker: str, window: Window) -> tuple[tuple[Action, ...] | None, str]:
        """Ask for splits and dividends; a plan without them still gives bars, and nothing is said of actions then."""
        self.call.turn()
        try:
            frame = ask_actions(self.connection, ticker, window.first, window.last, self.call.turn)
        except PlanError:
            return None, "the plan includes no splits and dividends"
        return one_a_day(frame, self.market.currency)

    def _require_known(self, ticker: str, day: dt.date) -> None:
        if (ticker, day) not in self._known:
            require_known(self.connection, ticker, day, self.call.turn)
            self._known.add((ticker, day))


def _range(question: Question) -> tuple[str | int, str | int]:
    """Give both ends, inclusive: days for daily bars, else milliseconds, which mean the same in every zone."""
    if question.dataset.bar_seconds == DAY:
        return str(question.window.first), str(question.window.last)
    last = question.end - dt.timedelta(milliseconds=1)
    return _milliseconds(question.start), _milliseconds(last)


def _milliseconds(instant: dt.datetime) -> int:
    return (instant - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(milliseconds=1)


def _requests_per_minute() -> int:
    text = os.environ.get("POLYGON_REQUESTS_PER_MINUTE")
    if not text:
        return _FREE_REQUESTS
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ConfigurationError(
            f"{text!r} is no number of requests",
            where="POLYGON_REQUESTS_PER_MINUTE",
            next_step="set it to what the plan of the key allows in a minute, such as 5 or 1000",
        )
    return int(text)
