"""A loopback server that speaks Kite's HTTP: replies of the documented shapes, with numbers of our own."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import threading
from collections import deque
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from pipeline_defs.markets.market import market

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY: Final = "key-of-the-app-7c1d"
SECRET: Final = "secret-of-the-app-91ab"  # noqa: S105 -- false
TOKEN: Final = "token-of-the-day-5e2f"  # noqa: S105 -- false
REQUEST_TOKEN: Final = "request-token-3b8e"  # noqa: S105 -- false

HEADER: Final = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
    "instrument_type,segment,exchange"
)
DUMP: Final = f"""{HEADER}
738561,2885,RELIANCE,RELIANCE INDUSTRIES,0.0,,0.0,0.1,1,EQ,NSE,NSE
128083204,500325,RELIANCE,RELIANCE INDUSTRIES,0.0,,0.0,0.05,1,EQ,BSE,BSE
4267265,16669,BAJAJ-AUTO,BAJAJ AUTO,0.0,,0.0,0.5,1,EQ,NSE,NSE
256265,1001,NIFTY 50,NIFTY 50,0.0,,0.0,0.0,0,EQ,INDICES,NSE
13238786,51714,NIFTY30DECFUT,NIFTY,0.0,2030-12-31,0.0,0.1,75,FUT,NFO-FUT,NFO
13239042,51715,NIFTY31JANFUT,NIFTY,0.0,2031-01-28,0.0,0.1,75,FUT,NFO-FUT,NFO
10222082,39930,NIFTY30DEC24500CE,NIFTY,0.0,2030-12-31,24500.0,0.05,75,CE,NFO-OPT,NFO
10222338,39931,NIFTY30DEC24500PE,NIFTY,0.0,2030-12-31,24500.0,0.05,75,PE,NFO-OPT,NFO
10222594,39932,NIFTY30DEC24550CE,,0.0,2030-12-31,24550.0,0.05,75,CE,NFO-OPT,NFO
219008261,855501,SENSEX30DEC80000CE,SENSEX,0.0,2030-12-26,80000.0,0.05,20,CE,BFO-OPT,BFO
109134855,426308,CRUDEOIL30DECFUT,CRUDEOIL,0.0,2030-12-18,0.0,1.0,100,FUT,MCX-FUT,MCX
"""
"""The shape of ``/instruments``; one option without a name, as some dumps have them."""

_BASES: Final = {
    "738561": 1_380.0,
    "4267265": 8_000.0,
    "256265": 24_400.0,
    "13238786": 24_600.0,
    "13239042": 24_700.0,
    "10222082": 180.0,
    "10222338": 160.0,
    "10222594": 150.0,
}
_MOST_DAYS: Final = {"minute": 60, "5minute": 100, "60minute": 400, "day": 2_000}
_ZONE: Final = dt.timezone(dt.timedelta(hours=5, minutes=30))

type Reply = tuple[int, dict[str, str], bytes]


def error(status: int, kind: str, message: str) -> Reply:
    """An error as Kite words it."""
    body = {"status": "error", "message": message, "data": None, "error_type": kind}
    return status, {"Content-Type": "application/json"}, json.dumps(body).encode()


def success(data: object) -> Reply:
    body = {"status": "success", "data": data}
    return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()


class KiteServer:
    """The state of the server, which tests may change."""

    def __init__(self) -> None:
        self.dump = DUMP.encode()
        self.accepted = TOKEN
        self.candles: dict[str, list[Any]] = {}
        """Token to candles, in place of what is made up."""
        self.paths: list[str] = []
        self.next: deque[Reply | Callable[[], Reply]] = deque()
        """Replies to the next requests for history."""
        self.next_dumps: deque[Reply] = deque()
        self.url = ""

    def fail_next(self, status: int, headers: dict[str, str], times: int) -> None:
        kind = {429: "NetworkException", 403: "TokenException"}.get(status, "GeneralException")
        message = {429: "Too many requests", 403: "Incorrect `api_key` or `access_token`."}.get(
            status, "Something failed"
        )
        code, own, body = error(status, kind, message)
        self.next.extend([(code, own | headers, body)] * times)

    @property
    def history(self) -> list[str]:
        return [path for path in self.paths if "/historical/" in path]

    def answer(self, path: str, query: dict[str, list[str]], authorization: str) -> Reply:
        if path.startswith("/instruments/historical/") and self.next:
            planted = self.next.popleft()
            return planted() if callable(planted) else planted
        if path == "/instruments" and self.next_dumps:
            return self.next_dumps.popleft()
        if authorization != f"token {KEY}:{self.accepted}":
            return error(403, "TokenException", "Incorrect `api_key` or `access_token`.")
        if path == "/instruments":
            return 200, {"Content-Type": "text/csv"}, self.dump
        token, interval = path.split("/")[-2:]
        return self._history(token, interval, {name: values[0] for name, values in query.items()})

    def log_in(self, form: dict[str, list[str]]) -> Reply:
        checksum = hashlib.sha256((KEY + REQUEST_TOKEN + SECRET).encode()).hexdigest()
        if form["request_token"][0] != REQUEST_TOKEN:
            return error(403, "TokenException", "Token is invalid or has expired.")
        if form["checksum"][0] != checksum:
            return error(400, "InputException", "Invalid `checksum`.")
        return success({"user_id": "XX0000", "access_token": TOKEN, "login_time": "2025-08-20 08:41:00"})

    def _history(self, token: str, interval: str, query: dict[str, str]) -> Reply:
        first, last = (
            dt.datetime.strptime(query[end], "%Y-%m-%d %H:%M:%S").replace(tzinfo=_ZONE) for end in ("from", "to")
        )
        if last - first > dt.timedelta(days=_MOST_DAYS[interval]):
            return error(400, "InputException", f"interval exceeds max limit: {_MOST_DAYS[interval]} days")
        if token in self.candles:
            return success({"candles": self.candles[token]})
        if token not in _BASES:
            return error(400, "InputException", "invalid token")
        rows = [
            candle if query["oi"] == "1" else candle[:6]
            for day in market("NSE").sessions(first.date(), last.date())
            for candle in made_up(_BASES[token] + day.day, day, interval)
            if first <= dt.datetime.strptime(candle[0], "%Y-%m-%dT%H:%M:%S%z") <= last
        ]
        return success({"candles": rows})


def made_up(base: float, day: dt.date, interval: str) -> list[list[Any]]:
    """Three minutes of a session, or the session; prices rise by one each day."""
    prices = [round(base + step, 2) for step in (0, 1.5, -0.45, 0.35, 0.85, 0.8, 0.1)]
    if interval == "day":
        return [[f"{day}T00:00:00+0530", prices[0], prices[1], prices[2], prices[6], 2_000, 0]]
    return [
        [f"{day}T09:15:00+0530", prices[0], prices[1], prices[2], prices[3], 1_000, 7_500],
        [f"{day}T09:16:00+0530", prices[3], prices[4], prices[3], prices[5], 250, 7_575],
        [f"{day}T15:29:00+0530", prices[5], prices[5], prices[6], prices[6], 750, 7_650],
    ]


class _Handler(BaseHTTPRequestHandler):
    server: _Http

    def do_GET(self) -> None:
        self.server.kite.paths.append(self.path)
        parts = urlsplit(self.path)
        self._send(self.server.kite.answer(parts.path, parse_qs(parts.query), self.headers.get("Authorization", "")))

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self._send(self.server.kite.log_in(form))

    def log_message(self, *_: object) -> None:
        """Be silent."""

    def _send(self, reply: Reply) -> None:
        status, headers, body = reply
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    kite: KiteServer


@contextmanager
def serve() -> Iterator[KiteServer]:
    kite = KiteServer()
    http = _Http(("127.0.0.1", 0), _Handler)
    http.kite = kite
    kite.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield kite
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
