"""Bars as they are completed, from the vendor's WebSocket.

There is one connection for each of the vendor's markets. The vendor confirms each subscription: a confirmation on
another connection than before tells that there was a gap.
"""

from __future__ import annotations

import queue
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import ConfigurationError, PipelineError, SourceError
from pipeline_defs.schema.tables import MINUTE
from pipeline_defs.sources.asking.calling import TryAgainError
from pipeline_defs.sources.asking.credentials import redact
from pipeline_defs.sources.asking.streaming import Heard, Silence
from pipeline_defs.sources.polygon.bars import bar_rows, volume_of
from pipeline_defs.sources.polygon.connection import read_key, tame_loggers
from pipeline_defs.sources.polygon.listening import Listener, Told, feed_address
from pipeline_defs.sources.polygon.numbers import read_messages

if TYPE_CHECKING:
    import datetime as dt
    import threading
    from collections.abc import Callable, Iterator, Sequence

    from pipeline_defs.markets.market import Market
    from pipeline_defs.sources.asking.questions import Dataset, Listed

_MARKETS: Final = {"EQ": "stocks", "SPOT": "indices", "OPT": "options"}
_CHANNELS: Final = {MINUTE: "AM", 1: "A"}
_KEYS: Final = ("o", "h", "l", "c", "v", "dv")
_POLL_SECONDS: Final = 0.1
_JOIN_SECONDS: Final = 5.0


@dataclass
class _Conversation:
    """What was heard of one market."""

    names: dict[str, Listed]
    bar_seconds: int
    channel: str
    calendar: Market
    connection: object = None
    last: dt.datetime | None = None

    def understand(self, told: Told) -> Iterator[Heard | Silence]:
        """Give what a message means."""
        events = read_messages(told.message, "stream")
        statuses = [event for event in events if event.get("ev") == "status"]
        for status in statuses:
            self._check(status)
        if told.connection is not self.connection:
            if self.last is not None:
                yield Silence(self.last, told.at, "the connection was lost, and made again")
            self.connection = told.connection
        self.last = told.at
        by_name: dict[str, list[dict[str, Any]]] = {}
        for event in events:
            name = event.get("sym")
            if event.get("ev") == self.channel and isinstance(name, str) and name in self.names:
                by_name.setdefault(name, []).append(event)
        for name, bars in by_name.items():
            listed = self.names[name]
            rows = [_as_of_history(bar) for bar in bars]
            what = f"stream of {name}"
            yield Heard(listed, bar_rows(rows, self.bar_seconds, self.calendar, what, **volume_of(listed)))

    def _check(self, status: dict[str, Any]) -> None:
        word, message = str(status.get("status")), redact(str(status.get("message", "")))
        if word in {"connected", "auth_success", "success"}:
            return
        if word == "max_connections":
            raise SourceError(
                f"Polygon allows no further connection ({word}: {message})",
                where="polygon stream",
                next_step="end the other process that streams with this key, or use a key of its own",
            )
        if word in {"error", "not_authorized"}:
            raise SourceError(
                f"Polygon refused a subscription ({word}: {message})",
                where="polygon stream",
                next_step="check that the plan of the key streams this kind of instrument; delayed plans set"
                " PIPELINE_POLYGON_FEED=delayed.massive.com",
            )


def bars_as_they_come(
    feed: str | None,
    dataset: Dataset,
    listed: Sequence[Listed],
    stop: threading.Event,
    *,
    market: Market,
    clock: Callable[[], dt.datetime],
    first_word_seconds: float,
) -> Iterator[Heard | Silence]:
    """Give bars as the vendor completes them, until told to stop.

    Parameters
    ----------
    feed : str or None
        The vendor's host; None is its real-time one. ``ws://`` is for loopback only: the key goes over it.
    dataset : Dataset
        Bars of a minute or a second.
    listed : sequence of Listed
        Of what.
    stop : threading.Event
        Ends the iterator.
    market : Market
        Whose bars they are.
    clock : callable
        Tells the time, UTC.
    first_word_seconds : float
        Within which each subscription must be confirmed. The client itself would try to connect for ever, and say
        nothing.

    Yields
    ------
    Heard or Silence

    Raises
    ------
    ConfigurationError
        If the key is missing or refused, or the feed is no address.
    TryAgainError
        If a subscription is not confirmed in time.
    SourceError
        If the vendor refuses a subscription, or there are no such bars.

    """
    channel = _CHANNELS.get(dataset.bar_seconds)
    if channel is None:
        raise SourceError(
            f"Polygon streams bars of a minute or a second, not of {dataset.bar_seconds} s",
            next_step="stream 1m and let the warehouse make longer bars of them",
        )
    address = feed_address(feed)
    tame_loggers()
    read_key()
    told: queue.SimpleQueue[Told] = queue.SimpleQueue()
    conversations: dict[str, _Conversation] = {}
    for one in listed:
        conversation = conversations.setdefault(
            _MARKETS[one.kind], _Conversation({}, dataset.bar_seconds, channel, market)
        )
        conversation.names[one.vendor_id] = one
    listeners = [
        Listener(name, [f"{channel}.{ticker}" for ticker in one.names], address, told, clock)
        for name, one in conversations.items()
    ]
    threads = [listener.start() for listener in listeners]
    latest = time.monotonic() + first_word_seconds
    try:
        while not stop.is_set():
            with suppress(queue.Empty):
                one_told = told.get(timeout=_POLL_SECONDS)
                if one_told.error is not None:
                    raise _translated(one_told.error)
                yield from conversations[one_told.market].understand(one_told)
            if time.monotonic() > latest and (silent := [name for name, one in conversations.items() if not one.last]):
                raise TryAgainError(
                    f"Polygon confirmed no subscription to {', '.join(silent)} within {first_word_seconds:g} s",
                    where="polygon stream",
                    next_step="check the network, and PIPELINE_POLYGON_FEED if it is set; then start again",
                )
    finally:
        for listener in listeners:
            listener.stopped.set()
        for thread in threads:
            thread.join(_JOIN_SECONDS)


def _as_of_history(event: dict[str, Any]) -> dict[str, Any]:
    """Give a streamed bar the keys that bars of history have: its start is the stamp."""
    bar: dict[str, Any] = {key: event[key] for key in _KEYS if key in event}
    if "s" in event:
        bar["t"] = event["s"]
    return bar


def _translated(error: Exception) -> PipelineError:
    from massive.exceptions import AuthError  # noqa: PLC0415

    if isinstance(error, AuthError):
        return ConfigurationError(
            f"Polygon refused the API key ({redact(str(error))}). Check POLYGON_API_KEY.",
            where="polygon stream",
            next_step="compare POLYGON_API_KEY with the key shown in the vendor's dashboard, then run again",
        )
    if isinstance(error, PipelineError):
        return error
    return TryAgainError(
        f"the client failed with {type(error).__name__}: {redact(str(error))[:500]}", where="polygon stream"
    )
