"""The real ticker, in its own process, against a server on this machine."""

from __future__ import annotations

import datetime as dt
import io
import json
import socket
import threading
import time
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.sources.asking.questions import Dataset, Listed, Window
from pipeline_defs.sources.asking.streaming import Heard, Silence
from pipeline_defs.sources.zerodha import listening
from pipeline_defs.sources.zerodha.listening import Order, listen
from pipeline_defs.sources.zerodha.session import SessionExpiredError
from pipeline_defs.sources.zerodha.ticker_process import Listener, row_of
from pipeline_defs.sources.zerodha.ticks import Ticks
from pipeline_tests.sources.zerodha.offline import TRADE_DATE
from pipeline_tests.sources.zerodha.server import KEY, TOKEN
from pipeline_tests.sources.zerodha.stream_server import (
    HEARTBEAT,
    StreamServer,
    full,
    index,
    message,
    quote,
    serve_stream,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from websockets.sync.server import ServerConnection

    from pipeline_defs.sources.zerodha.adapter import ZerodhaSource

type Make = Callable[..., ZerodhaSource]

TICKS = Dataset("options_ticks", 0, 60, ("OPT",))
OPTION = Listed("10222082", {"kind": "OPT", "symbol": "NIFTY30DEC24500CE"})
SHARE = Listed("738561", {"kind": "EQ", "symbol": "RELIANCE"})
INDEX = Listed("256265", {"kind": "SPOT", "symbol": "NIFTY 50"})
SECOND = 1_755_661_500
AT = dt.datetime(2025, 8, 20, 3, 45, tzinfo=dt.UTC)


@pytest.fixture
def server() -> Iterator[StreamServer]:
    with serve_stream() as running:
        yield running


def take(stream: Iterator[Heard | Silence], count: int, stop: threading.Event) -> list[Heard | Silence]:
    """Listen until so many rows and silences were told, then stop."""
    found: list[Heard | Silence] = []
    limit = threading.Timer(15, stop.set)
    limit.start()
    for one in stream:
        found.append(one)
        if sum(part.rows.height if isinstance(part, Heard) else 1 for part in found) >= count:
            stop.set()
    limit.cancel()
    return found


def run(server: StreamServer, listed: list[Listed], count: int, dead: float | None = None) -> list[Heard | Silence]:
    stop = threading.Event()
    return take(listen(listed, Order(KEY, TOKEN, server.url, dead), stop), count, stop)


def rows(found: list[Heard | Silence], listed: Listed, *columns: str) -> list[tuple[object, ...]]:
    parts = [one.rows for one in found if isinstance(one, Heard) and one.listed is listed]
    return [row for part in parts for row in part.select(columns).rows()]


def test_ticks_come_exact_in_order_and_at_the_exchanges_time(server: StreamServer) -> None:
    def scene(connection: ServerConnection) -> None:
        connection.send(HEARTBEAT)
        connection.send(message(quote(10222082, 20_000), full(738561, SECOND, 0, volume=0)))
        connection.send(
            message(
                full(10222082, SECOND, 20_035, volume=1_000, interest=7_500, bid=(150, 20_030), ask=(75, 20_045)),
                full(738561, SECOND, 140_010, quantity=3, volume=10, interest=9),
                index(256265, SECOND + 1, 2_442_035),
            )
        )
        connection.send(HEARTBEAT)
        connection.send(message(full(10222082, SECOND, 20_035, volume=1_000, interest=7_500)))
        connection.send(message(full(10222082, SECOND + 1, 20_005, volume=1_150, quantity=150, interest=7_575)))

    server.scenes.append(scene)
    found = run(server, [OPTION, SHARE, INDEX], 5)

    measured = ("timestamp", "open", "high", "low", "close", "volume", "open_interest")
    quotes = ("bid_price", "bid_size", "ask_price", "ask_size")
    first, second, third = (Decimal(text) for text in ("200.35", "200.35", "200.05"))
    assert rows(found, OPTION, *measured) == [
        (AT, first, first, first, first, 75, 7500),
        (AT, second, second, second, second, 0, 7500),  # no new trade: a change of the quotes
        (AT + dt.timedelta(seconds=1), third, third, third, third, 150, 7575),
    ]
    assert rows(found, OPTION, *quotes)[:2] == [
        (Decimal("200.30"), 150, Decimal("200.45"), 75),
        (None, None, None, None),
    ]
    price = Decimal("1400.10")
    assert rows(found, SHARE, *measured) == [(AT, price, price, price, price, 3, None)]
    level = Decimal("24420.35")
    assert rows(found, INDEX, *measured) == [(AT + dt.timedelta(seconds=1), level, level, level, level, None, None)]
    assert server.asked == [
        [
            {"a": "subscribe", "v": [10222082, 738561, 256265]},
            {"a": "mode", "v": ["full", [10222082, 738561, 256265]]},
        ]
    ]


def test_a_lost_connection_is_made_anew_and_the_silence_is_told(server: StreamServer) -> None:
    def lost(connection: ServerConnection) -> None:
        connection.send('{"type": "error", "data": "too many subscriptions"}')
        connection.send(message(full(10222082, SECOND, 20_035)))
        time.sleep(0.2)
        connection.socket.shutdown(socket.SHUT_RDWR)

    server.scenes.extend([lost, lambda again: again.send(message(full(10222082, SECOND + 9, 20_050)))])
    begun = dt.datetime.now(dt.UTC)
    found = run(server, [OPTION], 3)

    first, silence, second = found
    assert isinstance(first, Heard)
    assert isinstance(silence, Silence)
    assert isinstance(second, Heard)
    assert begun < silence.start < silence.end < dt.datetime.now(dt.UTC)
    assert silence.reason.startswith("the connection was closed (1006 connection was closed uncleanly")
    assert silence.reason.endswith("; before, Kite said: too many subscriptions)")
    assert rows(found, OPTION, "close") == [(Decimal("200.35"),), (Decimal("200.50"),)]
    assert len(server.asked) == 2


def test_a_connection_without_heartbeats_is_dropped_and_made_anew(server: StreamServer) -> None:
    server.scenes.extend(
        [
            lambda mute: mute.send(message(full(10222082, SECOND, 20_035))),
            lambda again: again.send(message(full(10222082, SECOND + 9, 20_050))),
        ]
    )
    found = run(server, [OPTION], 3, dead=0.4)
    (silence,) = (one for one in found if isinstance(one, Silence))
    assert silence.reason == "no heartbeat for 0.4 s"
    assert silence.end - silence.start > dt.timedelta(seconds=0.4)


def test_a_damaged_packet_costs_the_connection_and_nothing_else(server: StreamServer) -> None:
    server.scenes.extend(
        [
            lambda bad: bad.send(b"\x00\x02\x00\xb8garbage"),
            lambda again: again.send(message(full(10222082, SECOND, 20_035))),
        ]
    )
    found = run(server, [OPTION], 2)
    assert rows(found, OPTION, "close") == [(Decimal("200.35"),)]
    assert any(isinstance(one, Silence) for one in found)


def test_a_tick_without_a_time_is_left_to_be_refused_and_what_was_not_asked_for_is_left_out() -> None:
    timeless = {"instrument_token": 10222082, "last_price": 5.0, "last_traded_quantity": 0, "volume_traded": 0}
    told = [row_of({**timeless, "exchange_timestamp": at}) for at in (None, dt.datetime(1970, 1, 1))]  # noqa: DTZ001
    (heard,) = Ticks([OPTION]).heard(json.loads(json.dumps([*told, row_of({"instrument_token": 9})]), parse_float=str))
    assert heard.listed is OPTION
    assert heard.rows.select("timestamp", "close", "volume").rows() == [(None, Decimal(5), 0)] * 2


def test_a_trade_is_counted_once_also_across_what_is_read_together() -> None:
    def told(volume: int) -> list[object]:
        return [10222082, SECOND, "200.35", 75, volume, 0, None, None, None, None]

    ticks = Ticks([OPTION])
    parts = [ticks.heard([told(1_000), told(1_000), told(1_075)]), ticks.heard([told(1_075), told(1_150)])]
    assert [volume for (one,) in parts for volume in one.rows["volume"].to_list()] == [75, 0, 75, 0, 75]


def test_a_ticker_that_gives_up_ends_the_stream_once() -> None:
    output = io.StringIO()
    ticker = SimpleNamespace(stop_retry=lambda: None, stop=lambda: None)
    listener = Listener([1], output)
    listener.on_reconnect(ticker, 300)
    listener.on_noreconnect(ticker)
    listener.on_noreconnect(ticker)
    assert json.loads(output.getvalue()) == {
        "end": "no connection (300 tries); gave up after 300 tries",
        "expired": False,
    }


@given(st.integers(0, 2**32 - 1))
def test_every_price_that_a_packet_can_hold_is_read_to_the_paisa(paise: int) -> None:
    tick = {"instrument_token": 10222082, "last_price": paise / 100.0}
    (heard,) = Ticks([OPTION]).heard(json.loads(json.dumps([row_of(tick)]), parse_float=str))
    assert heard.rows["close"].to_list() == [Decimal(paise) / 100]


def test_a_refused_session_ends_the_stream_and_asks_for_a_login(
    server: StreamServer, source: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.accepted = "another-login"
    monkeypatch.setenv("PIPELINE_ZERODHA_STREAM_ENDPOINT", server.url)
    with pytest.raises(SessionExpiredError) as caught:
        list(source().stream(TICKS, [OPTION], threading.Event()))
    message = str(caught.value)
    assert "Kite session expired (tokens end at 06:00 IST, or with the next login)" in message
    assert "Kite refused the stream (1006 connection was closed uncleanly" in message
    assert "run 'pipeline kite-login --request-token …'" in message
    assert TOKEN not in message


def test_the_source_streams_without_showing_a_secret_and_ends_its_process(
    server: StreamServer, source: Make, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIPELINE_ZERODHA_STREAM_ENDPOINT", server.url)
    server.scenes.append(lambda one: one.send(message(full(10222082, SECOND, 20_035))))
    stop = threading.Event()
    of = source()
    assert of.supports_live
    dataset = of.live_dataset("options_ticks")
    listed = of.list_instruments(dataset, Window(TRADE_DATE, TRADE_DATE))
    assert {one.symbol for one in listed} == {"NIFTY30DEC24500CE", "NIFTY30DEC24500PE"}
    stream = of.stream(dataset, listed, stop)
    next(stream)
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()
    # Whatever other tests have started from this thread is none of ours.
    commands = {child: Path(f"/proc/{child}/cmdline").read_text() for child in children}
    listeners = [child for child, command in commands.items() if "ticker_process" in command]
    stop.set()
    begun = time.monotonic()
    assert list(stream) == []
    assert time.monotonic() - begun < 20
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{child}").exists() for child in listeners) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(listeners) == 1
    assert not Path(f"/proc/{listeners[0]}").exists()
    assert TOKEN not in "".join(commands.values())
    assert TOKEN not in "".join(capfd.readouterr())


def test_a_process_that_ends_by_itself_says_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "_MODULE", "no_such_module")
    with pytest.raises(SourceError) as caught:
        list(listen([OPTION], Order(KEY, TOKEN, None), threading.Event()))
    assert str(caught.value).startswith("zerodha stream: the ticker's process ended: ")
    assert "No module named no_such_module" in str(caught.value)


def test_bars_are_not_streamed(source: Make) -> None:
    with pytest.raises(ConfigurationError, match="zerodha options_ticks: Kite streams ticks, no bars"):
        list(source().stream(Dataset("options_ticks", 60, 60, ("OPT",)), [OPTION], threading.Event()))


def test_more_instruments_than_a_connection_takes_are_refused(source: Make) -> None:
    with pytest.raises(ConfigurationError, match="3001 instruments, and a connection of Kite takes 3,000"):
        list(source().stream(TICKS, [OPTION] * 3001, threading.Event()))
