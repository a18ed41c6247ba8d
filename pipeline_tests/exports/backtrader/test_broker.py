"""A position in an expired contract is gone, with exactly the value that it had."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import backtrader as bt
import polars as pl
import pytest
from backtrader.utils.date import num2date

from pipeline_defs.errors import ConfigurationError, ExportError
from pipeline_defs.exports.backtrader.broker import SettlingBroker
from pipeline_defs.exports.backtrader.loader import add_chain, load_chain
from pipeline_defs.schema.exports import SETTLEMENT_SCHEMA
from pipeline_tests.exports.backtrader.slices import SESSIONS, bars_of, close_of, instrument, make_slice, option

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # Backtrader's own

CASH = 1_000_000.0
FIRST, SECOND = SESSIONS
CALL, PUT, FUTURE = "NIFTY_250813_24500_CE", "NIFTY_250813_24500_PE", "NIFTY_250813_FUT"
EXPIRY = dt.datetime(2025, 8, 13, 15, 30)  # noqa: DTZ001 -- exchange time

Plan = dict[dt.datetime, tuple[str, dict[str, Any]]]


class Planned(bt.Strategy):  # type: ignore[misc] # Backtrader carries no types
    """Sends orders at given times and writes down what happens."""

    params = (("plan", ()),)

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []
        self.executions: list[tuple[str, float, float, dt.datetime]] = []
        self.settlements: list[Any] = []
        self.trades: list[float] = []
        self.sizes: dict[dt.datetime, float] = {}

    def prenext(self) -> None:
        self.next()

    def next(self) -> None:
        now = self.datetime.datetime(0)
        self.sizes[now] = sum(self.getposition(data).size for data in self.datas)
        for time, name, order in self.p.plan:
            if time == now:
                size = order["size"]
                send = self.buy if size > 0 else self.sell
                send(data=self.getdatabyname(name), **{**order, "size": abs(size)})

    def notify_order(self, order: Any) -> None:
        if order.status in {order.Completed, order.Canceled, order.Rejected, order.Margin}:
            self.events.append((order.data._name, order.ordtypename(), order.getstatusname()))
        if order.status == order.Completed:
            self.executions += [
                (order.data._name, bit.size, bit.price, num2date(bit.dt)) for bit in order.executed.exbits
            ]
            if "settlement" in order.info:
                self.settlements.append(order.info["settlement"])

    def notify_trade(self, trade: Any) -> None:
        if trade.isclosed:
            self.trades.append(trade.pnl)


def at(day: dt.date, hour: int, minute: int) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(hour, minute))


def chain_slice(settlements: pl.DataFrame | None = None, **changes: pl.Expr) -> MarketSlice:
    """An index that closes the first day at 24561.35; a call, a put and a future that expire then."""
    index = bars_of(1, "24561.35", "0", minutes=5)
    return make_slice(
        [
            instrument(1, "SPOT"),
            option(2, "24500", "CE", FIRST),
            option(3, "24500", "PE", FIRST),
            instrument(4, "FUT", expiry=FIRST),
            option(5, "24500", "CE", SECOND),
        ],
        [
            index.filter(changes.get("index", pl.lit(value=True))),
            bars_of(2, "60.1", minutes=5).filter(pl.col("timestamp") <= close_of(FIRST)),
            bars_of(3, "5.05", minutes=5).filter(pl.col("timestamp") <= close_of(FIRST)),
            bars_of(4, "24570", minutes=5).filter(pl.col("timestamp") <= close_of(FIRST)),
            bars_of(5, "70", minutes=5).filter(changes.get("other", pl.lit(value=True))),
        ],
        settlements=settlements,
    )


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from pipeline_defs.exports.backtrader.build import build_files  # noqa: PLC0415 -- as in the conftest

    root = tmp_path_factory.mktemp("chain")
    build_files(chain_slice(), root)
    return root


def run(
    directory: Path,
    *plan: tuple[dt.datetime, str, dict[str, Any]],
    broker: dict[str, Any] | None = None,
    prepare: Callable[[Any, list[Any]], object] = lambda *_: None,
    selection: dict[str, Any] | None = None,
    **options: Any,
) -> Planned:
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker = SettlingBroker(cash=CASH, **(broker or {}))
    prepare(cerebro, add_chain(cerebro, directory, **(selection or {})))
    cerebro.addstrategy(Planned, plan=plan)
    (strategy,) = cerebro.run(**options)
    assert isinstance(strategy, Planned)
    return strategy


RUNS = [{}, {"runonce": False}, {"preload": False}, {"exactbars": -1}]


@pytest.mark.parametrize("options", RUNS, ids=str)
@pytest.mark.parametrize(
    ("name", "size", "price"),
    [(CALL, 75, 61.35), (CALL, -75, 61.35), (PUT, 75, 0.0), (PUT, -150, 0.0), (FUTURE, 75, 24561.35)],
)
def test_a_position_is_closed_at_the_settlement_price_and_the_cash_is_right(
    chain: Path, name: str, size: int, price: float, options: dict[str, Any]
) -> None:
    strategy = run(chain, (at(FIRST, 15, 27), name, {"size": size}), **options)
    opened, settled = strategy.executions
    assert settled == (name, -size, price, EXPIRY)
    profit = (Decimal(repr(price)) - Decimal(repr(opened[2]))) * size
    assert strategy.broker.getcash() == pytest.approx(CASH + float(profit), abs=1e-6)
    assert strategy.broker.getvalue() == pytest.approx(CASH + float(profit), abs=1e-6)
    assert strategy.trades == pytest.approx([float(profit)], abs=1e-6)
    assert [settlement.price for settlement in strategy.settlements] == [Decimal(repr(price)).quantize(Decimal("0.01"))]


def test_the_strategy_holds_the_position_until_the_close_and_not_after(chain: Path) -> None:
    strategy = run(chain, (at(FIRST, 15, 27), CALL, {"size": 75}))
    assert strategy.sizes[at(FIRST, 15, 29)] == 75
    assert strategy.sizes[EXPIRY] == 0
    assert strategy.sizes[at(SECOND, 15, 26)] == 0


def test_a_plain_broker_would_keep_the_position_for_ever(chain: Path) -> None:
    cerebro = bt.Cerebro(stdstats=False)
    for feed in load_chain(chain):
        cerebro.adddata(feed)
    cerebro.addstrategy(Planned, plan=((at(FIRST, 15, 27), CALL, {"size": 75}),))
    (strategy,) = cerebro.run()
    assert strategy.getposition(strategy.getdatabyname(CALL)).size == 75


def test_several_contracts_of_one_expiry_are_settled_each_at_its_own_price(chain: Path) -> None:
    plan = [(at(FIRST, 15, 27), name, {"size": 75}) for name in (CALL, PUT, FUTURE)]
    strategy = run(chain, *plan)
    assert {name: price for name, size, price, _ in strategy.executions if size < 0} == {
        CALL: 61.35,
        PUT: 0.0,
        FUTURE: 24561.35,
    }


def test_a_contract_that_expires_later_is_left_alone_until_then(chain: Path) -> None:
    strategy = run(chain, (at(FIRST, 15, 27), "NIFTY_250814_24500_CE", {"size": 75}))
    assert strategy.sizes[at(SECOND, 15, 29)] == 75
    assert strategy.executions[-1] == ("NIFTY_250814_24500_CE", -75, 61.35, at(SECOND, 15, 30))


def test_an_order_of_the_last_minute_is_executed_and_its_position_settled(chain: Path) -> None:
    strategy = run(chain, (at(FIRST, 15, 29), CALL, {"size": 75}))
    assert [execution[1] for execution in strategy.executions] == [75, -75]
    assert [execution[3] for execution in strategy.executions] == [EXPIRY, EXPIRY]


def test_open_orders_are_cancelled_at_the_expiry_and_later_ones_rejected(chain: Path) -> None:
    unreachable = {"size": 75, "exectype": bt.Order.Limit, "price": 1.0}
    strategy = run(
        chain,
        (at(FIRST, 15, 27), CALL, unreachable),
        (EXPIRY, CALL, {"size": 75}),
        (at(SECOND, 15, 27), PUT, {"size": -75}),
    )
    assert strategy.events == [(CALL, "Buy", "Canceled"), (CALL, "Buy", "Rejected"), (PUT, "Sell", "Rejected")]
    assert strategy.executions == []


def test_the_orders_of_a_bracket_are_cancelled_with_it(chain: Path) -> None:
    class Bracketed(Planned):
        def next(self) -> None:
            if self.datetime.datetime(0) == at(FIRST, 15, 27):
                self.buy_bracket(data=self.getdatabyname(CALL), size=75, price=1.0, stopprice=0.5, limitprice=900.0)

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker = SettlingBroker(cash=CASH)
    add_chain(cerebro, chain)
    cerebro.addstrategy(Bracketed)
    (strategy,) = cerebro.run()
    assert sorted(strategy.events) == [
        (CALL, "Buy", "Canceled"),
        (CALL, "Sell", "Canceled"),
        (CALL, "Sell", "Canceled"),
    ]


def build_chain(build: Callable[[MarketSlice], BuiltExport], **changes: Any) -> Path:
    return build(chain_slice(**changes)).root


def test_an_order_that_no_bar_before_the_expiry_could_execute_is_cancelled(
    build: Callable[[MarketSlice], BuiltExport],
) -> None:
    # Nothing has a bar at the close of the first day, so the next instant lies on the second.
    early = pl.col("timestamp") != close_of(FIRST)
    market = chain_slice(index=early, other=early)
    root = build(market).root
    for contract in (CALL, PUT, FUTURE):
        file = root / f"{contract}_1m.csv"
        file.write_text("\n".join(file.read_text().splitlines()[:-1]) + "\n")
    strategy = run(
        root,
        (at(FIRST, 15, 27), CALL, {"size": 75}),
        (at(FIRST, 15, 29), PUT, {"size": 75}),
    )
    assert strategy.executions[-1] == (CALL, -75, 61.35, EXPIRY)
    assert (PUT, "Buy", "Canceled") in strategy.events
    assert strategy.sizes[at(FIRST, 15, 29)] == 75
    assert strategy.sizes[at(SECOND, 15, 26)] == 0


@pytest.mark.parametrize("options", RUNS, ids=str)
def test_a_run_that_ends_before_the_close_settles_with_its_last_bar(
    build: Callable[[MarketSlice], BuiltExport], options: dict[str, Any]
) -> None:
    early = pl.col("timestamp") < close_of(SECOND)
    root = build(chain_slice(index=early, other=early)).root
    name = "NIFTY_250814_24500_CE"
    strategy = run(root, (at(SECOND, 15, 27), name, {"size": 75}), **options)
    assert strategy.executions[-1] == (name, -75, 61.35, at(SECOND, 15, 30))
    assert strategy.sizes[at(SECOND, 15, 28)] == 75
    assert strategy.getposition(strategy.getdatabyname(name)).size == 0


def test_a_run_cut_short_by_its_dates_settles_nothing_that_expires_later(chain: Path) -> None:
    strategy = run(chain, (at(FIRST, 15, 27), "NIFTY_250814_24500_CE", {"size": 75}), selection={"end_date": FIRST})
    assert max(strategy.sizes) == EXPIRY
    assert strategy.sizes[EXPIRY] == 75
    assert strategy.settlements == []


def test_a_position_that_cannot_be_settled_stops_the_run(build: Callable[[MarketSlice], BuiltExport]) -> None:
    market = make_slice(
        [option(2, "24500", "CE", FIRST), option(5, "24500", "CE")], [bars_of(2, "60").head(375), bars_of(5, "70")]
    )
    root = build(market).root
    assert run(root).executions == []
    with pytest.raises(ExportError, match="a position of 75 units is open at the expiry on 2025-08-13 15:30") as caught:
        run(root, (at(FIRST, 15, 27), CALL, {"size": 75}))
    assert caught.value.where == CALL


def official(*prices: tuple[int, str]) -> pl.DataFrame:
    rows = [(number, FIRST, Decimal(price), None) for number, price in prices]
    return pl.DataFrame(rows, schema=SETTLEMENT_SCHEMA, orient="row")


@pytest.mark.parametrize("options", RUNS, ids=str)
def test_the_price_of_the_exchange_is_what_a_position_is_settled_at(
    build: Callable[[MarketSlice], BuiltExport], options: dict[str, Any]
) -> None:
    root = build(chain_slice(official((2, "58.9"), (4, "24558.9")))).root
    strategy = run(root, *((at(FIRST, 15, 27), name, {"size": 75}) for name in (CALL, PUT, FUTURE)), **options)
    assert {name: price for name, size, price, _ in strategy.executions if size < 0} == {
        CALL: 58.9,
        PUT: 0.0,
        FUTURE: 24558.9,
    }
    assert {settlement.basis for settlement in strategy.settlements} == {"exchange", "last underlying bar"}


@pytest.mark.parametrize("options", RUNS, ids=str)
def test_without_any_bar_of_the_underlying_the_price_of_the_exchange_settles(
    build: Callable[[MarketSlice], BuiltExport], options: dict[str, Any]
) -> None:
    market = make_slice(
        [option(2, "24500", "CE")], [bars_of(2, "60", minutes=5).head(9)], settlements=official((2, "58.9"))
    )
    name = "NIFTY_250814_24500_CE"
    strategy = run(build(market).root, (at(FIRST, 15, 27), name, {"size": 75}), **options)
    assert strategy.executions[-1] == (name, -75, 58.9, at(SECOND, 15, 30))
    assert strategy.sizes[at(SECOND, 15, 28)] == 75


def test_a_run_cut_short_before_the_day_of_expiry_is_not_settled_at_the_price_of_the_exchange(
    build: Callable[[MarketSlice], BuiltExport],
) -> None:
    # The contract does not trade on its last day, so its own last bar decides nothing.
    market = make_slice(
        [instrument(1, "SPOT"), option(2, "24500", "CE")],
        [bars_of(1, "24561.35", "0", minutes=5), bars_of(2, "60", minutes=5).head(5)],
        settlements=official((2, "58.9")),
    )
    root, name = build(market).root, "NIFTY_250814_24500_CE"
    order = (at(FIRST, 15, 27), name, {"size": 75})
    assert run(root, order, selection={"end_date": FIRST}).settlements == []
    assert run(root, order).executions[-1] == (name, -75, 58.9, at(SECOND, 15, 30))


def test_neither_volume_nor_slippage_touches_a_settlement(chain: Path) -> None:
    slow = bt.broker.fillers.FixedSize(size=75)
    strategy = run(
        chain,
        (at(FIRST, 15, 27), CALL, {"size": 150}),
        broker={"filler": slow, "slip_fixed": 0.05, "slip_open": True},
    )
    assert [execution[1] for execution in strategy.executions] == [75, 75, -150]
    assert strategy.executions[-1] == (CALL, -150, 61.35, EXPIRY)


def test_a_settlement_is_told_under_the_trade_id_that_was_used(chain: Path) -> None:
    strategy = run(chain, (at(FIRST, 15, 27), CALL, {"size": 75, "tradeid": 7}))
    assert len(strategy.trades) == 1


def test_without_a_check_at_submission_positions_are_settled_too(chain: Path) -> None:
    strategy = run(chain, (at(FIRST, 15, 27), CALL, {"size": 75}), broker={"checksubmit": False})
    assert strategy.executions[-1] == (CALL, -75, 61.35, EXPIRY)


def test_the_commission_of_the_feed_is_charged(chain: Path) -> None:
    def charge(cerebro: Any, _feeds: list[Any]) -> None:
        cerebro.broker.setcommission(commission=2.0, margin=1.0, name=CALL)

    free = run(chain, (at(FIRST, 15, 27), CALL, {"size": 75}))
    charged = run(chain, (at(FIRST, 15, 27), CALL, {"size": 75}), prepare=charge)
    assert free.broker.getcash() - charged.broker.getcash() == pytest.approx(2 * 2.0 * 75)


def test_a_position_in_a_resampled_feed_is_settled(chain: Path) -> None:
    def resample(cerebro: Any, feeds: list[Any]) -> None:
        (call,) = (feed for feed in feeds if feed._name == CALL)
        cerebro.resampledata(call, timeframe=bt.TimeFrame.Minutes, compression=2, name="two minutes")

    strategy = run(chain, (at(FIRST, 15, 28), "two minutes", {"size": 75}), prepare=resample)
    assert strategy.executions[-1] == ("two minutes", -75, 61.35, EXPIRY)


def test_feeds_of_others_are_left_alone(chain: Path) -> None:
    def add_other(cerebro: Any, _feeds: list[Any]) -> None:
        feed = bt.feeds.GenericCSVData(
            dataname=str(chain / f"{CALL}_1m.csv"), name="other", timeframe=bt.TimeFrame.Minutes
        )
        cerebro.adddata(feed)

    strategy = run(chain, (at(FIRST, 15, 27), "other", {"size": 75}), prepare=add_other)
    assert strategy.getposition(strategy.getdatabyname("other")).size == 75


def test_daily_bars_are_settled_on_the_day_of_expiry(build: Callable[[MarketSlice], BuiltExport]) -> None:
    market = make_slice(
        [instrument(1, "SPOT"), option(2, "24500", "CE")],
        [bars_of(1, "24561.35", "0", minutes=1), bars_of(2, "60.1", minutes=1)],
        bar_seconds=86_400,
    )
    strategy = run(build(market).root, (EXPIRY, "NIFTY_250814_24500_CE", {"size": 75}))
    assert strategy.executions[-1] == ("NIFTY_250814_24500_CE", -75, 61.35, at(SECOND, 15, 30))
    assert len(strategy.executions) == 2


def test_a_broker_runs_twice(chain: Path) -> None:
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker = SettlingBroker(cash=CASH)
    add_chain(cerebro, chain)
    cerebro.addstrategy(Planned, plan=((at(FIRST, 15, 27), CALL, {"size": 75}),))
    (first,) = cerebro.run()
    (second,) = cerebro.run()
    assert first.executions == second.executions
    assert len(second.executions) == 2


def test_a_chain_is_not_added_to_a_broker_that_would_not_settle(chain: Path) -> None:
    with pytest.raises(ConfigurationError, match="the broker is a BackBroker, which keeps positions beyond expiry"):
        add_chain(bt.Cerebro(), chain)
