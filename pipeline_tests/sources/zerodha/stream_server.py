"""A loopback server that speaks Kite's WebSocket: packets packed as documented, with numbers of our own."""

from __future__ import annotations

import json
import struct
import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

from websockets.sync.server import ServerConnection
from websockets.sync.server import serve as serve_websocket

from pipeline_tests.sources.zerodha.server import KEY, TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from websockets.http11 import Request, Response

HEARTBEAT: Final = b"\x00"

type Scene = Callable[[ServerConnection], None]


def full(
    token: int,
    second: int,
    price: int,
    *,
    quantity: int = 75,
    volume: int = 1_000,
    interest: int = 0,
    bid: tuple[int, int] = (0, 0),
    ask: tuple[int, int] = (0, 0),
) -> bytes:
    """A packet of 184 bytes: prices in paise; bid and ask are (quantity, price)."""
    head = struct.pack(">11I", token, price, quantity, price, volume, 500, 600, price, price, price, price)
    state = struct.pack(">5I", second, interest, interest, interest, second)
    levels = [bid, *[(0, 0)] * 4, ask, *[(0, 0)] * 4]
    packet = head + state + b"".join(struct.pack(">IIHH", *level, 1, 0) for level in levels)
    assert len(packet) == 184
    return packet


def quote(token: int, price: int) -> bytes:
    """A packet of 44 bytes, which comes until the full mode is set: it has no time."""
    return struct.pack(">11I", token, price, 75, price, 1_000, 500, 600, price, price, price, price)


def index(token: int, second: int, price: int) -> bytes:
    """A packet of 32 bytes, which an index has."""
    return struct.pack(">8I", token, price, price, price, price, price, 0, second)


def message(*packets: bytes) -> bytes:
    """Several packets, each behind its length."""
    return struct.pack(">H", len(packets)) + b"".join(struct.pack(">H", len(one)) + one for one in packets)


class StreamServer:
    """Plays one scene for each connection, then keeps it open."""

    def __init__(self) -> None:
        self.scenes: deque[Scene] = deque()
        self.asked: list[list[object]] = []
        """What each connection subscribed to."""
        self.accepted = TOKEN
        self.url = ""
        self.over = threading.Event()

    def handle(self, connection: ServerConnection) -> None:
        # The client subscribes and then names the mode.
        self.asked.append([json.loads(connection.recv()), json.loads(connection.recv())])
        if self.scenes:
            self.scenes.popleft()(connection)
        self.over.wait()

    def check(self, connection: ServerConnection, request: Request) -> Response | None:
        query = parse_qs(urlsplit(request.path).query)
        if query != {"api_key": [KEY], "access_token": [self.accepted]}:
            return connection.respond(403, "Forbidden")
        return None


@contextmanager
def serve_stream() -> Iterator[StreamServer]:
    state = StreamServer()
    with serve_websocket(state.handle, "127.0.0.1", 0, process_request=state.check, close_timeout=0.1) as server:
        state.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield state
        finally:
            state.over.set()
            server.shutdown()
            thread.join()
