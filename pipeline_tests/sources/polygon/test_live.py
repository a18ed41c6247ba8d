"""Bars as they come, from the vendor's own client connected to a server on loopback."""

from __future__ import annotations

import datetime as dt
import logging
import queue
import threading
import time
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.errors import ConfigurationError, PipelineError, SchemaDriftError, SourceError
from pipeline_defs.sources.asking.calling import Patience, TryAgainError
from pipeline_defs.sources.asking.questions import Dataset, Listed
from pipeline_defs.sources.asking.streaming import Heard, Silence
from pipeline_tests.sources.polygon.offline import OPTION, stamp
from pipeline_tests.sources.polygon.questions import DATASETS, NOW
from pipeline_tests.sources.polygon.server import KEY
from pipeline_tests.sources.polygon.streaming import StreamServer, streaming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline_defs.sources.polygon.adapter import PolygonSource

MINUTES = DATASETS["spot_prices"]
T = stamp(14, 30)


def listed(name: str) -> Listed:
    kind = "OPT" if name.startswith("O:") else "SPOT" if name.startswith("I:") else "EQ"
    return Listed(name, {"kind": kind, "symbol": name, "underlying": name})


AAPL, SPX, CALL = listed("AAPL"), listed("I:SPX"), listed(OPTION)


def event(name: str = "AAPL", start: int = T, *, more: str = '"v":1200,"av":99,', channel: str = "AM") -> str:
    """Write a streamed bar as the vendor does."""
    return (
        f'{{"ev":"{channel}","sym":"{name}",{more}"op":180.1,"vw":182.2,"o":182.16,"c":182.40,"h":182.43,"l":182,'
        f'"a":182.1,"z":50,"s":{start},"e":{start + 60_000}}}'
    )


class Listening:
    """Iterates a stream in a thread, as whoever stores it does."""

    def __init__(self, source: PolygonSource, names: list[Listed], dataset: Dataset) -> None:
        self.told: queue.SimpleQueue[Heard | Silence] = queue.SimpleQueue()
        self.error: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(source, names, dataset), daemon=True)
        self._thread.start()

    def _run(self, source: PolygonSource, names: list[Listed], dataset: Dataset) -> None:
        try:
            for one in source.stream(dataset, names, self._stop):
                self.told.put(one)
        except Exception as error:  # noqa: BLE001 -- looked at by the test
            self.error = error

    def next(self) -> Heard | Silence:
        return self.told.get(timeout=5)

    def heard(self) -> Heard:
        one = self.next()
        assert isinstance(one, Heard)
        return one

    def end(self) -> float:
        begun = time.monotonic()
        self._stop.set()
        self._thread.join(5)
        assert not self._thread.is_alive()
        return time.monotonic() - begun

    def failed(self) -> Exception:
        self._thread.join(5)
        assert self.error is not None
        return self.error


@pytest.fixture
def stream() -> Iterator[StreamServer]:
    with streaming() as server:
        yield server


@pytest.fixture
def listen(stream: StreamServer, source: Callable[..., PolygonSource]) -> Callable[..., Any]:
    """Listen within a block, once the server has confirmed the subscriptions."""

    @contextmanager
    def _listen(*names: Listed, dataset: Dataset = MINUTES, markets: int = 1, **fields: Any) -> Iterator[Listening]:
        listening = Listening(source(feed=stream.feed, **fields), list(names), dataset)
        try:
            for _ in range(markets):
                stream.subscribed.get(timeout=5)
            yield listening
        finally:
            listening.end()

    return _listen


def test_a_minute_is_heard_once_it_is_complete_and_stamped_with_its_end(
    stream: StreamServer, listen: Callable[..., Any]
) -> None:
    with listen(AAPL) as listening:
        stream.say("stocks", f"[{event()}]")
        heard = listening.heard()
    assert heard.listed == AAPL
    assert heard.rows.select("timestamp", "open", "high", "low", "close", "volume", "reason").rows() == [
        (
            dt.datetime(2024, 1, 16, 14, 31, tzinfo=dt.UTC),
            *map(Decimal, ("182.16", "182.43", "182", "182.40", "1200")),
            None,
        )
    ]


def test_each_of_the_vendors_markets_has_its_own_connection(stream: StreamServer, listen: Callable[..., Any]) -> None:
    with listen(AAPL, SPX, markets=2) as listening:
        stream.say("indices", f"[{event('I:SPX', more='')}]")
        heard = listening.heard()
        assert (heard.listed, heard.rows["volume"].item()) == (SPX, None)
        stream.say("stocks", f"[{event()}]")
        assert listening.heard().listed == AAPL
    with listen(CALL, dataset=DATASETS["options_ticks"]) as listening:
        stream.say("options", f"[{event(OPTION)}]")
        assert listening.heard().listed == CALL


