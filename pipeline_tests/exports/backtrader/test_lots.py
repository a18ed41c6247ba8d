"""Profit and loss is the same in units and in lots, by hand, and over the day on which a lot changes."""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import backtrader as bt
import polars as pl
import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.exports.backtrader.broker import SettlingBroker
from pipeline_defs.exports.backtrader.build import build_files
from pipeline_defs.exports.backtrader.contracts import read_sidecar
from pipeline_defs.exports.backtrader.loader import add_chain, commission_info
from pipeline_defs.exports.backtrader.lots import LotPeriod, lot_periods
from pipeline_defs.schema.exports import TERM_PERIOD_SCHEMA
from pipeline_tests.exports.backtrader.slices import (
    MONTHLY,
    SESSIONS,
    bars_of,
    crypto_slice,
    instrument,
    make_slice,
    option,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # Backtrader's own

FIRST, SECOND = SESSIONS
CALL, FUTURE, LATER = "NIFTY_250814_24500_CE", "NIFTY_250814_FUT", "NIFTY_250828_24500_CE"
CASH = 10_000_000.0
Orders = dict[dt.datetime, list[dict[str, Any]]]


def at(day: dt.date, hour: int, minute: int) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(hour, minute))


def market_of(lots: tuple[int, int] = (75, 75)) -> MarketSlice:
    """An index at 24561.35, a call, a future and a later call whose lots on the two days are these."""
    terms = [
        instrument(1, "SPOT"),
        option(2, "24500", "CE", lot_size=lots[1]),
        instrument(3, "FUT", expiry=SECOND, lot_size=lots[1]),
        option(4, "24500", "CE", MONTHLY, lot_size=lots[1]),
    ]
    frames = [
        bars_of(1, "24561.35", "0", minutes=5),
        bars_of(2, "60.1", "0.35", minutes=5),
        bars_of(3, "24570.05", "1.15", minutes=5),
        bars_of(4, "120.1", "0.35", minutes=5),
    ]
    market = make_slice(terms, frames)
    described = market.instruments.with_columns(
        valid_from=pl.lit(None, pl.Date),
        valid_to=pl.lit(None, pl.Date),
        multiplier=pl.lit(Decimal(1), TERM_PERIOD_SCHEMA["multiplier"]),
    ).select(list(TERM_PERIOD_SCHEMA))
    derivative = pl.col("instrument_id") > 1
    before = described.filter(derivative).with_columns(valid_to=pl.lit(SECOND), lot_size=pl.lit(lots[0], pl.Int64))
    after = described.with_columns(valid_from=pl.when(derivative).then(pl.lit(SECOND)))
    return dataclasses.replace(market, term_periods=pl.concat([before, after]))


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("steady")
    build_files(market_of(), root)
    return root


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("changing")
    build_files(market_of((50, 75)), root)
    return root


class Planned(bt.Strategy):  # type: ignore[misc] # Backtrader carries no types
    """Sends orders at given times and keeps an account of every bar."""

    params = (("orders", ()),)

    def __init__(self) -> None:
        self.account: list[float] = []
        self.sizes: dict[dt.datetime, dict[str, float]] = {}
        self.executed: list[tuple[str, float, float]] = []
        self.closed: list[float] = []

    def prenext(self) -> None:
        self.next()

    def next(self) -> None:
        now = self.datetime.datetime(0)
        self.account += [self.broker.getcash(), self.broker.getvalue()]
        self.sizes[now] = {data._name: self.getposition(data).size for data in self.datas}
        for order in dict(self.p.orders).get(now, ()):
            told = dict(order)
            data = self.getdatabyname(told.pop("name"))
            size = told.pop("size", None)
            if size is None:
                self.close(data=data)
            else:
                (self.buy if size > 0 else self.sell)(data=data, size=abs(size), **told)

    def notify_order(self, order: Any) -> None:
        if order.status == order.Completed:
            self.executed += [(order.data._name, bit.size, bit.price) for bit in order.executed.exbits]

    def notify_trade(self, trade: Any) -> None:
        if trade.isclosed:
            self.closed.append(trade.pnl)


def run(
    folder: Path,
    orders: Orders,
    quantities: str,
    prepare: Callable[[Any, list[Any]], object] = lambda *_: None,
    **broker: Any,
) -> Planned:
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker = SettlingBroker(cash=CASH, **broker)
    prepare(cerebro, add_chain(cerebro, folder, quantities=quantities))
    cerebro.addstrategy(Planned, orders=orders)
    (strategy,) = cerebro.run()
    assert isinstance(strategy, Planned)
    return strategy


