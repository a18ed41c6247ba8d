"""What an import from an exchange gives: the real client against servers on the loopback."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from decimal import Decimal

import polars as pl
import pytest

from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.schema.batches import ImportRequest
from pipeline_tests.sources.ccxt.conftest import KRAKEN_NOW, days, question_of, source_of
from pipeline_tests.sources.ccxt.offline import start
from pipeline_tests.sources.ccxt.server import MINUTE, MINUTES, MINUTES_DAY, ExchangeServer, epoch_ms

DAY = dt.timedelta(days=1)


def test_a_day_of_minutes_is_paged_and_every_minute_of_it_arrives_exactly(binance: ExchangeServer) -> None:
    (batch,) = source_of(binance).fetch(days(MINUTES_DAY))

    recorded = pl.read_csv(MINUTES, has_header=False, infer_schema=False)
    begins = [dt.datetime.combine(MINUTES_DAY, dt.time(), dt.UTC) + dt.timedelta(milliseconds=int(ms))
              for ms in recorded.to_series()]  # fmt: skip
    rows = batch.observations
    assert rows["timestamp"].to_list() == [begin + dt.timedelta(minutes=1) for begin in begins]
    for name, column in zip(("open", "high", "low", "close", "volume"), recorded.columns[1:], strict=True):
        assert rows[name].to_list() == [Decimal(text) for text in recorded[column]], name
    assert batch.rejects.is_empty()
    assert batch.timezone == "UTC"
    assert binance.requests == [
        f"/api/v3/klines?interval=1m&limit=1000&symbol=BTCBUSD&startTime={epoch_ms(MINUTES_DAY)}",
        f"/api/v3/klines?interval=1m&limit=440&symbol=BTCBUSD&startTime={epoch_ms(MINUTES_DAY) + 1000 * MINUTE}",
    ]


def test_what_all_sources_are_tested_for_is_what_this_source_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    with start() as offline:
        for name, value in offline.environment.items():
            monkeypatch.setenv(name, value)
        from pipeline_defs.sources.asking.universe import SourceUniverse  # noqa: PLC0415
        from pipeline_defs.sources.ccxt.adapter import CcxtSource  # noqa: PLC0415

        source = CcxtSource(universe=SourceUniverse.model_validate(offline.universe))
        assert offline.range is not None
        batches = {batch.trade_date: batch for batch in source.fetch(ImportRequest(*offline.range))}
        rows = batches[offline.trade_date].observations.select("timestamp", "open", "high", "low", "close", "volume")

        assert [("BTC/USDT", *row) for row in rows.rows()] == offline.expected["spot_prices"]
        assert [batch.observations.height for batch in batches.values()] == [24] * 30
        assert len(offline.requests()) == 5


def test_a_pair_has_the_terms_that_the_exchange_tells(binance: ExchangeServer) -> None:
    (batch,) = source_of(binance).fetch(days(MINUTES_DAY))

    (terms,) = batch.contracts.to_dicts()
    known = {name: value for name, value in terms.items() if value is not None}
    assert known == {
        "contract_key": 0,
        "kind": "PAIR",
        "symbol": "BTC/BUSD",
        "underlying": "BTCBUSD",
        "base_currency": "BTC",
        "currency": "BUSD",
        "venue": "BINANCE",
        "tick_size": Decimal("0.01"),
    }


def test_the_universe_may_name_a_pair_otherwise(binance: ExchangeServer) -> None:
    pair = {"symbol": "BTC/BUSD", "underlying": "XBT", "venue": "MINE", "currency": "USD"}

    terms = question_of(source_of(binance, pairs=[pair])).listed.terms

    assert (terms["underlying"], terms["venue"], terms["currency"]) == ("XBT", "MINE", "USD")


@pytest.mark.parametrize(("length", "bars", "first"), [("5m", 288, 5), ("1h", 24, 60), ("1d", 1, 1440)])
def test_bars_of_other_lengths_are_stamped_at_their_close(
    binance: ExchangeServer, length: str, bars: int, first: int
) -> None:
    step = first * MINUTE
    candle = ("100", "101", "99", "100.5", "3")
    begin = epoch_ms(MINUTES_DAY)
    binance.candles["BTCBUSD", step] = {begin + at * step: candle for at in range(-1, bars + 1)}

    (batch,) = source_of(binance, bars={"spot_prices": length}).fetch(days(MINUTES_DAY))

    stamps = batch.observations["timestamp"].to_list()
    midnight = dt.datetime.combine(MINUTES_DAY, dt.time(), dt.UTC)
    assert len(stamps) == bars
    assert (stamps[0], stamps[-1]) == (midnight + dt.timedelta(minutes=first), midnight + DAY)
    assert batch.bar_seconds == first * 60


def test_minutes_that_the_exchange_leaves_out_are_not_invented(binance: ExchangeServer) -> None:
    """An outage over a whole page of minutes and beyond the end of the day before."""
    begin = epoch_ms(MINUTES_DAY)
    minutes = binance.candles["BTCBUSD", MINUTE]
    binance.candles["BTCBUSD", MINUTE] = {
        time: candle for time, candle in minutes.items() if not begin + 100 * MINUTE <= time < begin + 1300 * MINUTE
    }

    (batch,) = source_of(binance).fetch(days(MINUTES_DAY))

    assert batch.observations.height == 100 + 140


def test_the_running_candle_of_a_day_that_is_not_over_is_left_out(binance: ExchangeServer) -> None:
    noon = dt.datetime.combine(MINUTES_DAY, dt.time(12, 0, 30), dt.UTC)
    now = round(noon.timestamp() * 1000)
    minutes = binance.candles["BTCBUSD", MINUTE]
    binance.candles["BTCBUSD", MINUTE] = {time: candle for time, candle in minutes.items() if time <= now}

    (batch,) = source_of(binance, clock=lambda: noon).fetch(days(MINUTES_DAY))

    assert batch.observations["timestamp"].max() == noon.replace(second=0)
    assert (batch.observations.height, batch.rejects.height) == (720, 0)
    assert batch.delivery is None


def test_the_exchanges_own_clock_tells_a_running_candle_even_when_ours_is_fast(binance: ExchangeServer) -> None:
    now = dt.datetime.now(dt.UTC)
    begin = round(now.replace(second=0, microsecond=0).timestamp() * 1000)
    binance.candles["BTCBUSD", MINUTE] = {begin: ("1", "1", "1", "1", "1"), begin - MINUTE: ("1", "1", "1", "1", "1")}
    source = source_of(binance, clock=lambda: now + dt.timedelta(minutes=3))

    rows = source.ask(question_of(source, now.date())).rows

    assert rows["reason"].to_list()[-1] == "running_bar"


def test_kraken_is_asked_once_for_a_day_of_five_minutes(kraken: ExchangeServer) -> None:
    yesterday = KRAKEN_NOW.date() - DAY
    source = source_of(
        kraken, exchange="kraken", pairs=["BTC/USDT"], bars={"spot_prices": "5m"}, clock=lambda: KRAKEN_NOW
    )

    (batch,) = source.fetch(days(yesterday))

    assert batch.observations.height == 288
    assert batch.contracts.select("underlying", "venue", "tick_size").row(0) == ("BTCUSDT", "KRAKEN", Decimal("0.1"))
    assert len(kraken.requests) == 1


def test_krakens_running_candle_is_left_out(kraken: ExchangeServer) -> None:
    source = source_of(
        kraken, exchange="kraken", pairs=["BTC/USDT"], bars={"spot_prices": "5m"}, clock=lambda: KRAKEN_NOW
    )

    (batch,) = source.fetch(days(KRAKEN_NOW.date()))

    assert batch.observations["timestamp"].max() == KRAKEN_NOW.replace(second=0)
    assert batch.rejects.is_empty()


def test_each_page_takes_a_turn_of_the_shared_limit(binance: ExchangeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(binance)
    question = question_of(source)
    turns: list[str] = []
    monkeypatch.setattr(source.call, "turn", lambda group="history": turns.append(group))

    source.ask(question)

    assert turns == ["history"], "the first page's turn is taken around `ask`"


def test_a_slow_exchange_is_asked_slowly(kraken: ExchangeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(
        kraken, exchange="kraken", pairs=["BTC/USDT"], bars={"spot_prices": "1h"}, clock=lambda: KRAKEN_NOW
    )
    question = question_of(source, KRAKEN_NOW.date())
    turns: list[str] = []
    monkeypatch.setattr(source.call, "turn", lambda group="history": turns.append(group))

    source.ask(question)

    assert turns == ["one_a_second"]


def test_a_range_of_days_is_one_unit_of_pages_and_the_markets_are_listed_once(binance: ExchangeServer) -> None:
    list(source_of(binance, pairs=["BTC/USDT"], bars={"spot_prices": "1h"}).fetch(days(*_first_days_of_may())))

    assert binance.every_request == ["/api/v3/exchangeInfo", "/api/v3/klines"]


def test_keys_are_not_needed_and_used_where_they_are_given(
    binance: ExchangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_of(binance)
    question_of(source)
    assert not source._asked().exchange.apiKey

    monkeypatch.setenv("CCXT_API_KEY", "an-api-key")
    monkeypatch.setenv("CCXT_SECRET", "an-api-secret")
    source = source_of(binance)
    question_of(source)

    assert (source._asked().exchange.apiKey, source._asked().exchange.secret) == ("an-api-key", "an-api-secret")
    assert "an-api" not in repr(source)


def test_only_spot_markets_are_asked_for(binance: ExchangeServer) -> None:
    exchange = source_of(binance, exchange="okx")
    with pytest.raises(SourceError):
        question_of(exchange)

    from pipeline_defs.sources.ccxt.client import Client  # noqa: PLC0415

    assert Client("okx", None, 1).exchange.options["fetchMarkets"]["types"] == ["spot"]
    assert Client("woo", "http://127.0.0.1:9/gate/", 1).exchange.urls["api"]["pub"] == "http://127.0.0.1:9/gate"


def test_the_client_neither_waits_nor_tries_again_by_itself(binance: ExchangeServer) -> None:
    exchange = source_of(binance)._asked().exchange

    assert exchange.enableRateLimit is False
    assert exchange.timeout == 5000


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"market": "NSE"}, "market NSE does not fit: days of pairs are those of UTC"),
        ({"bars": {"spot_prices": "2d"}}, "bars of 172800 s are longer than a day"),
        ({"bars": {"spot_prices": "7m"}}, "binance has no bars of 420 s; it has 1s, 1m, 3m, 5m"),
        ({"exchange": "bitflyer"}, "bitflyer has no fetchOHLCV: it gives no candles of its own that way"),
    ],
)
def test_a_universe_that_cannot_be_is_refused(
    binance: ExchangeServer, changed: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_of(binance, **changed)
    monkeypatch.setattr("pipeline_defs.sources.ccxt.client.Client.load_markets", lambda _self: None)

    with pytest.raises(ConfigurationError, match=message.replace(":", r"\:")):
        question_of(source)


def test_the_source_describes_itself(binance: ExchangeServer) -> None:
    metadata = source_of(binance).get_metadata()

    assert (metadata.source, metadata.source_type, metadata.supports_live) == ("ccxt", "api", True)
    assert metadata.source_url == binance.url


def test_importing_the_adapter_does_not_import_the_client() -> None:
    code = "import sys, pipeline_defs.sources.ccxt.adapter; print('ccxt' in sys.modules, 'aiohttp' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert shown.stdout.split() == ["False", "False"]


def test_what_was_let_go_of_is_made_again(binance: ExchangeServer) -> None:
    source = source_of(binance)
    source.close()
    question = question_of(source)
    source.close()

    assert source.ask(question).rows.height == 1440


def _first_days_of_may() -> tuple[dt.date, dt.date]:
    return dt.date(2018, 5, 1), dt.date(2018, 5, 5)
