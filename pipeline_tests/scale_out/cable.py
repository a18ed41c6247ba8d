"""The cable of a host that is plain processes: it relays the services' ports to the host's address, until it is cut.

Cut, it swallows what the host sends and answers nothing, as a dead line does. The services see its connections end,
as their own time limits on a silent host would have it a while later.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Sequence

_BLOCK_BYTES = 1 << 16


class Cable:
    """One host's way to the services.

    Parameters
    ----------
    near : str
        Address at which the host finds them.
    far : str
        Address at which they are.

    """

    def __init__(self, near: str, far: str) -> None:
        self._near, self._far = near, far
        self._is_cut = False
        self._near_ends: set[asyncio.StreamWriter] = set()
        self._far_ends: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()

    def cut(self) -> None:
        """Let nothing through."""
        self._call(self._switch(self._far_ends, is_cut=True))

    def mend(self) -> None:
        """Let it through again; connections of the time before are lost."""
        self._call(self._switch(self._near_ends, is_cut=False))

    @contextmanager
    def laid(self, ports: Sequence[int]) -> Iterator[None]:
        """Relay ports for as long as the context lasts."""
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        try:
            for port in ports:
                self._call(self._listen(port))
            yield
        finally:
            self._call(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self, port: int) -> None:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.CancelledError):  # taken away in use
                await self._relay(port, reader, writer)

        await asyncio.start_server(accept, self._near, port)

    async def _end(self) -> None:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _switch(self, ends: set[asyncio.StreamWriter], *, is_cut: bool) -> None:
        self._is_cut = is_cut
        for writer in ends:
            writer.transport.abort()
        ends.clear()

    async def _relay(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._near_ends.add(writer)
        if self._is_cut:
            await self._pump(reader, None)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(self._far, port)
        except OSError:
            writer.close()
            return
        self._far_ends.add(far_writer)
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        self._far_ends.discard(far_writer)
        self._near_ends.discard(writer)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter | None) -> None:
        try:
            while block := await source.read(_BLOCK_BYTES):
                if sink is not None and not self._is_cut:
                    sink.write(block)
                    await sink.drain()
        except OSError:
            pass
        if sink is not None and not self._is_cut:
            sink.close()
