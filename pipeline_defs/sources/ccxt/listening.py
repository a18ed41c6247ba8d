"""Candles as they happen, in an event loop of its own thread.

Exchanges send the running candle again and again and few of them say that it is final, so a bar is told when a later
one of its pair has begun. After a lost connection the candle that ran then is not told, for its end was not seen: the
bars between belong to the `Silence`, and an import brings them.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import PipelineError, SourceError
from pipeline_defs.sources.asking.calling import TryAgainError
from pipeline_defs.sources.asking.credentials import redact
from pipeline_defs.sources.asking.streaming import Heard, Silence
from pipeline_defs.sources.ccxt.exchanges import make_exchange, timeframe_of
from pipeline_defs.sources.ccxt.refusals import translate
from pipeline_defs.sources.ccxt.rows import bar_rows, candle_texts

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator

    from pipeline_defs.sources.asking.calling import Patience
    from pipeline_defs.sources.asking.questions import Listed
    from pipeline_defs.sources.ccxt.client import Client

_LOOK_SECONDS: Final = 0.2
"""How often somebody who waits looks whether to stop."""
_LONGEST_PAUSE_SECONDS: Final = 30.0
_JOIN_SECONDS: Final = 5.0


@dataclass(kw_only=True)
class Ear:
    """Listens in its own thread.

    Parameters
    ----------
    client : Client
        With its list of markets.
    bar_seconds : int
        Length of the bars.
    listed : tuple of Listed
        Which pairs.
    stop : threading.Event
        Ends it.
    clock : callable
        Tells the time, UTC.
    endpoint : str or None
        Where to listen in place of the exchange's own address.
    patience : Patience
        How long to wait for a connection, and before another try.

    """

    client: Client
    bar_seconds: int
    listed: tuple[Listed, ...]
    stop: threading.Event
    clock: Callable[[], dt.datetime]
    endpoint: str | None
    patience: Patience
    _told: queue.Queue[Heard | Silence | PipelineError] = field(default_factory=queue.Queue, init=False)
    _left: threading.Event = field(default_factory=threading.Event, init=False)
    _last_sign: dt.datetime | None = field(default=None, init=False)
    _trouble: str = field(default="", init=False)

    def listen(self) -> Iterator[Heard | Silence]:
        """Give completed bars until told to stop.

        Yields
        ------
        Heard or Silence
            One or more bars of one pair; or a span without connection.

        Raises
        ------
        ConfigurationError
            If the exchange does not stream such bars.
        SourceError
            If it refuses a pair.

        """
        thread = threading.Thread(target=self._listen, name=f"ccxt {self.client.name} stream", daemon=True)
        thread.start()
        try:
            while not self.stop.is_set():
                try:
                    told = self._told.get(timeout=_LOOK_SECONDS)
                except queue.Empty:
                    if not thread.is_alive() and not self.stop.is_set():  # told to stop, it ends by itself
                        self._refuse_dead()
                    continue
                if isinstance(told, PipelineError):
                    raise told
                yield told
            yield from self._left_over()
        finally:
            self._left.set()
            thread.join(_JOIN_SECONDS)

    def _left_over(self) -> Iterator[Heard | Silence]:
        """Give what was heard before one was told to stop."""
        while not self._told.empty():
            told = self._told.get_nowait()
            if not isinstance(told, PipelineError):
                yield told

    def _refuse_dead(self) -> None:
        raise SourceError(
            f"the thread that listens to {self.client.name} has died",
            next_step="start the recording again; if it happens again, report it with what was printed",
        )

    @property
    def _is_over(self) -> bool:
        return self.stop.is_set() or self._left.is_set()

    def _listen(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        self._last_sign = self.clock()
        pause = self.patience.first_wait_seconds
        while not self._is_over:
            seen = self._last_sign
            try:
                await self._connection()
            except TryAgainError as error:
                self._trouble = redact(error.what)
            except PipelineError as error:
                self._told.put(type(error)(redact(error.what), where=error.where, next_step=error.next_step))
                return
            pause = self.patience.first_wait_seconds if self._last_sign != seen else pause * 2
            await self._rest(min(pause, _LONGEST_PAUSE_SECONDS))

    async def _rest(self, seconds: float) -> None:
        waited = 0.0
        while waited < seconds and not self._is_over:
            await asyncio.sleep(min(_LOOK_SECONDS, seconds - waited))
            waited += _LOOK_SECONDS

    async def _connection(self) -> None:
        """Listen on one connection until it breaks, or it is over."""
        import ccxt.pro  # noqa: PLC0415 -- heavy: only listening needs it

        # A new client each time: nothing that the old connection left behind can be taken for news.
        exchange = make_exchange(ccxt.pro, self.client.name, self.endpoint, self.patience.try_seconds)
        exchange.set_markets(self.client.markets)
        exchange.number = str
        timeframe = timeframe_of(exchange, self.bar_seconds, "watchOHLCV")
        since = self.clock()
        tasks = [asyncio.ensure_future(self._pair(exchange, timeframe, one, since)) for one in self.listed]
        try:
            while not self._is_over:
                done, _ = await asyncio.wait(tasks, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        except PipelineError:
            raise
        except Exception as error:  # noqa: BLE001 -- its own hierarchy, and whatever its parsers stumble over
            raise translate(error, self.client.name, None, {}, self.client.markets or {}) from None
        finally:
            for task in tasks:
                task.cancel()
            await exchange.close()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pair(self, exchange: Any, timeframe: str, one: Listed, since: dt.datetime) -> None:  # noqa: ANN401
        """Listen to one pair; what closed before one listened is left to imports."""
        running: dict[int, list[Any]] = {}
        earliest = round(since.timestamp() * 1000) - self.bar_seconds * 1000
        while True:
            candles = await exchange.watch_ohlcv(one.symbol, timeframe)
            self._hear()
            # Copies: the client goes on writing into its own.
            running.update({candle[0]: list(candle) for candle in candles if candle[0] > earliest})
            if not running:
                continue
            newest = max(running)
            whole = [running.pop(begin) for begin in sorted(running) if begin < newest]
            if whole:
                earliest = whole[-1][0]
                self._told.put(Heard(one, bar_rows(candle_texts(whole), self.bar_seconds)))

    def _hear(self) -> None:
        """Note a sign of life; the first one after a break ends the silence."""
        now = self.clock()
        if self._trouble and self._last_sign is not None:
            self._told.put(Silence(self._last_sign, now, self._trouble))
            self._trouble = ""
        self._last_sign = now
