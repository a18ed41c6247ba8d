"""The stream: a loopback web socket that speaks Yahoo's protocol, asked by the real client."""

from __future__ import annotations

import base64
import datetime as dt
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from websockets.sync.server import serve

from pipeline_defs.errors import SourceError
from pipeline_defs.sources.asking.questions import Listed, Window
from pipeline_defs.sources.asking.streaming import Heard, Silence
from pipeline_defs.sources.yahoo import streaming
from pipeline_defs.sources.yahoo.ticks import decode
from pipeline_tests.sources.yahoo.conftest import FIXTURES, QUICK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from websockets.sync.server import ServerConnection

    from pipeline_defs.sources.yahoo.adapter import YahooSource
    from pipeline_tests.sources.yahoo.conftest import Ask

RECORDED = json.dumps({"type": "pricing", "message": (FIXTURES / "stream_BTC-USD.b64").read_text().strip()})
DAMAGED = (
    "no JSON",
    "[]",
    '{"type": "pricing"}',
    '{"message": "no base64!"}',
    json.dumps({"message": base64.b64encode(b"\xff\xff\xff").decode()}),
    json.dumps({"message": ""}),
)


def message(symbol: str, price: float, **more: Any) -> str:
    from yfinance.pricing_pb2 import PricingData  # noqa: PLC0415 -- it takes seconds to import

    fields = {"id": symbol, "price": price, "time": 1696512600123, **more}
    return json.dumps(
        {"type": "pricing", "message": base64.b64encode(PricingData(**fields).SerializeToString()).decode()}
    )


@dataclass
class Script:
    """What the server says on each connection, one list each; it hangs up after all but the last."""

    connections: list[list[str]]
    subscriptions: list[list[str]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def talk(self, connection: ServerConnection) -> None:
        number = len(self.subscriptions)
        self.subscriptions.append(json.loads(connection.recv())["subscribe"])
        for text in self.connections[number]:
            connection.send(text)
        if number == len(self.connections) - 1:
            self.stopped.wait(10)


@contextmanager
def speaking(*connections: list[str]) -> Iterator[Script]:
    script = Script(list(connections))
    with serve(script.talk, "127.0.0.1", 0) as server:
        script.url = f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield script
        finally:
            script.stopped.set()
            server.shutdown()
            thread.join()


def listed(source: YahooSource) -> list[Listed]:
    day = dt.date(2023, 10, 12)
    return source.list_instruments(source.live_dataset("spot_prices"), Window(day, day))


def heard(source: YahooSource, count: int) -> list[Heard | Silence]:
    """Listen until so much was told, or ten seconds are over."""
    stop, told, total = threading.Event(), [], 0
    timer = threading.Timer(10, stop.set)
    timer.start()
    for one in source.stream(source.live_dataset("spot_prices"), listed(source), stop):
        told.append(one)
        total += one.rows.height if isinstance(one, Heard) else 1
        if total >= count:
            stop.set()
    timer.cancel()
    return told


def rows(told: list[Heard | Silence]) -> list[tuple[Any, ...]]:
    return [
        (one.listed.symbol, *row)
        for one in told
        if isinstance(one, Heard)
        for row in one.rows.select(
            "timestamp", "open", "high", "low", "close", "volume", "bid_price", "ask_price"
        ).rows()
    ]


def test_last_prices_are_ticks_with_exact_prices(ask: Ask) -> None:
    with speaking(
        [message("GS", 310.55, bid=310.5, ask=310.6, bid_size=3, last_size=100), message("^GSPC", 4284.52)]
    ) as yahoo:
        source = ask(equities=["GS"], indices=["^GSPC"])
        source.endpoint = yahoo.url
        told = heard(source, 2)
    when = dt.datetime(2023, 10, 5, 13, 30, 0, 123000, tzinfo=dt.UTC)
    assert sorted(rows(told), key=str) == [
        ("GS", when, *[Decimal("310.55")] * 4, None, Decimal("310.5"), Decimal("310.6")),
        ("^GSPC", when, *[Decimal("4284.52")] * 4, None, None, None),
    ]
    assert [sorted(one) for one in yahoo.subscriptions] == [["GS", "^GSPC"]]
    assert source.get_metadata().supports_live


def test_a_recorded_message_is_read_as_the_client_reads_it() -> None:
    pricing = decode(RECORDED)
    assert (pricing.id, pricing.time, pricing.price) == ("BTC-USD", 1736509140000, 94745.078125)


def test_a_recorded_message_becomes_a_tick(ask: Ask) -> None:
    with speaking([RECORDED]) as yahoo:
        source = ask(indices=["BTC-USD"])
        source.endpoint = yahoo.url
        (row,) = rows(heard(source, 1))
    assert row[:3] == ("BTC-USD", dt.datetime(2025, 1, 10, 11, 39, tzinfo=dt.UTC), Decimal("94745.08"))


def test_messages_that_cannot_be_read_are_counted_and_skipped(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    with speaking([*DAMAGED, message("OTHER", 1.5), message("GS", 310.5)]) as yahoo:
        source = ask()
        source.endpoint = yahoo.url
        told = heard(source, 1)
    assert [row[0] for row in rows(told)] == ["GS"]
    assert "7 messages could not be read and were skipped" in caplog.text


def test_a_lost_connection_is_a_silence_from_the_last_message_to_the_next_connection(ask: Ask) -> None:
    with speaking([message("GS", 310.5)], [message("GS", 311.5)]) as yahoo:
        source = ask()
        source.endpoint = yahoo.url
        told = heard(source, 3)
    before, silence, after = told
    assert isinstance(before, Heard)
    assert isinstance(after, Heard)
    assert isinstance(silence, Silence)
    assert silence.start <= silence.end
    assert silence.reason.startswith("ConnectionClosed")
    assert yahoo.subscriptions == [["GS"], ["GS"]]


def test_a_stream_that_nobody_answers_is_given_up_with_what_to_check(ask: Ask) -> None:
    source = ask(patience=replace(QUICK, tries=2))
    with speaking([]) as yahoo:
        source.endpoint = yahoo.url
    with pytest.raises(SourceError, match="no connection to Yahoo's stream after 2 tries: ") as caught:
        heard(source, 1)
    assert "Next: check that this machine may open web sockets to Yahoo" in str(caught.value)


def test_a_stream_ends_soon_after_it_is_told_to_stop(ask: Ask) -> None:
    with speaking([]) as _, speaking([message("GS", 310.5)]) as yahoo:
        source = ask()
        source.endpoint = yahoo.url
        stop = threading.Event()
        stream = source.stream(source.live_dataset("spot_prices"), listed(source), stop)
        assert isinstance(next(stream), Heard)
        stop.set()
        began = dt.datetime.now(dt.UTC)
        assert list(stream) == []
        assert dt.datetime.now(dt.UTC) - began < dt.timedelta(seconds=2)
    assert not [thread for thread in threading.enumerate() if thread.name == "yahoo-stream"]


def test_only_ticks_of_spot_prices_are_streamed(ask: Ask) -> None:
    source = ask()
    with pytest.raises(SourceError, match=r"Yahoo streams ticks of spot_prices, not spot_prices of 60 s"):
        list(source.stream(source.datasets[1], [], threading.Event()))


def test_the_address_of_the_stream_is_yahoos_own_unless_another_is_named() -> None:
    from yfinance import AsyncWebSocket  # noqa: PLC0415 -- it takes seconds to import

    assert AsyncWebSocket().url == streaming.URL