def test_several_bars_of_a_message_are_told_by_instrument_and_strangers_are_left_out(
    stream: StreamServer, listen: Callable[..., Any]
) -> None:
    msft = listed("MSFT")
    rows = [event(), event("MSFT"), event("TSLA"), event("AAPL", T + 60_000), event(channel="T")]
    with listen(AAPL, msft) as listening:
        stream.say("stocks", f"[{','.join(rows)}]")
        assert [(one.listed, one.rows.height) for one in (listening.heard(), listening.heard())] == [
            (AAPL, 2),
            (msft, 1),
        ]


def test_seconds_are_subscribed_to_as_seconds(stream: StreamServer, source: Callable[..., PolygonSource]) -> None:
    listening = Listening(source(feed=stream.feed), [AAPL], Dataset("spot_prices", 1, 31, ("EQ",)))
    assert stream.subscribed.get(timeout=5) == ("stocks", "A.AAPL")
    stream.say("stocks", f"[{event(channel='A')}]")
    assert listening.heard().rows["timestamp"].item() == dt.datetime(2024, 1, 16, 14, 30, 1, tzinfo=dt.UTC)
    listening.end()


@pytest.mark.parametrize(
    ("told", "volume", "reason"),
    [
        ('"v":1200,"dv":"1200.75",', "1200.75", None),
        ('"v":1200,', "1200", None),
        ('"v":0,"dv":"0.000125",', "0.000125", None),
        ('"v":1200,"dv":"0.75",', None, "bad_quantity"),
        ('"v":1200,"dv":"many",', None, "bad_quantity"),
        ('"v":1200,"dv":"1200.123456789",', None, "bad_quantity"),
    ],
)
def test_the_volume_has_its_part_of_a_share_as_in_history_unless_the_two_contradict_each_other(
    stream: StreamServer, listen: Callable[..., Any], told: str, volume: str | None, reason: str | None
) -> None:
    with listen(AAPL) as listening:
        stream.say("stocks", f"[{event(more=told)}]")
        row = listening.heard().rows.row(0, named=True)
    assert (row["volume"], row["reason"]) == (None if volume is None else Decimal(volume), reason)


def test_a_lost_connection_is_made_again_and_told_as_a_silence(
    stream: StreamServer, listen: Callable[..., Any]
) -> None:
    times = iter(NOW + dt.timedelta(seconds=seconds) for seconds in range(1000))
    with listen(AAPL, clock=lambda: next(times)) as listening:
        stream.say("stocks", f"[{event()}]")
        assert listening.heard().listed == AAPL
        stream.drop("stocks")
        assert stream.subscribed.get(timeout=5) == ("stocks", "AM.AAPL")
        silence = listening.next()
        assert silence == Silence(
            NOW + dt.timedelta(seconds=1), NOW + dt.timedelta(seconds=2), "the connection was lost, and made again"
        )
        stream.say("stocks", f"[{event('AAPL', T + 120_000)}]")
        assert listening.heard().rows["timestamp"].item() == dt.datetime(2024, 1, 16, 14, 33, tzinfo=dt.UTC)


def test_a_server_that_closes_politely_is_connected_to_again(stream: StreamServer, listen: Callable[..., Any]) -> None:
    with listen(AAPL) as listening:
        stream.say("stocks", f"[{event()}]")
        assert listening.heard().listed == AAPL
        stream.close("stocks")
        stream.subscribed.get(timeout=5)
        assert isinstance(listening.next(), Silence)
        stream.say("stocks", f"[{event()}]")
        assert listening.heard().listed == AAPL
        assert stream.clients == 2


def test_a_stream_ends_soon_after_it_is_told_to(stream: StreamServer, source: Callable[..., PolygonSource]) -> None:
    listening = Listening(source(feed=stream.feed), [AAPL], MINUTES)
    stream.subscribed.get(timeout=5)
    assert listening.end() < 2
    assert listening.error is None


