"""A TWS on loopback: it speaks the protocol to the real client, and fails in whatever way a test asks for.

It listens in a thread of its own. Requests are kept as the fields that came over the wire.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import struct
import threading
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline_tests.sources.interactive_brokers import layouts
from pipeline_tests.sources.interactive_brokers.frames import frame, read_frame, read_greeting
from pipeline_tests.sources.interactive_brokers.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DETAILS, HISTORY, CANCEL_HISTORY, POSITIONS, START, CHAIN, SYMBOLS, TICKS = 9, 20, 25, 61, 71, 78, 81, 96
TICK_KINDS = {"BID_ASK": 97, "TRADES": 98, "MIDPOINT": 96}
PAGE_OF_TICKS = 1000


@dataclass(frozen=True)
class Failure:
    """What to do in place of an answer.

    Parameters
    ----------
    code, text : int, str
        An error to tell; 0 for none.
    for_all : bool
        Whether it is about the connection, not about the request.
    then_answer : bool
        Whether the answer follows all the same.
    drops : str
        ``now`` or ``mid-frame``: the connection ends, before or within the answer.
    damage : callable or None
        Changes the frame of the answer.

    """

    code: int = 0
    text: str = ""
    for_all: bool = False
    then_answer: bool = False
    drops: str = ""
    damage: Callable[[bytes], bytes] | None = None


HANG = Failure()
DROP = Failure(drops="now")
DROP_MID_FRAME = Failure(drops="mid-frame")


@dataclass
class Tws:
    """A running server.

    Parameters
    ----------
    world : World
        What it knows.
    version : int
        Of the protocol that it speaks.

    """

    world: World = field(default_factory=World)
    version: int = 178
    port: int = 0
    requests: list[list[str]] = field(default_factory=list)
    greetings: list[str] = field(default_factory=list)
    taken_ids: set[int] = field(default_factory=set)
    on_history: deque[Failure] = field(default_factory=deque)
    on_details: deque[Failure] = field(default_factory=deque)
    on_connect: deque[Failure] = field(default_factory=deque)
    at_start: list[bytes] = field(default_factory=list)
    connections: int = 0

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    def of_kind(self, kind: int) -> list[list[str]]:
        return [fields for fields in self.requests if fields[0] == str(kind)]

    @property
    def history_requests(self) -> list[str]:
        """What was asked for, without the requests' own numbers."""
        return [",".join(fields[2:]) for fields in self.requests if fields[0] in {str(HISTORY), str(TICKS)}]

    # One client. -------------------------------------------------------------------------------------------------

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        client_id = 0
        try:
            self.greetings.append(await read_greeting(reader))
            failure = self.on_connect.popleft() if self.on_connect else None
            if failure is not None and failure.drops:
                return
            if failure == HANG:
                await reader.read()
                return
            writer.write(frame(self.version, f"{dt.datetime.now(dt.UTC):%Y%m%d %H:%M:%S} UTC"))
            while True:
                fields = await read_frame(reader)
                self.requests.append(fields)
                if fields[0] == str(START):
                    client_id = int(fields[2])
                    if client_id in self.taken_ids:
                        client_id = 0
                        writer.write(layouts.error(-1, 326, "Unable to connect as the client id is already in use."))
                        await writer.drain()
                        return
                    self.taken_ids.add(client_id)
                if self._answer(fields, writer):
                    return
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.taken_ids.discard(client_id)
            with suppress(ConnectionError, RuntimeError):
                writer.close()

    def _answer(self, fields: list[str], writer: asyncio.StreamWriter) -> bool:
        """Write the answer to a request; tell whether the connection ends with it."""
        kind = int(fields[0])
        if kind == START:
            writer.write(layouts.managed_accounts())
            writer.writelines(self.at_start)
            writer.write(layouts.next_valid_id())
            writer.write(layouts.error(-1, 2104, "Market data farm connection is OK:usfarm", self.version))
            writer.write(layouts.error(-1, 2106, "HMDS data farm connection is OK:ushmds", self.version))
            writer.write(layouts.error(-1, 2158, "Sec-def data farm connection is OK:secdefnj", self.version))
            return False
        if kind == POSITIONS:
            writer.write(frame(62, 1))
            return False
        request = fields[2] if kind == DETAILS else fields[1]
        waiting = self.on_history if kind in {HISTORY, TICKS} else self.on_details
        failure = waiting.popleft() if waiting and kind != CANCEL_HISTORY else None
        if failure is None:
            writer.write(self._reply(kind, fields))
            return False
        if failure.code:
            about = layouts.EVERY_REQUEST if failure.for_all else request
            writer.write(layouts.error(about, failure.code, failure.text, self.version))
        if failure.then_answer:
            writer.write(self._reply(kind, fields))
        if failure.damage is not None:
            body = failure.damage(self._reply(kind, fields)[4:])
            writer.write(struct.pack(">I", len(body)) + body)
        if failure.drops == "mid-frame":
            reply = self._reply(kind, fields)
            writer.write(reply[: len(reply) // 2])
        return bool(failure.drops)

    def _reply(self, kind: int, fields: list[str]) -> bytes:
        if kind == DETAILS:
            return self._details(fields)
        if kind == HISTORY:
            return self._history(fields)
        if kind == TICKS:
            return self._ticks(fields)
        if kind == CHAIN:
            offers = [one for one in self.world.offers if str(one.underlying) == fields[5]]
            parts = [layouts.option_offer(fields[1], one) for one in offers]
            return b"".join([*parts, layouts.option_offers_end(fields[1])])
        if kind == SYMBOLS:
            near = [one for one in self.world.securities if one.symbol.startswith(fields[2]) and not one.expires]
            return layouts.symbol_samples(fields[1], near)
        return b""

    def _details(self, fields: list[str]) -> bytes:
        request, asked = fields[2], dict(zip(layouts.CONTRACT_FIELDS, fields[3:15], strict=True))
        found = self.world.matching(asked)
        if not found:
            return layouts.error(request, 200, "No security definition has been found for the request", self.version)
        parts = [layouts.contract_details(request, one, self.version) for one in found]
        return b"".join([*parts, layouts.contract_details_end(request)])

    def _history(self, fields: list[str]) -> bytes:
        asked = dict(zip(layouts.CONTRACT_FIELDS, fields[2:14], strict=True))
        _, end, size, duration, *_ = fields[14:]
        last = dt.datetime.strptime(end, "%Y%m%d %H:%M:%S UTC").replace(tzinfo=dt.UTC)
        days, unit = duration.split(" ")
        assert unit == "D"
        bars = self.world.history(int(asked["conId"]), size, last, int(days))
        return layouts.historical_data(fields[1], bars)

    def _ticks(self, fields: list[str]) -> bytes:
        """A page: at least as many ticks as were asked for, and all of the last second."""
        number, (_, start, _, count, what, *_) = int(fields[2]), fields[14:]
        begin = dt.datetime.strptime(start, "%Y%m%d %H:%M:%S UTC").replace(tzinfo=dt.UTC).timestamp()
        ticks, second = [], 0
        for one in self.world.ticks.get((number, what), []):
            second = int(one[0]) if one[0].isdigit() else second  # damaged: it stays where it was
            ticks += [one] if second >= begin or not second else []
        page = ticks[: int(count)]
        page += [one for one in ticks[int(count) :] if one[0] == page[-1][0]]
        half = len(page) // 2
        kind = TICK_KINDS[what]
        return b"".join(
            (
                layouts.historical_ticks(kind, fields[1], page[:half], done=False),
                layouts.historical_ticks(kind, fields[1], page[half:], done=True),
            )
        )


@contextmanager
def running(tws: Tws | None = None) -> Iterator[Tws]:
    """Run a server until the end of the context."""
    tws = tws or Tws()
    loop = asyncio.new_event_loop()
    listening, stop = threading.Event(), asyncio.Event()

    async def main() -> None:
        server = await asyncio.start_server(tws.serve, "127.0.0.1", tws.port)
        tws.port = server.sockets[0].getsockname()[1]
        listening.set()
        await stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),), name="fake-tws", daemon=True)
    thread.start()
    assert listening.wait(5)
    try:
        yield tws
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(5)
        loop.close()
