"""An HTTP door on loopback between client and object store: counts what passes, and fails as networks and stores do."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

CUT = "cut"
"""Answer half, then cut the connection."""

type Fault = int | float | str | threading.Event | None
"""A status to answer with, seconds to wait before answering, `CUT`, or an event to wait for."""

_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "content-length"}
_BEFORE_ANSWERING = 30


class Door:
    """Forwards requests to an S3 server.

    Parameters
    ----------
    url : str
        Of the server.

    """

    def __init__(self, url: str) -> None:
        self.passed: list[tuple[str, str]] = []
        """Method and path (with query) of every request, in order."""
        self.fault: Callable[[str, str], Fault] = lambda _method, _path: None
        """Asked for each request what is to go wrong with it."""
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.door = self
        self._server.target = urlsplit(url).netloc
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def forget(self) -> None:
        self.passed.clear()

    def counted(self) -> Counter[str]:
        """Count what has passed by kind: data and publishing's own apart."""
        return Counter(_kind(method, path) for method, path in self.passed)


def _kind(method: str, path: str) -> str:
    place, _, query = path.partition("?")
    if method == "GET" and "list-type" in query:
        return "list"
    name = place.rpartition("/")[2]
    if name == "_manifest.json" or "/_publication/" in place:
        return f"{method} own"
    return f"{method} data"


class _Server(ThreadingHTTPServer):
    door: Door
    target: str
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that are killed are the point."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        door = self.server.door
        fault = door.fault(self.command, self.path)
        if isinstance(fault, threading.Event):
            fault.wait(_BEFORE_ANSWERING)
            self.close_connection = True
            return
        kind = "COPY" if self.headers.get("x-amz-copy-source") else self.command
        door.passed.append((kind, self.path))
        if isinstance(fault, float):
            time.sleep(fault)
        if isinstance(fault, int):
            self._answer(fault, [("Content-Type", "application/xml")], b"<Error><Code>InternalError</Code></Error>")
            return
        upstream = http.client.HTTPConnection(self.server.target, timeout=_BEFORE_ANSWERING)
        with contextlib.closing(upstream):
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            upstream.request(self.command, self.path, body, {**headers, "Content-Length": str(len(body))})
            response = upstream.getresponse()
            data = response.read()
            self._answer(response.status, response.getheaders(), data, is_cut=fault == CUT)

    def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes, *, is_cut: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP:
                self.send_header(name, value)
        length = next((v for n, v in headers if n.lower() == "content-length"), str(len(data)))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if is_cut else data)
        self.close_connection = is_cut

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass  # noqa: N815 -- named by the library

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- named by the library
        """Say nothing."""
