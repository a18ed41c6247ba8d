"""Answers of vendors that do not end, or unfold without end: refused by every client at the bound."""

from __future__ import annotations

import gzip
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final

import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.sources.asking.bounding import DEFAULT_MIB, VARIABLE, AnswerBound, TooLargeError
from pipeline_defs.sources.ccxt.client import Client as CcxtClient
from pipeline_defs.sources.polygon.connection import Connection
from pipeline_defs.sources.yahoo.client import YahooClient
from pipeline_defs.sources.zerodha.client import Client as KiteClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BODY_BYTES: Final = 48 << 20
PORTION: Final = b'{"a":"' + b"a" * (1 << 16)
BOMB: Final = gzip.compress(bytes(BODY_BYTES), 1)


class _Vendor(BaseHTTPRequestHandler):
    """Answers everything with a body that is far too large, whole or packed."""

    protocol_version = "HTTP/1.1"
    packed = False
    sent_bytes = 0

    def do_GET(self) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        with suppress(OSError):
            if self.packed:
                self.send_header("Content-Encoding", "gzip")
                self.send_header("Content-Length", str(len(BOMB)))
                self.end_headers()
                self.wfile.write(BOMB)
                return
            self.end_headers()
            for _ in range(BODY_BYTES // len(PORTION)):
                self.wfile.write(PORTION)
                type(self).sent_bytes += len(PORTION)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(params=["endless", "gzip bomb"])
def vendor(request: pytest.FixtureRequest) -> Iterator[str]:
    class Kind(_Vendor):
        packed = request.param == "gzip bomb"

    server = ThreadingHTTPServer(("127.0.0.1", 0), Kind)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    assert Kind.sent_bytes < BODY_BYTES // 2, "the rest was read before it was refused"


def _polygon(url: str) -> object:
    return Connection(url, 20).follow("/v3/x")


def _yahoo(url: str) -> object:
    return YahooClient(url, 20).get("/v8/finance/chart/X", {})


def _kite(url: str) -> object:
    return KiteClient("key", "token", url, 20).instruments()


def _ccxt(url: str) -> object:
    client = CcxtClient("binance", url, 20)
    client.load_markets()
    return client.markets


@pytest.mark.parametrize("ask", [_polygon, _yahoo, _kite, _ccxt])
def test_an_answer_above_the_bound_is_refused_by_the_client(
    ask: Callable[[str], object], vendor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "2")
    monkeypatch.setenv("POLYGON_API_KEY", "none-of-your-business")

    unfolded: list[int] = []
    exceeds = AnswerBound.exceeds

    def seen(bound: AnswerBound, size_bytes: int) -> bool:
        unfolded.append(size_bytes)
        return exceeds(bound, size_bytes)

    monkeypatch.setattr(AnswerBound, "exceeds", seen)
    with pytest.raises(TooLargeError, match=r"answer has more than 2 MiB; nothing of it was used") as refused:
        ask(vendor)

    assert VARIABLE in str(refused.value)
    assert 2 << 20 < sum(unfolded) < 4 << 20


def test_the_bound_is_of_one_answer_and_not_of_all() -> None:
    bound = AnswerBound("Somebody")
    assert bound.most_bytes == DEFAULT_MIB << 20

    bound.count(bound.most_bytes)
    bound.begin()
    bound.count(bound.most_bytes)
    with pytest.raises(TooLargeError):
        bound.count(1)


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "99999999999999999999", "٣", "16385"])
def test_a_bound_that_is_none_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, text)

    with pytest.raises(ConfigurationError, match=r"PIPELINE_ANSWER_MIB: is .*, expected a whole number of MiB"):
        AnswerBound("Somebody")
