"""A connection to one of the vendor's streams: a thread with an event loop of its own, around the vendor's client.

The client connects again by itself after a lost connection, and subscribes anew. It ends without a word when the server
closes politely; then another one is made.
"""

from __future__ import annotations

import asyncio
import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.sources.polygon.connection import read_key

if TYPE_CHECKING:
    import datetime as dt
    import queue
    from collections.abc import Callable

    from massive import WebSocketClient

_POLL_SECONDS: Final = 0.1
_FEED: Final = "socket.massive.com"
_PAUSE_SECONDS: Final = 0.5
"""Before a new client is made after the server closed politely."""

_OPEN_SECONDS: Final = 10.0
_LOOPBACK: Final = re.compile(r"ws://((?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]+)?)/?")
_HOST: Final = re.compile(r"(?:wss://)?([A-Za-z0-9.-]+(?::[0-9]+)?)/?")


@dataclass(frozen=True, slots=True)
class Told:
    """What a listener tells.

    Parameters
    ----------
    market : str
        The vendor's.
    connection : object
        Which connection it came over; another one after a gap.
    message : str or bytes
        As it came.
    at : datetime.datetime
        When, UTC.
    error : Exception or None
        What ended the listener; there is no message then.

    """

    market: str
    connection: object
    message: str | bytes
    at: dt.datetime
    error: Exception | None = None


@dataclass
class Listener:
    """One market's connection: a thread that puts what it hears into a queue.

    Parameters
    ----------
    market : str
        The vendor's: stocks, indices or options.
    topics : list of str
        What to subscribe to: ``AM.AAPL``.
    feed : tuple of str and bool
        Of `feed_address`.
    told : queue.SimpleQueue
        Where everything goes.
    clock : callable
        Tells the time, UTC.
    stopped : threading.Event
        Ends it.

    """

    market: str
    topics: list[str]
    feed: tuple[str, bool]
    told: queue.SimpleQueue[Told]
    clock: Callable[[], dt.datetime]
    stopped: threading.Event = field(default_factory=threading.Event)

    def start(self) -> threading.Thread:
        """Start to listen; setting `stopped` ends it."""
        thread = threading.Thread(target=self._run, name=f"polygon-{self.market}", daemon=True)
        thread.start()
        return thread

    def _run(self) -> None:
        try:
            asyncio.run(self._listen())
        except Exception as error:  # noqa: BLE001 -- handed over to who iterates
            self.told.put(Told(self.market, None, "", self.clock(), error))

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
            self.told.put(Told(self.market, client.websocket, message, self.clock()))

        task = asyncio.create_task(client.connect(hear, open_timeout=_OPEN_SECONDS))
        try:
            while not self.stopped.is_set() and not task.done():
                await asyncio.wait({task}, timeout=_POLL_SECONDS)
            if task.done():
                await task
        finally:
            await _end(client, task)


def feed_address(feed: str | None) -> tuple[str, bool]:
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


async def _end(client: WebSocketClient, task: asyncio.Task[None]) -> None:
    """Stop a client in the middle of its work, and say good-bye to the server, which it does not do by itself."""
    task.cancel()
    await asyncio.wait({task})
    if client.websocket is not None:
        await client.websocket.close()
