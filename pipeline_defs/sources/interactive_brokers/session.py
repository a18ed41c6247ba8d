"""One connection to TWS: requests, their answers and their errors.

The client tells of errors in an event, apart from the requests that they are about, and lets some requests wait until
their timeout although TWS has refused them. Here each request ends with whichever comes first: its answer, an error of
its own, an error of the connection, or its timeout; and only an answer, or TWS's own word that there is nothing, counts
as one. A connection that failed is not used again: the next one is a new client.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.errors import PipelineError, SchemaDriftError, SourceError
from pipeline_defs.sources.asking.calling import TryAgainError
from pipeline_defs.sources.interactive_brokers import replies
from pipeline_defs.sources.interactive_brokers.connecting import Address, connect, leave
from pipeline_defs.sources.interactive_brokers.errors import (
    NothingThere,
    connection_lost,
    doubtful_nothing,
    history_farm,
    is_about_a_farm,
    not_answered,
    verdict,
)
from pipeline_defs.sources.interactive_brokers.loop import adopt_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_EVERY_REQUEST: Final = -1


@dataclass(frozen=True, slots=True)
class Reply:
    """What TWS answered.

    Parameters
    ----------
    objects : list
        Of the client: details of contracts, chains, symbols.
    rows : polars.DataFrame or None
        Bars or ticks, as text; None when there are none in the reply.
    nothing : str
        TWS's own words when it has nothing.

    """

    objects: list[Any]
    rows: pl.DataFrame | None = None
    nothing: str = ""


@dataclass
class _Open:
    """A request that waits for its answer."""

    trouble: asyncio.Future[NothingThere]
    parts: list[pl.DataFrame] = field(default_factory=list)


class Session:
    """A connection.

    Parameters
    ----------
    address : Address
        Of TWS.
    seconds : float
        For connecting, and for each request.
    first_wait_seconds : float
        The caller's patience, for errors that say when to try again.

    """

    def __init__(self, address: Address, seconds: float, first_wait_seconds: float) -> None:
        self._address, self._seconds, self._first_wait = address, seconds, first_wait_seconds
        self._ib: Any = None
        self._open: dict[int, _Open] = {}
        self._broken_farms: dict[str, str] = {}
        self._is_failed = False
        self._said = ""

    @property
    def is_usable(self) -> bool:
        """Whether another request can be sent."""
        return self._ib is not None and not self._is_failed and bool(self._ib.client.isReady())

    async def connect(self, first_id: int) -> None:
        """Connect, as `connecting.connect` does."""
        self._ib = await connect(self._address, first_id, self._seconds, self._first_wait, self._prepare)

    def _prepare(self, ib: Any) -> None:  # noqa: ANN401 -- the client's own class
        ib.errorEvent += self._hear_error
        ib.client.apiEnd += self._hear_end
        self._take_replies(ib.client)

    async def request(
        self, send: Callable[[Any, int], None], cancel: Callable[[Any, int], None] | None = None
    ) -> Reply:
        """Send a request and wait for its answer.

        Parameters
        ----------
        send : callable
            Is given the client and the request's number.
        cancel : callable or None
            The same, to tell TWS that nobody waits any longer.

        Returns
        -------
        Reply

        Raises
        ------
        TryAgainError, SourceError
            As in `errors`; a reply that cannot be read is a `SchemaDriftError`.

        """
        if not self.is_usable:
            raise connection_lost("it was closed", self._first_wait)
        adopt_loop()
        client, wrapper = self._ib.client, self._ib.wrapper
        number = client.getReqId()
        waiting = self._open[number] = _Open(asyncio.get_running_loop().create_future())
        answered = wrapper.startReq(number)
        try:
            send(client, number)
            await asyncio.wait({answered, waiting.trouble}, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
            return self._outcome(answered, waiting)
        except TryAgainError:
            self._is_failed = self._is_failed or not (answered.done() or waiting.trouble.done())
            raise
        finally:
            del self._open[number]
            if not answered.done():
                answered.cancel()
                if cancel is not None and client.isReady():
                    cancel(client, number)
            elif not answered.cancelled():
                answered.exception()  # it was told by the error event as well

    def _outcome(self, answered: asyncio.Future[list[Any]], waiting: _Open) -> Reply:
        if waiting.trouble.done():
            nothing = waiting.trouble.result()
            if self._broken_farms:
                told = "; ".join(self._broken_farms.values())
                raise doubtful_nothing(told, self._first_wait)
            return Reply([], None, nothing.text)
        if not answered.done():
            raise not_answered(self._seconds, self._said, self._first_wait)
        try:
            objects = answered.result()
        except ConnectionError as error:
            raise connection_lost(str(error), self._first_wait) from None
        return Reply(objects, pl.concat(waiting.parts) if waiting.parts else None)

    async def close(self) -> None:
        """End the connection."""
        if self._ib is not None:
            leave(self._ib)
            self._ib = None

    # What the client tells. --------------------------------------------------------------------------------------

    def _hear_error(self, number: int, code: int, text: str, contract: object) -> None:
        del contract
        farm = history_farm(code, text)
        if farm is not None and farm[1]:
            self._broken_farms[farm[0]] = text
        elif farm is not None:
            self._broken_farms.pop(farm[0], None)
        meant = verdict(code, text, first_wait_seconds=self._first_wait)
        if meant is None:
            return
        if number == _EVERY_REQUEST:
            self._hear_of_connection(meant, f"{code}: {text}", is_farm=is_about_a_farm(code))
        elif number in self._open:
            _settle(self._open[number].trouble, meant)

    def _hear_of_connection(self, meant: NothingThere | PipelineError, said: str, *, is_farm: bool) -> None:
        """Take what is about no request in particular: it ends all of them where the connection is in trouble."""
        self._said = said
        if not isinstance(meant, TryAgainError):
            return
        if not is_farm:
            self._is_failed = True
        for waiting in self._open.values():
            _settle(waiting.trouble, meant)

    def _hear_end(self, *_: object) -> None:
        self._is_failed = True

    def _take_replies(self, client: Any) -> None:  # noqa: ANN401 -- the client's own class
        """Put readers of ours into the client's table of what to do with which message."""
        handlers = getattr(client.decoder, "handlers", None)
        wanted = (replies.BARS, replies.QUOTES, replies.TRADES, replies.CONTRACT, replies.CHAIN, replies.SYMBOLS)
        if not isinstance(handlers, dict) or not handlers.keys() >= set(wanted):
            raise SourceError(
                "this version of ib_async decodes messages in another way",
                where="interactive_brokers",
                next_step="install ib_async 2.0.1",
            )
        for kind in (replies.CONTRACT, replies.CHAIN, replies.SYMBOLS):
            handlers[kind] = self._guarded(handlers[kind], client.decoder)
        handlers[replies.BARS] = lambda fields: self._keep(fields, replies.read_bars)
        for kind in (replies.QUOTES, replies.TRADES):
            handlers[kind] = lambda fields: self._keep(fields, replies.read_ticks)

    def _guarded(self, handler: Callable[[list[str]], None], decoder: Any) -> Callable[[list[str]], None]:  # noqa: ANN401
        """Let a message that the client cannot read fail its request: the client would log it and wait."""

        def handle(fields: list[str]) -> None:
            number = replies.request_of(fields, decoder.serverVersion)
            try:
                handler(list(fields))
            except Exception as error:  # noqa: BLE001 -- whatever the client stumbles over
                self._settle_number(number, _unreadable(fields, error))

        return handle

    def _keep(self, fields: Sequence[str], read: Callable[[Sequence[str]], replies.Told]) -> None:
        try:
            told = read(fields)
        except (PipelineError, ValueError, IndexError) as error:
            number = (
                int(fields[1]) if len(fields) > 1 and fields[1].isascii() and fields[1].isdigit() else _EVERY_REQUEST
            )
            self._settle_number(number, error if isinstance(error, PipelineError) else _unreadable(fields, error))
            return
        waiting = self._open.get(told.request)
        if waiting is not None:
            waiting.parts.append(told.rows)
            if told.is_last:
                self._ib.wrapper.historicalDataEnd(told.request, "", "")

    def _settle_number(self, number: int, error: PipelineError) -> None:
        for known, waiting in self._open.items():
            if number in {known, _EVERY_REQUEST}:
                _settle(waiting.trouble, error)


def _settle(trouble: asyncio.Future[NothingThere], meant: NothingThere | PipelineError) -> None:
    if trouble.done():
        return
    if isinstance(meant, NothingThere):
        trouble.set_result(meant)
    else:
        trouble.set_exception(meant)
        trouble.exception()  # nobody may wait for it any longer


def _unreadable(fields: Sequence[str], error: Exception) -> SchemaDriftError:
    return SchemaDriftError(
        f"a message of kind {fields[0]} with {len(fields)} fields cannot be read: {error}",
        next_step="TWS speaks another version of its protocol: nothing was stored; report it with this message",
    )
