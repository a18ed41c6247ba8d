"""A loopback server that speaks Polygon's WebSocket protocol: greeting, key, subscriptions, and what it is told."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from pipeline_tests.sources.polygon.server import KEY

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from websockets.asyncio.server import ServerConnection


class StreamServer:
    """Runs in a thread of its own; all methods may be called from the test's."""

    def __init__(self) -> None:
        self.port = 0
        self.confirmation: str | None = "success"
        self.subscribed: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self.connections: dict[str, ServerConnection] = {}
        self.clients = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._end: asyncio.Future[None] = self._loop.create_future()

    @property
    def feed(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def say(self, market: str, text: str) -> None:
        self._do(self.connections[market].send(text))

    def drop(self, market: str) -> None:
        """Break a connection without a word."""

        async def _abort() -> None:
            self.connections[market].transport.abort()

        self._do(_abort())

    def close(self, market: str) -> None:
        """Close a connection politely."""
        self._do(self.connections[market].close())

    def run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    def wait_until_ready(self) -> None:
        assert self._ready.wait(5)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set_result, None)

    def _do(self, work: Coroutine[object, object, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(5)

    async def _serve(self) -> None:
        async with serve(self._talk, "127.0.0.1", 0) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            self._ready.set()
            await self._end

    async def _talk(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        market = connection.request.path.removeprefix("/")
        self.clients += 1
        try:
            await connection.send(_status("connected", "Connected Successfully"))
            key = json.loads(await connection.recv())["params"]
            if key != KEY:
                await connection.send(_status("auth_failed", f"authentication failed for {key}"))
                return
            await connection.send(_status("auth_success", "authenticated"))
            topics = json.loads(await connection.recv())["params"]
            self.connections[market] = connection
            if self.confirmation is not None:
                await connection.send(_status(self.confirmation, f"subscribed to: {topics}"))
            self.subscribed.put((market, topics))
            await connection.wait_closed()
        except ConnectionClosed:
            return


def _status(word: str, message: str) -> str:
    return json.dumps([{"ev": "status", "status": word, "message": message}])


@contextmanager
def streaming() -> Iterator[StreamServer]:
    """Run a server on a free port until the end of the block."""
    server = StreamServer()
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    server.wait_until_ready()
    try:
        yield server
    finally:
        server.stop()
        thread.join(5)
