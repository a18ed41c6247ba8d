"""Live mode: what is stale is imported first, and a strategy sees what a backtest of the same hours sees."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.portal import DataPortal, SimulationClock, StaleDataError
from pipeline_defs.portal.algorithm import BarData, Context, Run, run_algorithm
from pipeline_tests.portal.landing import bar, ist, land, minutes, share
from pipeline_tests.sources.ccxt.server import Canned, ExchangeServer, running
from pipeline_tests.test_micro_batches import Exchange, at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline_defs.warehouse.connection import Warehouse

    PortalAt = Callable[..., DataPortal]

PAIRS = ["BTC/USDT", "ETH/BTC"]
FIRST, LAST = at(0, 3), at(0, 18)
DELAY = dt.timedelta(seconds=20)
"""A bar is stored ten seconds after its close at the earliest."""


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with running(ExchangeServer()) as server:
        yield Exchange(server)


def live_portal(warehouse: Warehouse, exchange: Exchange, now: dt.datetime, **arguments: Any) -> DataPortal:
    exchange.set(now)
    source = exchange.source()
    return DataPortal(data_source=source, warehouse=warehouse, clock=SimulationClock(now), live=True, **arguments)


def put(portal: DataPortal, exchange: Exchange, now: dt.datetime) -> None:
    exchange.set(now)
    portal.clock.set(now)  # type: ignore[attr-defined]


class Crossing:
    """Buys when three minutes trade more than six do on average, sells when less; notes everything it sees."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def initialize(self, context: Context) -> None:
        context.pairs = [context.symbol(name) for name in PAIRS]

    def handle_data(self, context: Context, data: BarData) -> None:
        for pair in context.pairs:
            slow = data.history(pair, ["close", "volume"], 6, "1m")
            mean_slow = sum(slow["volume"], Decimal(0)) / slow.height
            mean_fast = sum(slow["volume"][-3:], Decimal(0)) / slow["volume"][-3:].len()
            context.order_target(pair, 1 if mean_fast > mean_slow else 0)
            self.seen.append((str(pair), slow.rows(), data.current(pair, ["price", "volume", "open"])))
        self.seen.append(data.history(PAIRS, ["open", "close", "volume"], 4, "5m").rows())
        self.seen.append(data.can_trade(PAIRS))
        context.record(held=len(context.ledger.positions))

    def run(self, portal: DataPortal, **more: Any) -> Run:
        return run_algorithm(
            self.initialize, self.handle_data, portal=portal, start=FIRST, end=LAST, assets=PAIRS, fee=Decimal("0.01"),
            **more,
        )  # fmt: skip


def test_a_strategy_sees_the_same_in_replayed_live_mode_and_in_a_backtest(
    warehouse: Warehouse, exchange: Exchange
) -> None:
    live = live_portal(warehouse, exchange, FIRST + DELAY)
    replayed = Crossing()
    of_live = replayed.run(live, delay=DELAY, on_clock=exchange.set)
    requests = len(exchange.asked())
    live.close()

    backtest = DataPortal(warehouse=warehouse, clock=SimulationClock(FIRST))
    tested = Crossing()
    of_test = tested.run(backtest)
    backtest.close()

    assert len(replayed.seen) == 4 * 15
    assert replayed.seen == tested.seen
    assert of_live.performance.equals(of_test.performance)
    told = [[(one.symbol, one.amount, one.price, one.filled_at) for one in run.orders] for run in (of_live, of_test)]
    assert told[0] == told[1]
    assert len(told[0]) > 2
    # Each minute of each pair was asked for once, whatever was asked of the portal.
    assert requests == 2 * 16


