"""Buy one option at the close of its first bar and hold it to expiry, in Nautilus Trader.

``python -m pipeline_defs.backtests.nautilus_hold --catalog DIR --instrument ID --quantity Q [--json]``

Knows Nautilus and the layout of the exported catalog, nothing else of the package but `result` and
the errors. Importing this module imports Nautilus (1.7 s).

How the fill comes about, as observed with Nautilus 1.231: a market order sent from ``on_bar`` of the
first bar is filled at once, at that bar's close and time stamp. With the default fill model only about
a quarter of the bar's volume is filled there and the rest one tick worse, so this module uses
`BestPriceFillModel`, which fills the whole order at the close. At `expiration_ns` the engine closes the
position at the option's intrinsic value over the last price of the underlying, provided the run ends
later than that instant.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
import warnings
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

import nautilus_trader
from nautilus_trader.backtest.config import BacktestEngineConfig
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.backtest.models import BestPriceFillModel
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide, order_side_to_str
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.instruments import Equity, IndexInstrument, OptionContract
from nautilus_trader.model.objects import Money, Quantity
from nautilus_trader.persistence.catalog import ParquetDataCatalog
from nautilus_trader.trading.strategy import Strategy

from pipeline_defs.backtests.result import STALE_AFTER, Fill, HoldResult
from pipeline_defs.errors import ConfigurationError, ExportError, PipelineError
from pipeline_defs.exports.nautilus.settlement import SETTLEMENT_FILE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nautilus_trader.model.data import Bar, BarType
    from nautilus_trader.model.events import OrderDenied, OrderFilled, OrderRejected

ENGINE: Final = f"nautilus_trader {nautilus_trader.__version__}"

MAX_QUANTITY: Final = 1_000_000
"""Units that `BestPriceFillModel` offers at the best price."""

_CAPITAL: Final = 1_000_000_000_000


class _BuyFirstBar(Strategy):  # type: ignore[misc] # Nautilus' compiled classes carry no types
    """Buys once, on the first bar of the option, and remembers its fills."""

    def __init__(self, bar_type: BarType, quantity: int) -> None:
        super().__init__()
        self.bar_type = bar_type
        self.quantity = quantity
        self.fills: list[OrderFilled] = []
        self.refusals: list[str] = []
        self.bought = False

    def on_start(self) -> None:
        self.subscribe_bars(self.bar_type)

    def on_bar(self, _bar: Bar) -> None:
        if self.bought:
            return
        self.bought = True
        order = self.order_factory.market(self.bar_type.instrument_id, OrderSide.BUY, Quantity.from_int(self.quantity))
        self.submit_order(order)

    def on_order_filled(self, event: OrderFilled) -> None:
        self.fills.append(event)

    def on_order_rejected(self, event: OrderRejected | OrderDenied) -> None:
        self.refusals.append(str(event.reason))

    on_order_denied = on_order_rejected


def hold_to_expiry(
    catalog: Path, instrument: str, quantity: int, *, settlement_price: Decimal | None = None
) -> HoldResult:
    """Buy an option at the close of its first bar and hold it until the engine settles it.

    Settlement is in cash: at the exchange's own price where the catalog has one, else at the intrinsic value over the
    underlying's last price before expiry. The engine would deliver shares for an option on a share; to state its value
    in cash as well, the share is presented to it as an index.

    Parameters
    ----------
    catalog : Path
        Root of an exported catalog.
    instrument : str
        The option's Nautilus id, e.g. ``NIFTY250814C24500.NSE``.
    quantity : int
        Units to buy, 1 to `MAX_QUANTITY`.
    settlement_price : decimal.Decimal, optional
        What the exchange settled a unit at; default what the catalog says of it.

    Returns
    -------
    HoldResult

    Raises
    ------
    ConfigurationError
        If the quantity is out of range, the instrument is not an option of the catalog, or the
        underlying has no bar in the last session of the option.
    ExportError
        If the engine did not fill or did not settle the position.

    """
    if not 1 <= quantity <= MAX_QUANTITY:
        raise ConfigurationError(f"quantity was {quantity}, expected 1 to {MAX_QUANTITY} units", where=instrument)
    opened = ParquetDataCatalog(str(catalog.resolve()))
    option = _option(opened, instrument)
    underlying = _underlying(opened, option)
    option_bars = _bars(opened, instrument)
    underlying_bars = _bars(opened, underlying.id.value)
    _refuse_stale_underlying(option, underlying_bars)

    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    try:
        engine.add_venue(
            venue=option.id.venue,
            oms_type=OmsType.NETTING,
            account_type=AccountType.MARGIN,
            base_currency=option.quote_currency,
            starting_balances=[Money(_CAPITAL, option.quote_currency)],
            fill_model=BestPriceFillModel(),
            settlement_prices=_settlement_prices(catalog, option, settlement_price),
        )
        engine.add_instrument(underlying)
        engine.add_instrument(option)
        engine.add_data(underlying_bars)
        engine.add_data(option_bars)
        strategy = _BuyFirstBar(option_bars[0].bar_type, quantity)
        engine.add_strategy(strategy)
        # The position is settled by a timer at expiration_ns, which a run that ends earlier never reaches.
        engine.run(end=option.expiration_ns + 1)
        return _result(instrument, quantity, strategy)
    finally:
        engine.dispose()


def _settlement_prices(
    catalog: Path, option: OptionContract, settlement_price: Decimal | None
) -> dict[InstrumentId, float]:
    """Give the exchange's price where it is known; the engine takes a float, and rounds it to the option's decimals."""
    if settlement_price is not None:
        return {option.id: float(settlement_price)}
    file = catalog / SETTLEMENT_FILE
    prices = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {option.id: prices[option.id.value]} if option.id.value in prices else {}


def _option(catalog: ParquetDataCatalog, instrument: str) -> OptionContract:
    found = catalog.instruments(instrument_ids=[instrument])
    if not found or not isinstance(found[0], OptionContract):
        what = "is not in the catalog" if not found else f"is of class {type(found[0]).__name__}"
        raise ConfigurationError(
            f"{instrument} {what}, expected an option",
            where=str(catalog.path),
            next_step="take an id from the folder names below data/option_contract",
        )
    return found[0]


def _underlying(catalog: ParquetDataCatalog, option: OptionContract) -> IndexInstrument:
    underlying_id = InstrumentId.from_str(f"{option.underlying}.{option.id.venue}")
    found = catalog.instruments(instrument_ids=[underlying_id.value])
    if not found:
        raise ConfigurationError(
            f"the underlying {underlying_id} is not in the catalog, so the option cannot be settled",
            where=option.id.value,
            next_step="import the underlying's bars and export again",
        )
    underlying = found[0]
    if not isinstance(underlying, Equity):
        return underlying
    return IndexInstrument(
        instrument_id=underlying.id,
        raw_symbol=underlying.raw_symbol,
        currency=underlying.quote_currency,
        price_precision=underlying.price_precision,
        size_precision=underlying.size_precision,
        price_increment=underlying.price_increment,
        size_increment=underlying.size_increment,
        ts_event=underlying.ts_event,
        ts_init=underlying.ts_init,
    )


def _bars(catalog: ParquetDataCatalog, instrument: str) -> list[Bar]:
    bars: list[Bar] = catalog.bars(instrument_ids=[instrument])
    if not bars:
        raise ConfigurationError(
            "the catalog holds no bars of the instrument",
            where=instrument,
            next_step="export a range of dates on which it traded",
        )
    # A catalog may hold several lengths of bars; the shortest knows most.
    finest = min({bar.bar_type for bar in bars}, key=lambda bar_type: bar_type.spec.timedelta)
    return [bar for bar in bars if bar.bar_type == finest]


def _refuse_stale_underlying(option: OptionContract, underlying_bars: list[Bar]) -> None:
    """Guard against a settlement on an old price: the engine takes whatever it saw last."""
    expiration_ns = option.expiration_ns
    last_ns = max((bar.ts_init for bar in underlying_bars if bar.ts_init < expiration_ns), default=None)
    if last_ns is None or _instant(expiration_ns) - _instant(last_ns) > STALE_AFTER:
        raise ConfigurationError(
            f"the option expires at {_instant(expiration_ns).isoformat()}, but the underlying's last bar before is "
            f"{'absent' if last_ns is None else _instant(last_ns).isoformat()}; expected one of the same session",
            where=option.id.value,
            next_step="export a range that holds the underlying's bars on the day of expiry",
        )


def _result(instrument: str, quantity: int, strategy: _BuyFirstBar) -> HoldResult:
    buys = [fill for fill in strategy.fills if fill.order_side == OrderSide.BUY]
    sells = [fill for fill in strategy.fills if fill.order_side == OrderSide.SELL]
    if _units(buys) != quantity or _units(sells) != quantity:
        raise ExportError(
            f"bought {_units(buys)} and settled {_units(sells)} of {quantity} units"
            + (f"; the engine refused: {'; '.join(strategy.refusals)}" if strategy.refusals else ""),
            where=instrument,
            next_step="check that the underlying and the option share one venue and expire after their last bar",
        )
    paid, received = _cash(buys), _cash(sells)
    return HoldResult(
        engine=ENGINE,
        instrument=instrument,
        quantity=quantity,
        entry_price=paid / quantity,
        entry_time=_instant(buys[0].ts_event),
        exit_price=received / quantity,
        exit_time=_instant(sells[-1].ts_event),
        gross_pnl=received - paid,
        fills=tuple(
            Fill(order_side_to_str(fill.order_side), Decimal(str(fill.last_px)), _instant(fill.ts_event))
            for fill in strategy.fills
        ),
    )


def _units(fills: list[OrderFilled]) -> Decimal:
    return sum((Decimal(str(fill.last_qty)) for fill in fills), Decimal(0))


def _cash(fills: list[OrderFilled]) -> Decimal:
    return sum((Decimal(str(fill.last_px)) * Decimal(str(fill.last_qty)) for fill in fills), Decimal(0))


def _instant(nanoseconds: int) -> dt.datetime:
    """Drop the nanosecond by which an expiry lies after the close of its session."""
    return dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=nanoseconds // 1000)


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
        prog="python -m pipeline_defs.backtests.nautilus_hold", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--catalog", type=Path, required=True, help="root of an exported Nautilus catalog")
    parser.add_argument("--instrument", required=True, help="the option's id, e.g. NIFTY250814C24500.NSE")
    parser.add_argument("--quantity", type=int, required=True, help="units to buy (lots x lot size)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    # Nautilus calls a pandas function that pandas 3 deprecates; a user can do nothing about it.
    warnings.filterwarnings("ignore", message="Timestamp.utcnow is deprecated")
    try:
        result = hold_to_expiry(options.catalog, options.instrument, options.quantity)
    except PipelineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{result.to_json() if options.json else result.to_text()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
