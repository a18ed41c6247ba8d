"""From an address to a client that is ready: which client id is free, and why there may be none.

Only the client's lower half is started: nothing about the account is asked for, and no order could be sent.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.sources.asking.calling import TryAgainError
from pipeline_defs.sources.asking.credentials import guard_logger
from pipeline_defs.sources.interactive_brokers.errors import (
    CLIENT_ID_IN_USE,
    connection_lost,
    is_about_a_farm,
    not_running,
    verdict,
)
from pipeline_defs.sources.interactive_brokers.loop import adopt_loop

if TYPE_CHECKING:
    from collections.abc import Callable

LOGGERS: Final = ("ib_async.client", "ib_async.wrapper", "ib_async.ib", "ib_async.Decoder")
IDS_TRIED: Final = 8
_HIGHEST_PORT: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Address:
    """Where a TWS listens.

    Parameters
    ----------
    host : str
        Name or address.
    port : int
        Of its API.

    """

    host: str
    port: int

    def __str__(self) -> str:
        """Show host:port."""
        return f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read ``host:port``.

    Raises
    ------
    ConfigurationError
        If it is something else.

    """
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if not host or not (port.isascii() and port.isdecimal()) or not 0 < int(port) <= _HIGHEST_PORT:
        raise ConfigurationError(
            f"{text!r} is no address, expected host:port such as 127.0.0.1:7497",
            where="PIPELINE_INTERACTIVE_BROKERS_ENDPOINT",
            next_step="correct it; TWS shows its port in its API settings",
        )
    return Address(host, int(port))


async def connect(
    address: Address, first_id: int, seconds: float, first_wait_seconds: float, prepare: Callable[[Any], None]
) -> Any:  # noqa: ANN401 -- the client's own class
    """Connect a new client, with the first free one of some client ids.

    Parameters
    ----------
    address : Address
        Of TWS.
    first_id : int
        At least 1; the next ones are tried when it is in use.
    seconds : float
        At most so long for each.
    first_wait_seconds : float
        The caller's patience, for errors that say when to try again.
    prepare : callable
        Is given each client before it connects.

    Returns
    -------
    ib_async.IB
        Ready for requests.

    Raises
    ------
    SourceError
        If nobody listens, TWS closes the door, or all of the ids are in use.
    TryAgainError
        If there is no answer in time, or TWS itself is cut off.

    """
    from ib_async import IB  # noqa: PLC0415 -- only a connection needs the client

    guard_logger(*LOGGERS)
    logging.getLogger("ib_async").addHandler(logging.NullHandler())
    adopt_loop()
    for client_id in range(first_id, first_id + IDS_TRIED):
        ib = IB()
        ib.RaiseRequestErrors = True
        ib.errorEvent.clear()  # the client's own listener would ask for the account after an interruption
        prepare(ib)
        if await _Attempt(ib, address, seconds, first_wait_seconds).succeeds(client_id):
            return ib
    raise SourceError(
        f"the client ids {first_id} to {first_id + IDS_TRIED - 1} are all in use ({CLIENT_ID_IN_USE})",
        where=f"interactive_brokers {address}",
        next_step="set IB_CLIENT_ID to the first of some free numbers, or end other programs at this TWS",
    )


def leave(ib: Any) -> None:  # noqa: ANN401 -- the client's own class
    """End a connection; what it still tells is of no interest, least of all to the next one."""
    for event in (ib.errorEvent, ib.client.apiError, ib.client.apiEnd, ib.client.conn.disconnected):
        event.clear()
    with suppress(ConnectionError, OSError):
        ib.client.disconnect()


class _Attempt:
    """One client id. The client itself would wait until its timeout when TWS refuses it."""

    def __init__(self, ib: Any, address: Address, seconds: float, first_wait_seconds: float) -> None:  # noqa: ANN401
        self._ib, self._address, self._seconds, self._first_wait = ib, address, seconds, first_wait_seconds
        self._refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._id_is_taken = self._is_cut_off = False
        ib.errorEvent += self._hear_error
        ib.client.apiError += self._refuse
        ib.client.conn.disconnected += self._refuse

    async def succeeds(self, client_id: int) -> bool:
        """Connect; False if the id is in use."""
        client, address = self._ib.client, self._address
        connecting = asyncio.ensure_future(client.connectAsync(address.host, address.port, client_id, self._seconds))
        try:
            await asyncio.wait({connecting, self._refused}, return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done() and not client.isReady():
                return self._explain(self._refused.result())
            await connecting
        except TimeoutError:
            raise TryAgainError(
                f"TWS at {address} did not complete the connection within {self._seconds:g} s",
                next_step="look at TWS: a dialog may ask whether to accept the connection, or it is not logged in yet",
            ) from None
        except OSError as error:
            raise not_running(str(address), error.strerror or type(error).__name__) from None
        finally:
            if not client.isReady():
                connecting.cancel()
                leave(self._ib)
        return True

    def _explain(self, said: str) -> bool:
        if self._id_is_taken:
            return False
        if self._is_cut_off:
            raise connection_lost(said, self._first_wait)
        raise not_running(str(self._address), f"it ended the connection at once ({said or 'without a word'})")

    def _hear_error(self, number: int, code: int, text: str, contract: object) -> None:
        del number, contract
        self._id_is_taken = self._id_is_taken or code == CLIENT_ID_IN_USE
        meant = verdict(code, text, first_wait_seconds=self._first_wait)
        if isinstance(meant, TryAgainError) and not is_about_a_farm(code):
            self._is_cut_off = True
        if self._id_is_taken or self._is_cut_off:
            self._refuse(f"{code}: {text}")

    def _refuse(self, message: str) -> None:
        if not self._refused.done():
            self._refused.set_result(message)