def test_a_stale_end_is_imported_once_and_then_read(warehouse: Warehouse, exchange: Exchange) -> None:
    portal = live_portal(warehouse, exchange, at(0, 5, 30))
    assert portal.history("BTC/USDT", "close", 3, "1m")["timestamp"].to_list() == [at(0, 3), at(0, 4), at(0, 5)]
    assert len(exchange.asked()) == 2
    put(portal, exchange, at(0, 6, 5))  # the minute that ended is not settled yet
    assert portal.history("BTC/USDT", "close", 3, "1m")["timestamp"].to_list() == [at(0, 4), at(0, 5)]
    assert exchange.asked() == []
    put(portal, exchange, at(0, 9, 30))
    assert portal.current("BTC/USDT", "last_traded") == at(0, 9)
    assert [(since, count) for _, since, count in exchange.asked()] == [(at(0, 5), 4)] * 2
    portal.history(PAIRS, "close", 9, "1m")
    assert exchange.asked() == []
    assert portal.read_through.imports == 2
    portal.close()


def test_a_source_that_does_not_answer_is_told_and_nothing_stale_is_given(
    warehouse: Warehouse, exchange: Exchange
) -> None:
    portal = live_portal(warehouse, exchange, at(0, 5, 30))
    portal.current("BTC/USDT", "price")
    put(portal, exchange, at(0, 8, 30))
    exchange.server.next_candles = [Canned(503, "out of order") for _ in range(8)]
    with pytest.raises(StaleDataError, match="ccxt spot_prices 2025-05-02 to 2025-05-02: what is missing could not"):
        portal.current("BTC/USDT", "price")
    exchange.server.next_candles = []
    assert portal.current("BTC/USDT", "last_traded") == at(0, 8)
    # As of then it is read as it is.
    earlier = portal.at(portal.known_at or at(0, 0))
    assert not earlier.is_live
    earlier.close()
    portal.close()


def test_instruments_are_asked_of_the_sources_they_come_from(
    warehouse: Warehouse, exchange: Exchange, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    first = live_portal(warehouse, exchange, at(0, 5, 30))
    first.current("BTC/USDT", "price")
    first.close()
    clock = SimulationClock(at(0, 7, 30))
    exchange.set(at(0, 7, 30))
    unnamed = DataPortal(warehouse=warehouse, clock=clock, live=True)
    assert unnamed.current("BTC/USDT", "last_traded") == at(0, 5)
    assert list(unnamed.read_through.left_out) == ["ccxt"]
    unnamed.close()

    (tmp_path / "universe.yaml").write_text("ccxt:\n  exchange: binance\n  pairs: [BTC/USDT, ETH/BTC]\n")
    monkeypatch.setenv("PIPELINE_UNIVERSE", str(tmp_path / "universe.yaml"))
    monkeypatch.setenv("PIPELINE_CCXT_ENDPOINT", exchange.server.url)
    named = DataPortal(warehouse=warehouse, clock=clock, live=True)
    assert named.current("BTC/USDT", "last_traded") == at(0, 7)
    named.close()


def test_a_source_that_wants_nothing_is_an_error_where_it_was_named(warehouse: Warehouse, exchange: Exchange) -> None:
    source = exchange.source(pairs=[])
    portal = DataPortal(data_source=source, warehouse=warehouse, clock=SimulationClock(at(0, 5, 30)), live=True)
    with pytest.raises(ConfigurationError):
        portal.current("BTC/USDT", "price")
    portal.close()


def test_live_mode_sees_what_others_load_at_the_next_question(warehouse: Warehouse) -> None:
    land(warehouse, share("AAA"), minutes({"09:16": 10}), file="day")
    portal = DataPortal(warehouse=warehouse, clock=SimulationClock(ist("15:31")), live=True)
    assert portal.history("AAA", "close", 400, "1m")["close"].to_list() == [10]
    assert portal.history("AAA", "close", 2, "1d")["close"].to_list() == [10]
    land(warehouse, share("AAA"), minutes({"09:16": 10, "09:17": 11}), file="day")
    land(warehouse, share("BBB"), minutes({"09:16": 20}))
    assert portal.history(["AAA", "BBB"], "close", 400, "1m")["close"].to_list() == [10, 11, 20]
    land(warehouse, share("AAA"), [bar(ist("15:30"), 9)], seconds=86_400)
    assert portal.history("AAA", "close", 2, "1d")["close"].to_list() == [9]
    portal.close()