def closes(folder: Path, name: str) -> dict[str, Decimal]:
    """Read the closes of a contract from its file, by stamp."""
    lines = (folder / f"{name}_1m.csv").read_text().splitlines()[1:]
    return {line.split(",")[0]: Decimal(line.split(",")[4]) for line in lines}


def test_one_lot_and_its_units_give_the_same_account_at_every_bar(steady: Path) -> None:
    buy = at(FIRST, 15, 27)
    in_units = run(steady, {buy: [{"name": CALL, "size": 75}, {"name": FUTURE, "size": -150}]}, "units")
    in_lots = run(steady, {buy: [{"name": CALL, "size": 1}, {"name": FUTURE, "size": -2}]}, "lots")
    assert in_lots.account == pytest.approx(in_units.account, abs=1e-6)
    assert in_lots.sizes[at(FIRST, 15, 28)] == {"NIFTY_IDX": 0, CALL: 1, FUTURE: -2, LATER: 0}


@pytest.mark.parametrize(("quantities", "size"), [("units", 150), ("lots", 2)])
def test_the_profit_of_two_lots_held_to_expiry_is_that_of_a_calculation_by_hand(
    steady: Path, quantities: str, size: int
) -> None:
    strategy = run(steady, {at(FIRST, 15, 27): [{"name": CALL, "size": size}]}, quantities, coc=True)
    entry = closes(steady, CALL)["2025-08-13 15:27:00"]
    # Two lots of 75 units; the index closes 61.35 above the strike.
    by_hand = (Decimal("61.35") - entry) * 150
    assert strategy.closed == pytest.approx([float(by_hand)], abs=1e-6)
    assert strategy.broker.getcash() == pytest.approx(CASH + float(by_hand), abs=1e-6)


def test_the_multiplier_and_the_margin_are_those_of_a_lot(steady: Path) -> None:
    contracts = {contract.name: contract for contract in read_sidecar(steady).contracts}
    scheme = commission_info(contracts[CALL], "lots")
    assert (scheme.p.mult, scheme.margin, scheme.stocklike) == (75.0, 75.0, False)
    assert scheme.profitandloss(2, 100.0, 101.5) == 225.0
    assert commission_info(contracts[CALL], "lots", margin=90_000.0, commission=20.0).getcommission(2, 100.0) == 40.0
    index = commission_info(contracts["NIFTY_IDX"], "lots")
    assert (index.p.mult, index.stocklike) == (1.0, True)


def test_lots_are_told_by_date(changing: Path) -> None:
    contracts = {contract.name: contract for contract in read_sidecar(changing).contracts}
    assert lot_periods(contracts[CALL]) == (
        LotPeriod(dt.datetime.min, 50),  # noqa: DTZ901
        LotPeriod(at(SECOND, 0, 0), 75),
    )
    assert lot_periods(dataclasses.replace(contracts[CALL], terms=())) == (LotPeriod(dt.datetime.min, 75),)  # noqa: DTZ901


def test_a_position_keeps_its_units_when_the_lot_changes_and_the_account_is_that_of_units(changing: Path) -> None:
    buy = at(FIRST, 15, 27)
    in_units = run(changing, {buy: [{"name": CALL, "size": 150}, {"name": FUTURE, "size": -300}]}, "units")
    in_lots = run(changing, {buy: [{"name": CALL, "size": 3}, {"name": FUTURE, "size": -6}]}, "lots")
    assert in_lots.account == pytest.approx(in_units.account, abs=1e-6)
    assert in_lots.sizes[at(FIRST, 15, 30)][CALL] == 3
    # 150 units are 2 lots of 75.
    assert in_lots.sizes[at(SECOND, 15, 26)] == {"NIFTY_IDX": 0, CALL: 2, FUTURE: -4, LATER: 0}
    assert in_lots.closed == pytest.approx(in_units.closed, abs=1e-6)
    assert len(in_lots.closed) == 2


def test_a_trade_over_the_change_of_the_lot_is_closed_whole_with_its_profit(changing: Path) -> None:
    orders: Orders = {at(FIRST, 15, 27): [{"name": LATER, "size": 3}], at(SECOND, 15, 27): [{"name": LATER}]}
    strategy = run(changing, orders, "lots", coc=True)
    prices = closes(changing, LATER)
    by_hand = (prices["2025-08-14 15:27:00"] - prices["2025-08-13 15:27:00"]) * 150
    assert [size for _, size, _ in strategy.executed] == [3, -2]
    assert strategy.closed == pytest.approx([float(by_hand)], abs=1e-6)
    assert strategy.broker.getcash() == pytest.approx(CASH + float(by_hand), abs=1e-6)


