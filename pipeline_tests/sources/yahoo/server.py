"""A loopback Yahoo: cookie, crumb, charts and search, and ways in which it can fail.

Replies have the shape of ``fixtures/chart_GS_1d.json``, a recorded one (see the README beside it).
"""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

type Bar = tuple[int, Any, Any, Any, Any, Any]
"""Start in seconds, open, high, low, close, volume: as JSON gives them."""

CRUMB = "a.Crumb/1"
COLUMNS = ("open", "high", "low", "close", "volume")


@dataclass
class Instrument:
    """One symbol that the server knows.

    Parameters
    ----------
    kind, zone, currency : str
        As its charts say.
    bars : dict
        By interval.
    splits, dividends, gains : list of tuple
        Instant in seconds, and the numbers.
    is_boundless : bool
        Whether it gives all its bars, whatever the question; Yahoo appends the latest one at times.
    edit : callable or None
        Changes each chart before it is sent.

    """

    kind: str = "EQUITY"
    zone: str = "America/New_York"
    currency: str | None = "USD"
    bars: dict[str, list[Bar]] = field(default_factory=dict)
    splits: list[tuple[int, float, float]] = field(default_factory=list)
    dividends: list[tuple[int, float]] = field(default_factory=list)
    gains: list[tuple[int, float]] = field(default_factory=list)
    is_boundless: bool = False
    edit: Callable[[dict[str, Any]], object] | None = None

    def chart(self, symbol: str, interval: str, start: int, end: int) -> dict[str, Any]:
        bars = [bar for bar in self.bars.get(interval, []) if self.is_boundless or start <= bar[0] < end]
        result: dict[str, Any] = {
            "meta": {
                "currency": self.currency,
                "symbol": symbol,
                "exchangeName": "NYQ",
                "instrumentType": self.kind,
                "gmtoffset": -14400,
                "timezone": "EDT",
                "exchangeTimezoneName": self.zone,
                "priceHint": 2,
                "dataGranularity": interval,
                "range": "",
            },
            "indicators": {"quote": [{}]},
        }
        if bars:
            result["timestamp"] = [bar[0] for bar in bars]
            quote = {name: [bar[place] for bar in bars] for place, name in enumerate(COLUMNS, 1)}
            result["indicators"]["quote"] = [quote]
        events = self._events(start, end)
        if events:
            result["events"] = events
        if self.edit is not None:
            self.edit(result)
        return {"chart": {"result": [result], "error": None}}

    def _events(self, start: int, end: int) -> dict[str, Any]:
        kinds: dict[str, dict[str, Any]] = {
            "splits": {
                str(at): {"date": at, "numerator": new, "denominator": old, "splitRatio": f"{new}:{old}"}
                for at, new, old in self.splits
            },
            "dividends": {str(at): {"amount": amount, "date": at} for at, amount in self.dividends},
            "capitalGains": {str(at): {"amount": amount, "date": at} for at, amount in self.gains},
        }
        chosen = {
            name: {key: one for key, one in events.items() if start <= one["date"] < end}
            for name, events in kinds.items()
        }
        return {name: events for name, events in chosen.items() if events}


@dataclass(frozen=True)
class Failure:
    """What becomes of a request in place of an answer.

    Parameters
    ----------
    how : str
        ``status``, ``body`` (with status 200), ``hang``, ``cut`` (the body ends early) or ``drop`` (no answer at all).

    """

    how: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    seconds: float = 0.0


class YahooServer:
    """The server, and what was asked of it."""

    def __init__(self) -> None:
        self.instruments: dict[str, Instrument] = {}
        self.near: list[str] | None = []
        self.failures: deque[Failure] = deque()
        self.action_failures: deque[Failure] = deque()
        self.search_failures: deque[Failure] = deque()
        self.history: list[str] = []
        self.others: list[str] = []
        self.needed_crumb: str | None = None
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def fail_next(self, status: int, headers: dict[str, str] | None = None, times: int = 1) -> None:
        self.failures.extend([Failure("status", status, headers or {})] * times)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server._answer(self)

            def log_message(self, *args: object) -> None:
                del args

        return Handler

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = urlsplit(handler.path)
        query = {key: values[0] for key, values in parse_qs(asked.query).items()}
        if asked.path.startswith("/v8/finance/chart/") and "period1" in query:
            self.history.append(handler.path)
            failures = self.failures
        else:
            self.others.append(handler.path)
            failures = self.action_failures if "range" in query else self.search_failures
        if failures and asked.path.startswith(("/v8/", "/v1/finance/")):
            _fail(handler, failures.popleft())
            return
        status, body, kind = self._body(asked.path, query)
        _send(handler, status, body, kind, {"Set-Cookie": "A3=cookie; Path=/"} if asked.path in {"", "/"} else {})

    def _body(self, path: str, query: dict[str, str]) -> tuple[int, str, str]:
        if path in {"", "/"}:
            return 404, "", "text/html"
        if path == "/v1/test/getcrumb":
            return 200, self.needed_crumb or CRUMB, "text/plain"
        if path == "/v1/finance/search":
            return 200, json.dumps({"quotes": self.near and [{"symbol": one} for one in self.near]}), "application/json"
        if path.startswith("/v8/finance/chart/"):
            return *self._chart(unquote(path.rpartition("/")[2]), query), "application/json"
        return 404, "<html><title>Yahoo</title></html>", "text/html"

    def _chart(self, symbol: str, query: dict[str, str]) -> tuple[int, str]:
        if self.needed_crumb is not None and query.get("crumb") != self.needed_crumb:
            error = {"code": "Unauthorized", "description": "Invalid Crumb"}
            return 401, json.dumps({"finance": {"result": None, "error": error}})
        known = self.instruments.get(symbol)
        if known is None:
            error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
            return 404, json.dumps({"chart": {"result": None, "error": error}})
        start, end = int(query.get("period1", 0)), int(query.get("period2", 1 << 40))
        return 200, json.dumps(known.chart(symbol, query["interval"], start, end))


def _send(handler: BaseHTTPRequestHandler, status: int, body: str, kind: str, headers: dict[str, str]) -> None:
    content = body.encode()
    handler.send_response(status)
    for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(content)


def _fail(handler: BaseHTTPRequestHandler, failure: Failure) -> None:
    handler.close_connection = True
    if failure.how == "hang":
        time.sleep(failure.seconds)
    elif failure.how == "cut":
        handler.send_response(200)
        handler.send_header("Content-Length", str(10 * len(failure.body)))
        handler.end_headers()
        handler.wfile.write(failure.body.encode())
    elif failure.how != "drop":
        kind = "text/html" if failure.body.startswith("<") else "application/json"
        _send(handler, failure.status, failure.body, kind, failure.headers)


@contextmanager
def running() -> Iterator[YahooServer]:
    """Run a server for as long as the context lasts."""
    server = YahooServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()


def seconds(day: dt.date, time_of_day: str, zone: dt.tzinfo) -> int:
    """Give an instant in seconds, from a day and a time in a zone."""
    return int(dt.datetime.combine(day, dt.time.fromisoformat(time_of_day), zone).timestamp())
