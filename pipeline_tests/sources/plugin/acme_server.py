"""Acme on this machine: daily bars of one share, counted, and troubles that can be planted."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

BARS = [
    {"day": "2025-08-12", "open": 228.005, "high": 230.8, "low": 227.07, "close": 229.65, "volume": 55626200},
    {"day": "2025-08-13", "open": 231.07, "high": 235, "low": 230.43, "close": 233.33, "volume": 69878500},
]


class AcmeServer(ThreadingHTTPServer):
    """What was asked, and the status of the next answers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.next_statuses: list[int] = []
        self.body: str | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: AcmeServer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        status = self.server.next_statuses.pop(0) if self.server.next_statuses else 200
        split = urlsplit(self.path)
        (first,), (last,) = (parse_qs(split.query)[name] for name in ("from", "to"))
        known = BARS if split.path == "/bars/AAPL" else []
        bars = [bar for bar in known if first <= str(bar["day"]) <= last]
        body = (json.dumps({"bars": bars}) if self.server.body is None else self.server.body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
        del format, args


@contextmanager
def serving() -> Iterator[AcmeServer]:
    """Run the server for as long as the block."""
    server = AcmeServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
