"""Buy one contract at the close of its first bar and hold it to expiry, in Backtrader.

``python -m pipeline_defs.backtests.backtrader_hold --directory DIR --contract NAME --quantity Q [--json]``

Knows Backtrader and the loader of the exported folder, nothing else of the package but `result` and the
errors. Importing this module imports Backtrader.

How the fill comes about, as observed with Backtrader 1.9.78: a market order sent from ``next`` is filled
with the next bar of any feed; in the mode "cheat on close" at the close, and with the stamp, of the bar
on which it was sent. So there must be a later bar: a contract whose only bar is the export's last cannot
be bought. At the expiry `SettlingBroker` closes the position. Prices are taken from the single
executions: the average that Backtrader computes over them is off by a float's last digit.
"""

from __future__ import annotations

import argparse
import sys
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import backtrader as bt
from backtrader.utils.date import num2date

from pipeline_defs.backtests.result import Fill, HoldResult
from pipeline_defs.errors import ConfigurationError, ExportError, PipelineError
from pipeline_defs.exports.backtrader.broker import SettlingBroker
from pipeline_defs.exports.backtrader.contracts import read_sidecar
from pipeline_defs.exports.backtrader.loader import add_chain

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from pipeline_defs.exports.backtrader.values import Contract

ENGINE: Final = f"backtrader {version('backtrader')}"

MAX_QUANTITY: Final = 1_000_000
"""Units; far above any lot, far below where floats lose paise."""

_CAPITAL: Final = 1e12
_PAISA: Final = Decimal("0.01")


class _BuyFirstBar(bt.Strategy):  # type: ignore[misc] # Backtrader carries no types
    """Buys once, on the first bar of the contract, and remembers its orders."""

    params = (("contract", ""), ("quantity", 0))

    def __init__(self) -> None:
        self.feed = self.getdatabyname(self.p.contract)
        self.bought = False
        self.completed: list[Any] = []
        self.refusals: list[str] = []

    def prenext(self) -> None:
        # Called instead of next until every feed has a bar; the contract may trade before the underlying.
        self.next()

    def next(self) -> None:
        if not self.bought and len(self.feed) > 0:
            self.bought = True
            self.buy(data=self.feed, size=self.p.quantity)

    def notify_order(self, order: Any) -> None:  # noqa: ANN401 -- Backtrader's
        if order.status == order.Completed:
            self.completed.append(order)
        elif not order.alive():
            self.refusals.append(order.getstatusname())


def hold_to_expiry(directory: Path, contract: str, quantity: int) -> HoldResult:
    """Buy a contract at the close of its first bar and hold it until it is settled in cash.

    Parameters
    ----------
    directory : Path
        Folder of an export.
    contract : str
        Its name, e.g. ``NIFTY_250814_24500_CE``.
    quantity : int
        Units to buy, 1 to `MAX_QUANTITY`.

    Returns
    -------
    HoldResult
        Settled at the price in the sidecar: the exchange's own, or the intrinsic value over the underlying's last
        close up to the expiry.

    Raises
    ------
    ConfigurationError
        If the quantity is out of range, the contract is not in the export, does not expire within it,
        or there is neither an official settlement price nor a bar of the underlying on the day of expiry.
    ExportError
        If the folder is not a Backtrader export, or the position was not bought or not settled.

    """
    if not 1 <= quantity <= MAX_QUANTITY:
        raise ConfigurationError(f"quantity was {quantity}, expected 1 to {MAX_QUANTITY} units", where=contract)
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker = SettlingBroker(cash=_CAPITAL, coc=True)
    feeds = add_chain(cerebro, directory, names=[contract])
    _refuse_unsettled(next(feed.contract for feed in feeds if feed.contract.name == contract))
    cerebro.addstrategy(_BuyFirstBar, contract=contract, quantity=quantity)
    (strategy,) = cerebro.run()
    return _result(contract, quantity, strategy, read_sidecar(directory).timezone)


def _refuse_unsettled(contract: Contract) -> None:
    if contract.settlement is None:
        expiry = "never expires" if contract.expiry_close is None else f"expires at {contract.expiry_close}"
        raise ConfigurationError(
            f"the contract {expiry}, and the export holds no settlement price for it; expected a contract that "
            "expires within the export, and a bar of its underlying on that day",
            where=contract.name,
            next_step="export a range that holds the day of expiry, with the underlying imported",
        )


def _result(contract: str, quantity: int, strategy: _BuyFirstBar, zone: str) -> HoldResult:
    executions = [bit for order in strategy.completed for bit in order.executed.exbits]
    sizes = [bit.size for bit in executions]
    if sizes != [quantity, -quantity]:
        raise ExportError(
            f"executions were {sizes} units, expected {[quantity, -quantity]}"
            + (f"; orders ended as {', '.join(strategy.refusals)}" if strategy.refusals else ""),
            where=contract,
            next_step="the contract needs a bar before the last one of the export",
        )
    bought, settled = (
        Fill("BUY" if bit.size > 0 else "SELL", _price(bit.price), _instant(bit.dt, zone)) for bit in executions
    )
    return HoldResult(
        engine=ENGINE,
        instrument=contract,
        quantity=quantity,
        entry_price=bought.price,
        entry_time=bought.timestamp,
        exit_price=settled.price,
        exit_time=settled.timestamp,
        gross_pnl=(settled.price - bought.price) * quantity,
        fills=(bought, settled),
    )


def _price(price: float) -> Decimal:
    """Take the decimal that the float prints as, and write paise even when they are zero."""
    exact = Decimal(repr(price))
    in_paise = exact.quantize(_PAISA)
    return in_paise if in_paise == exact else exact


def _instant(day_number: float, zone: str) -> dt.datetime:
    naive: dt.datetime = num2date(day_number)
    return naive.replace(tzinfo=ZoneInfo(zone))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: of the process.

    Returns
    -------
    int
        Exit code, 0 only when the position was bought and settled.

    """
    parser = argparse.ArgumentParser(
        prog="python -m pipeline_defs.backtests.backtrader_hold", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--directory", type=Path, required=True, help="folder of an exported Backtrader chain")
    parser.add_argument("--contract", required=True, help="its name, e.g. NIFTY_250814_24500_CE")
    parser.add_argument("--quantity", type=int, required=True, help="units to buy (lots x lot size)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    try:
        result = hold_to_expiry(options.directory, options.contract, options.quantity)
    except PipelineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{result.to_json() if options.json else result.to_text()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
