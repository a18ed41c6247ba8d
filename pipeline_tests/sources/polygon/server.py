"""A loopback server that speaks Polygon's REST API, page by page, and fails when told to."""

from __future__ import annotations

import datetime as dt
import json
import re
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "planted-key-7Qx"
_AGGS = re.compile(r"/v2/aggs/ticker/([^/]+)/range/(\d+)/(\w+)/([^/]+)/([^/]+)")
_STAMP = re.compile(r'"t": ?(\d+)')
_NEW_YORK = ZoneInfo("America/New_York")


@dataclass
class Fault:
    """What is answered in place of the right reply.

    `body` None keeps the right one; `cut` bytes are left out at its end although they were promised; a `pause` is made
    before it, or, with `trickle`, after each of its bytes. With `only_history` it waits for a request for bars.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: str | bytes | None = None
    cut: int = 0
    pause: float = 0.0
    trickle: bool = False
    only_history: bool = False


class PolygonServer(ThreadingHTTPServer):
    """Holds what there is, and what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bars: dict[tuple[str, int, str], list[str]] = {}
        self.details: dict[str, str] = {}
        self.listings: dict[str, list[str]] = {}
        self.page_size = 50_000
        self.status = "OK"
        self.asked: list[str] = []
        self.faults: deque[Fault | None] = deque()
        self.keys: set[str] = {KEY}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def fail(self, *faults: Fault | None) -> None:
        """Let the next requests fail; None lets one pass."""
        self.faults.extend(faults)

    def history(self) -> list[str]:
        return [one for one in self.asked if one.startswith("/v2/aggs/")]

    def page(self, rows: list[str], path: str, query: dict[str, list[str]], head: str) -> str:
        """Write one page of rows, the next one's address included."""
        offset = int(query.get("cursor", ["0"])[0])
        here = rows[offset : offset + self.page_size]
        after = offset + len(here)
        again = urlencode([(name, value[0]) for name, value in query.items() if name != "cursor"])
        address = f"https://api.example.com{path}?{again}&cursor={after}"
        follow = f',"next_url":"{address}"' if after < len(rows) else ""
        results = f',"results":[{",".join(here)}]' if here or not head else ""
        counted = f',"queryCount":{len(here)},"resultsCount":{len(here)},"count":{len(here)}' if head else ""
        return f'{{{head}"status":"{self.status}","request_id":"r1"{counted}{results}{follow}}}'

    def right(self, path: str, query: dict[str, list[str]]) -> tuple[int, str]:
        """Give the right reply."""
        if match := _AGGS.fullmatch(path):
            ticker, count, span, begin, end = match.groups()
            first, last = _instant(begin, 0), _instant(end, 1)
            rows = [
                row
                for row in self.bars.get((ticker, int(count), span), [])
                if (stamp := _STAMP.search(row)) is None or first <= int(stamp[1]) < last
            ]
            head = f'"ticker":"{ticker}","adjusted":{query.get("adjusted", ["false"])[0]},'
            return 200, self.page(rows, path, query, head)
        if path.startswith("/v3/reference/tickers/"):
            found = self.details.get(path.rpartition("/")[2])
            if found is None:
                return 404, '{"status":"NOT_FOUND","request_id":"r2","message":"Ticker not found."}'
            return 200, f'{{"status":"OK","request_id":"r2","results":{found}}}'
        if path == "/v3/reference/tickers":
            names = [name for name in self.details if query["ticker.gte"][0] <= name < query["ticker.lt"][0]]
            return 200, self.page([json.dumps({"ticker": name}) for name in sorted(names)], path, query, "")
        listing = self.listings.get(path)
        if listing is None:
            return 404, '{"status":"NOT_FOUND","message":"page not found"}'
        return 200, self.page([row for row in listing if _is_meant(row, query)], path, query, "")


def _instant(text: str, days: int) -> int:
    """Read an end of a range: milliseconds, where the last one is meant, too, or a day in New York."""
    if text.isdigit():
        return int(text) + days
    day = dt.datetime.combine(dt.date.fromisoformat(text) + dt.timedelta(days=days), dt.time(), _NEW_YORK)
    return round(day.timestamp() * 1000)


def _is_meant(row: str, query: dict[str, list[str]]) -> bool:
    """Tell whether a row of a listing passes the query's filters, as far as they are known here."""
    content = json.loads(row)
    for name, (value, *_) in query.items():
        key, _, relation = name.partition(".")
        if name == "expired":
            is_over = (
                content["expiration_date"] <= query["as_of"][0] and content["expiration_date"] != query["as_of"][0]
            )
            if is_over != (value == "true"):
                return False
        elif key in content:
            number: Any = float if "strike" in key else str
            got, wanted = number(content[key]), number(value)
            if not {"": got == wanted, "gte": got >= wanted, "lte": got <= wanted}[relation]:
                return False
    return True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: PolygonServer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.server.asked.append(self.path)
        if self.headers.get("Authorization", "").removeprefix("Bearer ") not in self.server.keys:
            self._send(Fault(401, body='{"status":"ERROR","request_id":"r0","error":"Unknown API Key"}'), "")
            return
        fault = self.server.faults[0] if self.server.faults else None
        if self.server.faults and (fault is None or not fault.only_history or parts.path.startswith("/v2/aggs/")):
            self.server.faults.popleft()
        else:
            fault = None
        if fault is not None and fault.body is not None:
            self._send(fault, "")
            return
        status, body = self.server.right(parts.path, parse_qs(parts.query))
        self._send(fault or Fault(status), body)

    def _send(self, fault: Fault, right: str) -> None:
        body = right if fault.body is None else fault.body
        data = body if isinstance(body, bytes) else body.encode()
        if not fault.trickle:
            time.sleep(fault.pause)
        with suppress(OSError):
            self.send_response(fault.status)
            for name, value in {"Content-Type": "application/json", **fault.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if fault.trickle:
                for byte in data:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(fault.pause)
            else:
                self.wfile.write(data[: len(data) - fault.cut])
        if fault.cut:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base's own name
        """Say nothing."""


@contextmanager
def running() -> Iterator[PolygonServer]:
    """Run a server on a free port until the end of the block."""
    server = PolygonServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