def test_a_wrong_key_ends_the_stream_and_is_not_shown(
    stream: StreamServer, source: Callable[..., PolygonSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = source(feed=stream.feed)
    monkeypatch.setenv("POLYGON_API_KEY", "another-planted-key")
    error = Listening(asking, [AAPL], MINUTES).failed()
    assert isinstance(error, ConfigurationError)
    assert "polygon stream: Polygon refused the API key (authentication failed for ***)." in str(error)


def test_a_refused_subscription_ends_the_stream_and_names_the_plan(
    stream: StreamServer, source: Callable[..., PolygonSource]
) -> None:
    stream.confirmation = "error"
    error = Listening(source(feed=stream.feed), [AAPL], MINUTES).failed()
    assert isinstance(error, SourceError)
    assert "Polygon refused a subscription (error: subscribed to: AM.AAPL)" in str(error)
    assert "check that the plan of the key streams this kind of instrument" in str(error)


@pytest.mark.parametrize(
    ("said", "kind", "complaint"),
    [
        ("[{", TryAgainError, "Polygon stream unreadable: 2 bytes"),
        ("{}", TryAgainError, "Polygon stream unreadable"),
        (f"[{event().replace('"c":182.40,', '')}]", SchemaDriftError, "Polygon stream of AAPL: missing 'c'"),
        (f"[{event().replace('"s":', '"start":')}]", SchemaDriftError, "Polygon stream of AAPL: missing 't'"),
    ],
)
def test_a_message_that_cannot_be_read_ends_the_stream(
    stream: StreamServer, listen: Callable[..., Any], said: str, kind: type[PipelineError], complaint: str
) -> None:
    with listen(AAPL) as listening:
        stream.say("stocks", said)
        error = listening.failed()
    assert isinstance(error, kind)
    assert complaint in str(error)


def test_other_words_of_the_server_are_passed_over(stream: StreamServer, listen: Callable[..., Any]) -> None:
    with listen(AAPL) as listening:
        stream.say("stocks", '[{"ev":"status","status":"slow_consumer","message":"hurry"}]')
        stream.say("stocks", f"[{event()}]")
        assert listening.heard().listed == AAPL


def test_a_failure_of_the_client_is_named_without_secrets(
    stream: StreamServer, source: Callable[..., PolygonSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    def _fail(*_: object, **__: object) -> None:
        raise RuntimeError(f"odd {KEY}")

    monkeypatch.setattr("massive.WebSocketClient.connect", _fail)
    error = Listening(source(feed=stream.feed), [AAPL], MINUTES).failed()
    assert "polygon stream: the client failed with RuntimeError: odd ***" in str(error)


def test_a_key_that_vanishes_is_named(
    stream: StreamServer, source: Callable[..., PolygonSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    def _vanished() -> str:
        raise ConfigurationError("Polygon's API key is missing", where="POLYGON_API_KEY")

    monkeypatch.setattr("pipeline_defs.sources.polygon.listening.read_key", _vanished)
    error = Listening(source(feed=stream.feed), [AAPL], MINUTES).failed()
    assert str(error) == "POLYGON_API_KEY: Polygon's API key is missing"


def test_hours_are_not_streamed(source: Callable[..., PolygonSource]) -> None:
    with pytest.raises(SourceError, match="Polygon streams bars of a minute or a second, not of 3600 s"):
        next(iter(source().stream(Dataset("spot_prices", 3600, 31, ("EQ",)), [AAPL], threading.Event())))


@pytest.mark.parametrize("feed", ["ws://feed.example.com", "http://127.0.0.1:80", "a host"])
def test_a_feed_that_is_no_host_or_would_show_the_key_is_refused(
    source: Callable[..., PolygonSource], feed: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"PIPELINE_POLYGON_FEED: .* is no host to listen to"):
        next(iter(source(feed=feed).stream(MINUTES, [AAPL], threading.Event())))


def test_the_feed_is_the_vendors_own_unless_the_environment_says_otherwise(
    source: Callable[..., PolygonSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[dict[str, Any]] = []

    class _Client:
        websocket = None

        def __init__(self, _key: str, **options: Any) -> None:
            made.append(options)

        async def connect(self, *_: object, **__: object) -> None:
            raise RuntimeError("enough")

    monkeypatch.setattr("massive.WebSocketClient", _Client)
    assert Listening(source(), [AAPL], MINUTES).failed()
    monkeypatch.setenv("PIPELINE_POLYGON_FEED", "wss://delayed.massive.com")
    assert Listening(source(), [AAPL], MINUTES).failed()
    assert [(one["feed"], one["secure"], one["max_reconnects"]) for one in made] == [
        ("socket.massive.com", True, None),
        ("delayed.massive.com", True, None),
    ]


def test_a_server_without_a_word_is_given_up(stream: StreamServer, source: Callable[..., PolygonSource]) -> None:
    stream.confirmation = None
    asking = source(feed=stream.feed, patience=Patience(try_seconds=0.3))
    error = Listening(asking, [AAPL], MINUTES).failed()
    assert "polygon stream: Polygon confirmed no subscription to stocks within 0.3 s" in str(error)


def test_one_connection_too_many_is_named(stream: StreamServer, source: Callable[..., PolygonSource]) -> None:
    stream.confirmation = "max_connections"
    error = Listening(source(feed=stream.feed), [AAPL], MINUTES).failed()
    assert "polygon stream: Polygon allows no further connection (max_connections: " in str(error)


def test_the_key_is_in_no_log_of_a_stream(
    stream: StreamServer, listen: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with listen(AAPL) as listening:
        stream.say("stocks", f"[{event()}]")
        assert listening.heard().listed == AAPL
    of_the_client = [one.getMessage() for one in caplog.records if not one.name.startswith("websockets.server")]
    assert any("auth" in one for one in of_the_client)
    assert not any(KEY in one for one in of_the_client)


def test_what_can_be_streamed_is_said_by_table(source: Callable[..., PolygonSource]) -> None:
    assert source().live_dataset("spot_prices").bar_seconds == 60
    with pytest.raises(ConfigurationError, match="polygon streams nothing for equity_daily"):
        source().live_dataset("equity_daily")
