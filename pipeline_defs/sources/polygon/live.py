"""Bars as they are completed, from the vendor's WebSocket.

The vendor's client runs in a thread with an event loop of its own, one for each of the vendor's markets. It connects
again by itself after a lost connection and subscribes anew; the vendor confirms each subscription, and a confirmation
on another connection than the first tells that there was a gap. The client ends without a word when the server closes
politely; then another one is made.
"""

from __future__ import annotations

import asyncio
import queue
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import ConfigurationError, PipelineError, SourceError
from pipeline_defs.schema.tables import MINUTE
from pipeline_defs.sources.asking.calling import TryAgainError
from pipeline_defs.sources.asking.credentials import redact
from pipeline_defs.sources.asking.streaming import Heard, Silence
from pipeline_defs.sources.polygon.bars import bar_rows
from pipeline_defs.sources.polygon.connection import read_key, tame_loggers
from pipeline_defs.sources.polygon.numbers import read_messages

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Sequence

    from massive import WebSocketClient

    from pipeline_defs.markets.market import Market
    from pipeline_defs.sources.asking.questions import Dataset, Listed

_FEED: Final = "socket.massive.com"
_MARKETS: Final = {"EQ": "stocks", "SPOT": "indices", "OPT": "options"}
_CHANNELS: Final = {MINUTE: "AM", 1: "A"}
_KEYS: Final = ("o", "h", "l", "c", "v")
_POLL_SECONDS: Final = 0.1
_PAUSE_SECONDS: Final = 0.5
"""Before a new client is made after the server closed politely."""

_OPEN_SECONDS: Final = 10.0
_JOIN_SECONDS: Final = 5.0
_LOOPBACK: Final = re.compile(r"ws://((?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]+)?)/?")
_HOST: Final = re.compile(r"(?:wss://)?([A-Za-z0-9.-]+(?::[0-9]+)?)/?")


@dataclass(frozen=True, slots=True)
class _Told:
    """A message; or the error that ended a listener."""

    market: str
    connection: object
    message: str | bytes
    at: dt.datetime
    error: Exception | None = None


@dataclass
class _Listener:
    """One market's connection: a thread that puts what it hears into a queue."""

    market: str
    topics: list[str]
    feed: tuple[str, bool]
    told: queue.SimpleQueue[_Told]
    clock: Callable[[], dt.datetime]
    stopped: threading.Event = field(default_factory=threading.Event)

    def start(self) -> threading.Thread:
        thread = threading.Thread(target=self._run, name=f"polygon-{self.market}", daemon=True)
        thread.start()
        return thread

    def _run(self) -> None:
        try:
            asyncio.run(self._listen())
        except Exception as error:  # noqa: BLE001 -- handed over to who iterates
            self.told.put(_Told(self.market, None, "", self.clock(), error))

    async def _listen(self) -> None:
        while not self.stopped.is_set():
            await self._one_client()
            if not self.stopped.is_set():
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _one_client(self) -> None:
        """Run one client until it ends, or until told to stop."""
        from massive import WebSocketClient  # noqa: PLC0415 -- heavy, and only streams need it

        host, secure = self.feed
        client = WebSocketClient(
            read_key(),
            feed=host,
            market=self.market,
            raw=True,  # so that numbers can be read by their digits
            subscriptions=self.topics,
            max_reconnects=None,  # it counts over its whole life, and would end with the sixth lost connection
            secure=secure,
        )

        async def hear(message: str | bytes) -> None:
            self.told.put(_Told(self.market, client.websocket, message, self.clock()))

        task = asyncio.create_task(client.connect(hear, open_timeout=_OPEN_SECONDS))
        try:
            while not self.stopped.is_set() and not task.done():
                await asyncio.wait({task}, timeout=_POLL_SECONDS)
            if task.done():
                await task
        finally:
            await _end(client, task)


@dataclass
class _Conversation:
    """What was heard of one market."""

    names: dict[str, Listed]
    bar_seconds: int
    channel: str
    calendar: Market
    connection: object = None
    last: dt.datetime | None = None

    def understand(self, told: _Told) -> Iterator[Heard | Silence]:
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
            if event.get("ev") == self.channel and event.get("sym") in self.names:
                by_name.setdefault(event["sym"], []).append(event)
        for name, bars in by_name.items():
            listed = self.names[name]
            rows = [_as_of_history(bar) for bar in bars]
            has_volume = listed.kind != "SPOT"
            what = f"stream of {name}"
            yield Heard(listed, bar_rows(rows, self.bar_seconds, self.calendar, what, has_volume=has_volume))

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
    address = _address(feed)
    tame_loggers()
    read_key()
    told: queue.SimpleQueue[_Told] = queue.SimpleQueue()
    conversations: dict[str, _Conversation] = {}
    for one in listed:
        conversation = conversations.setdefault(
            _MARKETS[one.kind], _Conversation({}, dataset.bar_seconds, channel, market)
        )
        conversation.names[one.vendor_id] = one
    listeners = [
        _Listener(name, [f"{channel}.{ticker}" for ticker in one.names], address, told, clock)
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


def _address(feed: str | None) -> tuple[str, bool]:
    """Give a feed as the client wants it: the host, and whether by TLS."""
    text = feed or _FEED
    if loopback := _LOOPBACK.fullmatch(text):
        return loopback[1], False
    if host := _HOST.fullmatch(text):
        return host[1], True
    raise ConfigurationError(
        f"{text!r} is no host to listen to",
        where="PIPELINE_POLYGON_FEED",
        next_step=f"such as {_FEED}; ws:// is for 127.0.0.1 only, as the key goes over it",
    )


def _as_of_history(event: dict[str, Any]) -> dict[str, Any]:
    """Give a streamed bar the keys that bars of history have; its start is the stamp, and `dv` the exact volume."""
    bar: dict[str, Any] = {key: event[key] for key in _KEYS if key in event}
    if "dv" in event:
        bar["v"] = event["dv"]
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


async def _end(client: WebSocketClient, task: asyncio.Task[None]) -> None:
    """Stop a client in the middle of its work, and say good-bye to the server, which it does not do by itself."""
    task.cancel()
    await asyncio.wait({task})
    if client.websocket is not None:
        await client.websocket.close()
