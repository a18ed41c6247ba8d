"""Bars as they happen: the real streaming client against a server on the loopback."""

from __future__ import annotations

import datetime as dt
import itertools
import threading
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.sources.asking.questions import Window
from pipeline_defs.sources.asking.streaming import Heard, Silence
from pipeline_tests.sources.ccxt.conftest import KRAKEN_NOW, source_of
from pipeline_tests.sources.ccxt.server import MINUTE

if TYPE_CHECKING:
    from pipeline_defs.sources.ccxt.adapter import CcxtSource
    from pipeline_tests.sources.ccxt.server import ExchangeServer

NOON = round(KRAKEN_NOW.replace(second=0).timestamp() * 1000)


def kline(minute: int, close: str, volume: str = "1.25000000", symbol: str = "BTCUSDT") -> dict[str, Any]:
    """One state of the candle that began so many minutes after noon."""
    begin = NOON + minute * MINUTE
    return {
        "e": "kline", "E": begin + 2000, "s": symbol,
        "k": {"t": begin, "T": begin + MINUTE - 1, "s": symbol, "i": "1m", "f": 1, "L": 2, "o": "9000.10000000",
              "c": close, "h": "9009.90000000", "l": "8999.00000000", "v": volume, "n": 2, "x": False,
              "q": "0", "V": "0", "Q": "0", "B": "0"},
    }  # fmt: skip


def listening(source: CcxtSource, count: int, seconds: float = 15) -> list[Heard | Silence]:
    """The first things that are told."""
    dataset = source.wanted.with_length(source.datasets[0])
    listed = source.list_instruments(dataset, Window(KRAKEN_NOW.date(), KRAKEN_NOW.date()))
    stop = threading.Event()
    giving_up = threading.Timer(seconds, stop.set)
    giving_up.start()
    try:
        return list(itertools.islice(source.stream(dataset, listed, stop), count))
    finally:
        giving_up.cancel()
        stop.set()


def told(one: Heard | Silence) -> list[tuple[Any, ...]]:
    assert isinstance(one, Heard)
    return one.rows.select("timestamp", "open", "high", "low", "close", "volume").rows()


def minute(number: int) -> dt.datetime:
    return KRAKEN_NOW.replace(second=0) + dt.timedelta(minutes=number)


def test_a_bar_is_told_when_a_later_one_has_begun_and_as_it_was_last(binance: ExchangeServer) -> None:
    binance.pushes = [[kline(0, "9001"), kline(0, "9002.5", "2.5"), kline(1, "9003"), kline(2, "9004"), None]]
    source = source_of(binance, pairs=["BTC/USDT"], clock=lambda: KRAKEN_NOW)

    heard = listening(source, 2)

    assert [one.listed.symbol for one in heard if isinstance(one, Heard)] == ["BTC/USDT", "BTC/USDT"]
    high, low, opens = Decimal("9009.9"), Decimal(8999), Decimal("9000.1")
    assert told(heard[0])[0] == (minute(1), opens, high, low, Decimal("9002.5"), Decimal("2.5"))
    assert [row for one in heard for row in told(one)][1:] == [
        (minute(2), opens, high, low, Decimal(9003), Decimal("1.25"))
    ]
    assert binance.subscriptions[0]["method"] == "SUBSCRIBE"
    assert binance.subscriptions[0]["params"] == ["btcusdt@kline_1m"]


def test_a_lost_connection_is_a_silence_and_the_bar_that_ran_then_is_not_told(binance: ExchangeServer) -> None:
    binance.pushes = [
        [kline(0, "9001"), 0.05],
        [kline(3, "9005"), kline(4, "9006"), None],
    ]
    ticking = itertools.count()
    source = source_of(binance, pairs=["BTC/USDT"], clock=lambda: KRAKEN_NOW + dt.timedelta(milliseconds=next(ticking)))

    silence, bar = listening(source, 2)

    assert isinstance(silence, Silence)
    assert KRAKEN_NOW < silence.start < silence.end
    assert silence.reason.startswith("binance could not be asked: Connection closed by remote server")
    assert [row[0] for row in told(bar)] == [minute(4)]
    assert len(binance.subscriptions) == 2


