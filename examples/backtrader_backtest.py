"""Buy an at-the-money straddle on the last day and hold it to expiry, in Backtrader, from an exported folder.

``python examples/backtrader_backtest.py catalogs/backtrader/NIFTY/2025-08 [--lots 2]``

Shows what `add_chain` and `SettlingBroker` take off your hands: feeds with the right time frame, sizes in lots, and a
settlement at expiry that nobody has to code.
"""

# ruff: noqa: INP001 -- a script to run, not a package to import

from __future__ import annotations

import argparse
import sys
from typing import Any

import backtrader as bt

from pipeline_defs.exports.backtrader.broker import SettlingBroker
from pipeline_defs.exports.backtrader.loader import add_chain

CASH = 1_000_000.0


class Straddle(bt.Strategy):  # type: ignore[misc] # Backtrader carries no types
    """One call and one put of the strike nearest to the index, bought with the first bar of their last day."""

    params = (("lots", 1),)

    def __init__(self) -> None:
        self.index = self.datas[0]  # the underlying comes first
        self.ordered = False
        self.fills: list[str] = []
        self.profits: dict[str, float] = {}

    def prenext(self) -> None:
        """Do not wait for a bar of every feed: in a chain, some strikes trade late."""
        self.next()

    def next(self) -> None:
        """Buy once, on the last day."""
        if self.ordered or not len(self.index):
            return
        # Contracts that expire today and have traded.
        today = self.index.datetime.date(0)
        chain = [data for data in self.datas if len(data) and data.contract.expiry == today]
        if not chain:
            return
        strike = min((data.contract.strike for data in chain), key=lambda each: abs(float(each) - self.index.close[0]))
        for data in chain:
            if data.contract.strike == strike:
                self.buy(data=data, size=self.p.lots)
        self.ordered = True

    def notify_order(self, order: Any) -> None:  # noqa: ANN401 -- Backtrader's
        """Write down what was filled; a settlement is an order as well."""
        if order.status == order.Completed:
            why = f"settled ({order.info.settlement.basis})" if "settlement" in order.info else "bought"
            time = bt.num2date(order.executed.dt)
            self.fills.append(f"{time:%Y-%m-%d %H:%M} {order.data._name} {why} at {order.executed.price:.2f}")  # noqa: SLF001

    def notify_trade(self, trade: Any) -> None:  # noqa: ANN401 -- Backtrader's
        """Keep the profit of what is closed."""
        if trade.isclosed:
            self.profits[trade.data._name] = trade.pnl  # noqa: SLF001 -- a feed's name has no other attribute


def run(directory: str, lots: int) -> Straddle:
    """Run the strategy over an exported folder."""
    cerebro = bt.Cerebro(stdstats=False)
    # cheat-on-close: an order is filled at the close of the bar that caused it
    cerebro.broker = SettlingBroker(cash=CASH, coc=True)
    add_chain(cerebro, directory, kinds={"OPT"}, quantities="lots")
    cerebro.addstrategy(Straddle, lots=lots)
    (strategy,) = cerebro.run()
    finished: Straddle = strategy
    return finished


def main() -> int:
    """Run it and say what happened."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", help="folder of a Backtrader export with an option chain")
    parser.add_argument("--lots", type=int, default=1)
    options = parser.parse_args()
    strategy = run(options.directory, options.lots)
    for line in strategy.fills:
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"profit {sum(strategy.profits.values()):.2f}, cash {strategy.broker.getcash():.2f}\n")
    return 0 if strategy.profits else 1


if __name__ == "__main__":
    sys.exit(main())
