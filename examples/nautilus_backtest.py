"""Buy at the first bar and hold, in Nautilus Trader, over one or several exported months.

    .venv/bin/python examples/nautilus_backtest.py \
        --catalog .pipeline/catalogs/nautilus/NIFTY/2025-08 --instrument NIFTY250814C24600.NSE --quantity 75

An option that expires within the months is settled by the engine, at the exchange's own price where the catalog has it;
anything else is still held at the end.
"""

# ruff: noqa: INP001 -- a script to run, not a package to import

from __future__ import annotations

import argparse
import sys
import warnings
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nautilus_trader.backtest.config import BacktestEngineConfig, BacktestVenueConfig
from nautilus_trader.backtest.node import BacktestNode
from nautilus_trader.config import ImportableFillModelConfig, LoggingConfig
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import OrderSide, order_side_to_str
from nautilus_trader.trading.strategy import Strategy

from pipeline_defs.exports.nautilus.reading import open_months

if TYPE_CHECKING:
    from nautilus_trader.model.data import Bar
    from nautilus_trader.model.events import OrderFilled

BARS = "1-MINUTE-LAST-EXTERNAL"


class BuyAndHold(Strategy):  # type: ignore[misc] # Nautilus' compiled classes carry no types
    """Buys once and keeps every fill, the engine's own settlement included."""

    def __init__(self, bar_type: BarType, quantity: Decimal) -> None:
        super().__init__()
        self.bar_type = bar_type
        self.quantity = quantity
        self.bought = False
        self.fills: list[OrderFilled] = []

    def on_start(self) -> None:
        """Ask for the bars; each arrives when it is complete."""
        self.subscribe_bars(self.bar_type)

    def on_bar(self, _bar: Bar) -> None:
        """Buy at the close of the first one."""
        if not self.bought:
            self.bought = True
            instrument = self.cache.instrument(self.bar_type.instrument_id)
            order = self.order_factory.market(instrument.id, OrderSide.BUY, instrument.make_qty(self.quantity))
            self.submit_order(order)

    def on_order_filled(self, event: OrderFilled) -> None:
        """Remember the fill."""
        self.fills.append(event)


def run(catalogs: list[Path], instrument_id: str, quantity: Decimal) -> list[str]:
    """Run the backtest and describe its fills, one line each."""
    months = open_months(catalogs)
    instrument = months.instruments[instrument_id]
    wanted = [f"{instrument_id}-{BARS}"]
    expiry_ns = getattr(instrument, "expiration_ns", 0)
    expires = 0 < expiry_ns <= months.end_ns + 1
    underlying_id = f"{getattr(instrument, 'underlying', None)}.{instrument.id.venue}"
    if underlying_id in months.instruments:
        # The engine settles an option on the last price of its underlying, so that must be in the run, too.
        wanted.append(f"{underlying_id}-{BARS}")
    venue = BacktestVenueConfig(
        name=instrument.id.venue.value,
        oms_type="NETTING",
        account_type="MARGIN",
        starting_balances=[f"100_000_000 {instrument.quote_currency}"],
        settlement_prices=months.settlement_prices,
        # Fills the whole order at the bar's close, whatever its volume.
        fill_model=ImportableFillModelConfig(
            fill_model_path="nautilus_trader.backtest.models:BestPriceFillModel",
            config_path="nautilus_trader.backtest.config:FillModelConfig",
            config={},
        ),
    )
    config = months.run_config(
        venues=[venue],
        data=months.bars(*wanted),
        engine=BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)),
        # A run that ends with the last bar would never see the expiry, which lies 1 ns after the close.
        end=expiry_ns + 1 if expires else None,
        dispose_on_completion=False,
        raise_exception=True,
    )
    strategy = BuyAndHold(BarType.from_str(wanted[0]), quantity)
    node: Any = BacktestNode([config])
    node.build()
    node.get_engine(config.id).add_strategy(strategy)
    node.run()
    lines = [
        f"{order_side_to_str(fill.order_side)} {fill.last_qty} {instrument_id} at {fill.last_px}"
        for fill in strategy.fills
    ]
    node.dispose()
    return lines


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--catalog", type=Path, action="append", required=True, help="repeat it for several months")
    parser.add_argument("--instrument", required=True)
    parser.add_argument("--quantity", type=Decimal, required=True, help="units (lots x lot size)")
    options = parser.parse_args()
    # Nautilus calls a pandas function that pandas 3 deprecates.
    warnings.filterwarnings("ignore", message="Timestamp.utcnow is deprecated")
    sys.stdout.writelines(f"{line}\n" for line in run(options.catalog, options.instrument, options.quantity))


if __name__ == "__main__":
    main()
