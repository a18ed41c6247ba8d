"""The stream: yfinance's web socket in a thread with a loop of its own; its messages by a queue to whoever listens.

The client's own `listen` is not used: after a lost connection it goes on with the dead one, without a pause.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import SourceError
from pipeline_defs.sources.asking.credentials import redact
from pipeline_defs.sources.asking.streaming import Heard, Silence
from pipeline_defs.sources.yahoo.ticks import decode, tick_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline_defs.sources.asking.calling import Patience
    from pipeline_defs.sources.asking.questions import Listed

URL: Final = "wss://streamer.finance.yahoo.com/?version=2"
_LONGEST_WAIT_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.1
"""How often the listener looks whether it is to stop."""
_MOST_AT_ONCE: Final = 1000
_LOGGER: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Up:
    """The connection stands, and the symbols are subscribed to."""

    at: dt.datetime


@dataclass(frozen=True, slots=True)
class _Down:
    """There is no connection."""

    at: dt.datetime
    reason: str


@dataclass(frozen=True, slots=True)
class _Message:
    at: dt.datetime
    content: str | bytes


type _Event = _Up | _Down | _Message


def listen(
    listed: Sequence[Listed], stop: threading.Event, *, endpoint: str | None, patience: Patience
) -> Iterator[Heard | Silence]:
    """Give ticks until told to stop.

    Parameters
    ----------
    listed : sequence of Listed
        Of what.
    stop : threading.Event
        Ends it.
    endpoint : str or None
        Where to connect in place of Yahoo's own address.
    patience : Patience
        How long to wait for a connection, and how often to try before there ever was one.

    Yields
    ------
    Heard or Silence
        Ticks; or the span of a lost connection, once there is one again. Messages that cannot be read are counted, and
        logged at the end.

    Raises
    ------
    SourceError
        If there never was a connection.

    """
    events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
    url = URL if endpoint is None else f"ws{endpoint.removeprefix('http').rstrip('/')}/?version=2"
    socket = _Socket(url, [one.vendor_id for one in listed], events, patience)
    socket.start()
    hearing = _Hearing(listed, patience)
    try:
        while not stop.is_set():
            yield from hearing.told(_waiting(events))
    finally:
        socket.stop()
        if hearing.damaged:
            _LOGGER.warning("yahoo stream: %d messages could not be read and were skipped", hearing.damaged)


class _Hearing:
    """Makes ticks and silences of events."""

    def __init__(self, listed: Sequence[Listed], patience: Patience) -> None:
        self._by_symbol = {one.vendor_id.upper(): one for one in listed}
        self._tries = patience.tries
        self._last_sign: dt.datetime | None = None
        self._lost: str | None = None
        self._failures = 0
        self.damaged = 0

    def told(self, events: list[_Event]) -> Iterator[Heard | Silence]:
        heard: dict[str, list[Any]] = {}
        for event in events:
            if isinstance(event, _Message):
                self._last_sign = event.at
                pricing = decode(event.content)
                if pricing is None or pricing.id.upper() not in self._by_symbol:
                    self.damaged += 1
                else:
                    heard.setdefault(pricing.id.upper(), []).append(pricing)
            elif isinstance(event, _Down):
                self._lose(event)
            else:
                # What came before the gap is told before it.
                yield from self._ticks(heard)
                heard = {}
                if self._lost is not None and self._last_sign is not None:
                    yield Silence(self._last_sign, event.at, self._lost)
                self._last_sign, self._lost = event.at, None
        yield from self._ticks(heard)

    def _lose(self, event: _Down) -> None:
        self._failures += 1
        self._lost = self._lost or event.reason
        if self._last_sign is None and self._failures >= self._tries:
            raise SourceError(
                f"no connection to Yahoo's stream after {self._failures} tries: {event.reason}",
                where="yahoo stream",
                next_step="check that this machine may open web sockets to Yahoo, then start it again",
            )

    def _ticks(self, heard: dict[str, list[Any]]) -> Iterator[Heard]:
        for symbol, messages in heard.items():
            yield Heard(self._by_symbol[symbol], tick_rows(messages))


class _Socket(threading.Thread):
    """Connects, subscribes and receives, again and again, until stopped."""

    def __init__(self, url: str, symbols: list[str], events: queue.SimpleQueue[_Event], patience: Patience) -> None:
        super().__init__(name="yahoo-stream", daemon=True)
        self._url, self._symbols, self._events, self._patience = url, symbols, events, patience
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._stood = False

    def run(self) -> None:
        """Run the loop to its end."""
        try:
            self._task = self._loop.create_task(self._keep_listening())
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            pass  # that is how it is stopped
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def stop(self) -> None:
        """End it, and wait for its end."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(lambda: self._task and self._task.cancel())
        self.join(timeout=self._patience.try_seconds)

    async def _keep_listening(self) -> None:
        wait = self._patience.first_wait_seconds
        while True:
            try:
                await self._listen_once()
            except Exception as error:  # noqa: BLE001 -- whatever broke, a new connection is the remedy
                told = redact(str(error)) or "no reason given"
                self._events.put(_Down(_now(), f"{type(error).__name__}: {told}"))
            # A connection that stood starts over with a short wait; one that never did waits longer each time.
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT_SECONDS) if not self._stood else self._patience.first_wait_seconds

    async def _listen_once(self) -> None:
        import yfinance as yf  # noqa: PLC0415 -- only a stream needs it

        self._stood = False
        client = yf.AsyncWebSocket(url=self._url, verbose=False)
        try:
            await asyncio.wait_for(client.subscribe(self._symbols), self._patience.try_seconds)
            self._stood = True
            self._events.put(_Up(_now()))
            while True:
                self._events.put(_Message(_now(), await client._ws.recv()))  # noqa: SLF001 -- see above
        finally:
            await client.close()


def _waiting(events: queue.SimpleQueue[_Event]) -> list[_Event]:
    """Take what waits, after a short wait for the first."""
    taken: list[_Event] = []
    try:
        taken.append(events.get(timeout=_LOOK_SECONDS))
        while len(taken) < _MOST_AT_ONCE:
            taken.append(events.get_nowait())
    except queue.Empty:
        pass
    return taken


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