def test_bars_that_closed_before_one_listened_are_left_to_imports(kraken: ExchangeServer) -> None:
    """Kraken begins with a picture of the past."""

    def candle(number: int) -> dict[str, Any]:
        return {"symbol": "BTC/USDT", "open": 9000.1, "high": 9009.9, "low": 8999.0, "close": 9001.5, "trades": 3,
                "volume": 0.00031083, "vwap": 9000.0, "interval": 1,
                "interval_begin": f"{minute(number):%Y-%m-%dT%H:%M:%S}.000000000Z"}  # fmt: skip

    past = {"channel": "ohlc", "type": "snapshot", "data": [candle(number) for number in range(-5, 1)]}
    kraken.pushes = [[past, {"channel": "ohlc", "type": "update", "data": [candle(1)]}, None]]
    source = source_of(kraken, exchange="kraken", pairs=["BTC/USDT"], clock=lambda: KRAKEN_NOW)

    (bar,) = listening(source, 1)

    assert told(bar) == [
        (minute(1), Decimal("9000.1"), Decimal("9009.9"), Decimal(8999), Decimal("9001.5"), Decimal("0.00031083"))
    ]


def test_stopping_ends_the_stream_soon(binance: ExchangeServer) -> None:
    source = source_of(binance, pairs=["BTC/USDT"], clock=lambda: KRAKEN_NOW)
    begun = time.monotonic()

    assert listening(source, 1, seconds=0.3) == []

    assert time.monotonic() - begun < 20
    assert not [thread for thread in threading.enumerate() if thread.name.endswith("stream")]


def test_an_exchange_that_does_not_stream_says_so(binance: ExchangeServer) -> None:
    source = source_of(binance, pairs=["BTC/USDT"], bars={"spot_prices": "1h"})
    dataset = source.wanted.with_length(source.datasets[0])
    listed = source.list_instruments(dataset, Window(KRAKEN_NOW.date(), KRAKEN_NOW.date()))
    odd = type(dataset)(dataset.table, 7, 1, dataset.kinds)

    with pytest.raises(ConfigurationError, match=r"binance has no bars of 7 s; it has 1s, 1m, 3m"):
        next(source.stream(odd, listed, threading.Event()))


def test_a_pair_that_is_refused_ends_the_stream(binance: ExchangeServer) -> None:
    source = source_of(binance, pairs=["BTC/USDT"])
    dataset = source.datasets[0]
    (listed,) = source.list_instruments(dataset, Window(KRAKEN_NOW.date(), KRAKEN_NOW.date()))
    unknown = type(listed)("binance:BTC/USDX", {**listed.terms, "symbol": "BTC/USDX"})

    with pytest.raises(SourceError, match=r"binance does not know the pair: .*BTC/USDX") as caught:
        next(source.stream(dataset, [unknown], threading.Event()))

    assert "near names: BTC/USDT" in str(caught.value)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_listener_that_dies_is_an_error_and_no_endless_wait(
    binance: ExchangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(*_: Any) -> None:
        raise RuntimeError("no more threads")

    monkeypatch.setattr("pipeline_defs.sources.ccxt.listening.Ear._run", dying)
    source = source_of(binance, pairs=["BTC/USDT"])

    with pytest.raises(SourceError, match="the thread that listens to binance has died"):
        listening(source, 1)


def test_a_message_that_cannot_be_read_ends_the_stream(
    binance: ExchangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    binance.pushes = [[kline(0, "9001"), kline(1, "9001"), None]]
    monkeypatch.setattr("pipeline_defs.sources.ccxt.listening.candle_texts", lambda _: dict[str, int]()["missing"])
    source = source_of(binance, pairs=["BTC/USDT"], clock=lambda: KRAKEN_NOW)

    with pytest.raises(SourceError, match=r"binance's reply cannot be read: KeyError 'missing'"):
        listening(source, 1)


def test_an_unreachable_stream_is_tried_until_told_to_stop(binance: ExchangeServer) -> None:
    source = source_of(binance, pairs=["BTC/USDT"], clock=lambda: KRAKEN_NOW)
    source.list_instruments(source.datasets[0], Window(KRAKEN_NOW.date(), KRAKEN_NOW.date()))
    source.endpoint = "http://127.0.0.1:9"

    assert listening(source, 1, seconds=0.8) == []


def test_what_was_heard_before_the_end_is_told(binance: ExchangeServer) -> None:
    """Bars wait while the one who listens is busy with the first one, and is told to stop."""
    binance.pushes = [[*[kline(at, "9001") for at in range(4)], None]]
    source = source_of(binance, pairs=["BTC/USDT"], clock=lambda: KRAKEN_NOW)
    dataset = source.datasets[0]
    listed = source.list_instruments(dataset, Window(KRAKEN_NOW.date(), KRAKEN_NOW.date()))
    stop = threading.Event()
    heard = []
    for one in source.stream(dataset, listed, stop):
        heard += told(one)
        time.sleep(0.3)
        stop.set()

    assert [row[0] for row in heard] == [minute(1), minute(2), minute(3)]