def test_units_that_are_no_whole_lot_any_more_are_still_all_there(changing: Path) -> None:
    orders: Orders = {at(FIRST, 15, 27): [{"name": LATER, "size": 1}], at(SECOND, 15, 27): [{"name": LATER}]}
    strategy = run(changing, orders, "lots", coc=True)
    prices = closes(changing, LATER)
    by_hand = (prices["2025-08-14 15:27:00"] - prices["2025-08-13 15:27:00"]) * 50
    assert strategy.sizes[at(SECOND, 15, 26)][LATER] == pytest.approx(50 / 75)
    assert strategy.closed == pytest.approx([float(by_hand)], abs=1e-6)
    assert strategy.sizes[at(SECOND, 15, 30)][LATER] == 0


def test_an_order_that_is_open_when_the_lot_changes_keeps_its_units(changing: Path) -> None:
    # The market order of the last bar is executed with the first of the next day.
    strategy = run(changing, {at(FIRST, 15, 30): [{"name": LATER, "size": 3}]}, "lots")
    assert [(name, size) for name, size, _ in strategy.executed] == [(LATER, 2)]
    assert strategy.sizes[at(SECOND, 15, 27)][LATER] == 2


def test_a_run_that_begins_after_the_change_has_the_lot_of_its_day(changing: Path) -> None:
    strategy = run(changing, {at(SECOND, 15, 27): [{"name": CALL, "size": 2}]}, "lots", coc=True)
    by_hand = (Decimal("61.35") - closes(changing, CALL)["2025-08-14 15:27:00"]) * 150
    assert strategy.closed == pytest.approx([float(by_hand)], abs=1e-6)


def test_a_second_run_begins_with_the_first_lot_again(changing: Path) -> None:
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker = SettlingBroker(cash=CASH)
    add_chain(cerebro, changing, quantities="lots")
    cerebro.addstrategy(Planned, orders={at(FIRST, 15, 27): [{"name": CALL, "size": 3}]})
    (first,) = cerebro.run()
    (second,) = cerebro.run()
    assert second.account == first.account
    assert second.closed == first.closed


@pytest.mark.parametrize("quantities", ["units", "lots"])
def test_a_resampled_feed_has_the_multiplier_of_its_original(changing: Path, quantities: str) -> None:
    def resample(cerebro: Any, feeds: list[Any]) -> None:
        (call,) = (feed for feed in feeds if feed._name == CALL)
        cerebro.resampledata(call, timeframe=bt.TimeFrame.Minutes, compression=2, name="two minutes")

    size = 3 if quantities == "lots" else 150
    orders: Orders = {at(FIRST, 15, 28): [{"name": "two minutes", "size": size}]}
    strategy = run(changing, orders, quantities, resample)
    (_, _, entry), (_, _, settled) = strategy.executed
    assert settled == 61.35
    assert strategy.closed == pytest.approx([(settled - entry) * 150], abs=1e-6)
    assert strategy.broker.getcash() == pytest.approx(CASH + (settled - entry) * 150, abs=1e-6)


def test_lots_that_are_not_known_are_refused_before_the_run_is_touched(
    build: Callable[[MarketSlice], BuiltExport],
) -> None:
    root = build(
        make_slice([instrument(1, "SPOT"), option(2, "24500", "CE", lot_size=None)], [bars_of(1, "1"), bars_of(2, "7")])
    ).root
    cerebro = bt.Cerebro()
    cerebro.broker = SettlingBroker()
    with pytest.raises(ConfigurationError, match="the lot size is not known") as caught:
        add_chain(cerebro, root, quantities="lots")
    assert caught.value.where == CALL
    assert cerebro.datas == []
    assert len(add_chain(cerebro, root, quantities="units")) == 2


def test_a_quantity_that_is_neither_is_refused(steady: Path) -> None:
    cerebro = bt.Cerebro()
    cerebro.broker = SettlingBroker()
    with pytest.raises(ConfigurationError, match="quantities was 'contracts', expected one of units, lots"):
        add_chain(cerebro, steady, quantities="contracts")


def test_a_pair_has_units_alone(build: Callable[[MarketSlice], BuiltExport]) -> None:
    (pair,) = (contract for contract in read_sidecar(build(crypto_slice()).root).contracts if contract.kind == "PAIR")
    assert commission_info(pair, "lots").p.mult == 1.0
