"""A crossing of two moving averages, in the style of `initialize` and `handle_data`, over the data portal.

``python examples/portal_algorithm.py RELIANCE 2025-08-13 [--fast 10] [--slow 30] [--units 100]``

Reads the warehouse of the home. It shows what a strategy asks, and that prices stay exact; the runner is an example,
not an engine: `pipeline_defs.portal.algorithm` says what it leaves out.
"""

# ruff: noqa: INP001 -- a script to run, not a package to import

from __future__ import annotations

import argparse
import datetime as dt
import sys
from typing import TYPE_CHECKING

from pipeline_defs.portal import DataPortal, SimulationClock
from pipeline_defs.portal.algorithm import BarData, Context, run_algorithm

if TYPE_CHECKING:
    from pipeline_defs.portal.algorithm import Run


def run(portal: DataPortal, symbol: str, days: tuple[dt.date, dt.date], *, fast: int, slow: int, units: int) -> Run:
    """Hold some units while the mean of few minutes is above that of many."""

    def initialize(context: Context) -> None:
        context.asset = context.symbol(symbol)

    def handle_data(context: Context, data: BarData) -> None:
        closes = data.history(context.asset, "close", slow, "1m")["close"]
        if closes.len() < slow or not data.can_trade(context.asset):
            return
        # Sums are exact; comparing fast / n with slow / m needs no division.
        is_above = closes.tail(fast).sum() * slow > closes.sum() * fast
        context.order_target(context.asset, units if is_above else 0)
        context.record(is_above=is_above)

    begin = dt.datetime.combine(days[0], dt.time(), dt.UTC)
    end = dt.datetime.combine(days[1] + dt.timedelta(days=1), dt.time(), dt.UTC)
    return run_algorithm(initialize, handle_data, portal=portal, start=begin, end=end, assets=[symbol])


def main() -> int:
    """Run it and say what was traded."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("symbol")
    parser.add_argument("first", type=dt.date.fromisoformat, help="first day, e.g. 2025-08-13")
    parser.add_argument("last", type=dt.date.fromisoformat, nargs="?", help="last day; default the first")
    parser.add_argument("--fast", type=int, default=10)
    parser.add_argument("--slow", type=int, default=30)
    parser.add_argument("--units", type=int, default=100)
    options = parser.parse_args()
    days = options.first, options.last or options.first
    portal = DataPortal(clock=SimulationClock(dt.datetime.combine(days[0], dt.time(), dt.UTC)))
    result = run(portal, options.symbol, days, fast=options.fast, slow=options.slow, units=options.units)
    for order in result.orders:
        if order.filled_at is not None:
            side = "buy" if order.amount > 0 else "sell"
            sys.stdout.write(
                f"{order.filled_at:%Y-%m-%d %H:%M} UTC  {side:4} {abs(order.amount)} at {order.price:.2f}\n"
            )
    rows = result.performance
    value = rows["value"][-1] if rows.height else result.ledger.cash
    sys.stdout.write(f"{rows.height} calls, {len(result.orders)} orders, value {value:.2f}\n")
    return 0 if result.orders else 1


if __name__ == "__main__":
    sys.exit(main())
