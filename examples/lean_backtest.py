"""One NIFTY option, held from its first bar to expiry, in QuantConnect's LEAN.

LEAN is a C# engine: this file runs inside it (``lean backtest``), not with the Python of this project, whose tests
check its syntax and that its contract is in our files. How to get there from an export: docs/exports/lean.md.
"""

# ruff: noqa: INP001 -- a file to hand to LEAN, not a package to import

from __future__ import annotations

from datetime import datetime

from AlgorithmImports import (
    ConstantFeeModel,
    Market,
    OptionRight,
    OptionStyle,
    QCAlgorithm,
    Resolution,
    Slice,
    Symbol,
)

STRIKE = 24600
EXPIRY = datetime(2025, 8, 14)  # noqa: DTZ001 -- LEAN's dates are naive, in the zone of the exchange
QUANTITY = 75
"""Units, not lots: the symbol properties of an export say multiplier 1 and lot 75."""


class HoldToExpiry(QCAlgorithm):  # type: ignore[misc] # LEAN's Python carries no types here
    """Buys one lot on the first bar and lets the option be settled in cash."""

    def initialize(self) -> None:
        """Name the days, the money and what is traded."""
        self.set_start_date(2025, 8, 1)
        # Past the expiry, or the run ends with the position open.
        self.set_end_date(2025, 8, 18)
        self.set_account_currency("INR")
        self.set_cash(10_000_000)
        self.set_time_zone("Asia/Kolkata")
        # Without the index there is nothing to settle the option on.
        index = self.add_index("NIFTY", Resolution.MINUTE, Market.INDIA).symbol
        self._contract = Symbol.create_option(
            index, "NIFTY", Market.INDIA, OptionStyle.EUROPEAN, OptionRight.CALL, STRIKE, EXPIRY
        )
        option = self.add_index_option_contract(self._contract, Resolution.MINUTE)
        option.set_fee_model(ConstantFeeModel(0))
        self._is_done = False

    def on_data(self, data: Slice) -> None:
        """Buy once, at the first bar of the option."""
        if not self._is_done and data.bars.contains_key(self._contract):
            self._is_done = True
            self.market_order(self._contract, QUANTITY)

    def on_order_event(self, event: object) -> None:
        """Tell what was filled and what it was settled at."""
        self.log(f"{self.time} {event}")
