"""An example runner in the style of `TradingAlgorithm`: `initialize` and `handle_data` over a portal.

It is no engine. It shows that one strategy sees the same values over a store that is whole and over one that is
being filled, and it fills orders in the simplest honest way: an order that is placed at an instant is filled, whole, at
the **open of the next bar** of its instrument, and the strategy learns of it when that bar is complete. Splits and
dividends that the warehouse knows change positions and cash on the morning of their ex-date. There is no slippage, no
margin, no borrowing cost, and no settlement of contracts that expire. For a backtest that decides about money export a
catalog and use Nautilus Trader, Backtrader or LEAN.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.portal.clocks import SimulationClock, in_utc
from pipeline_defs.portal.errors import PortalError
from pipeline_defs.portal.orders import Ledger, Order
from pipeline_defs.schema.columns import TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline_defs.portal.instruments import Instrument
    from pipeline_defs.portal.portal import DataPortal

_FREQUENCIES: Final = {"minute": "1m", "hour": "1h", "daily": "1d"}
_MONEY: Final = pl.Decimal(38, 8)


class BarData:
    """What `handle_data` may ask: the portal, at the instant of its clock.

    Parameters
    ----------
    portal : DataPortal
        On the run's clock.

    """

    def __init__(self, portal: DataPortal) -> None:
        self._portal = portal

    def current(self, assets: Any, fields: Any) -> Any:  # noqa: ANN401 -- as the portal's
        """Give present values, as `DataPortal.current`."""
        return self._portal.current(assets, fields)

    def history(self, assets: Any, fields: Any, bar_count: int, frequency: str = "1d") -> Any:  # noqa: ANN401 -- as above
        """Look back, as `DataPortal.history`."""
        return self._portal.history(assets, fields, bar_count, frequency)

    def can_trade(self, assets: Any) -> Any:  # noqa: ANN401 -- as above
        """Tell what can be traded, as `DataPortal.can_trade`."""
        return self._portal.can_trade(assets)


@dataclass
class Context:
    """What a strategy keeps, and its way to place orders; attributes of its own may be set.

    Parameters
    ----------
    portal : DataPortal
        On the run's clock.
    ledger : Ledger
        Its money.

    """

    portal: DataPortal = field(repr=False)
    ledger: Ledger
    recorded: dict[str, Any] = field(default_factory=dict, init=False)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever the strategy has set
        """Explain what was never set."""
        raise AttributeError(f"context has no {name!r}: set it in initialize")

    if TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None:  # noqa: ANN401, D105 -- for the type checker
            ...

    @property
    def now(self) -> dt.datetime:
        """The clock's instant."""
        return in_utc(self.portal.clock.now(), "the clock")

    def symbol(self, name: str) -> Instrument:
        """Find what a symbol means now."""
        return self.portal.instrument(name)

    def order(self, asset: str | Instrument, amount: Decimal | int) -> Order | None:
        """Order so many units, below zero to sell."""
        return self.ledger.place(str(asset), amount, self.now)

    def order_target(self, asset: str | Instrument, amount: Decimal | int) -> Order | None:
        """Order what is missing to hold so many units, counting what is ordered already."""
        name = str(asset)
        coming = sum((one.amount for one in self.ledger.open_orders if one.symbol == name), Decimal(0))
        return self.ledger.place(name, amount - self.ledger.positions.get(name, Decimal(0)) - coming, self.now)

    def record(self, **values: Any) -> None:  # noqa: ANN401 -- whatever the strategy wants to see
        """Keep values beside the run's own, for this instant."""
        self.recorded |= values


@dataclass(frozen=True)
class Run:
    """What a run came to.

    Parameters
    ----------
    performance : polars.DataFrame
        ``timestamp``, ``cash``, ``value`` (decimals) and what was recorded, a row for each call of `handle_data`.
    orders : list of Order
        All, those that were never filled, too.
    ledger : Ledger
        As it was at the end.
    context : Context
        Likewise.

    """

    performance: pl.DataFrame
    orders: list[Order]
    ledger: Ledger
    context: Context


def run_algorithm(
    initialize: Callable[[Context], None],
    handle_data: Callable[[Context, BarData], None],
    *,
    portal: DataPortal,
    start: dt.datetime,
    end: dt.datetime,
    assets: Sequence[str | Instrument],
    capital_base: Decimal | int = 100_000,
    data_frequency: str = "minute",
    fee: Decimal = Decimal(0),
    delay: dt.timedelta = dt.timedelta(0),
    on_clock: Callable[[dt.datetime], None] | None = None,
) -> Run:
    """Call a strategy at the close of each bar.

    Parameters
    ----------
    initialize : callable
        Called once with the context, at `start`.
    handle_data : callable
        Called with context and data after each bar.
    portal : DataPortal
        Its clock must be a `SimulationClock`, in live mode, too: this runner moves it.
    start, end : datetime.datetime
        With a zone: bars that are complete after `start` and up to `end`.
    assets : sequence of str or Instrument
        What may be traded; the first one's calendar says when bars are complete.
    capital_base : Decimal or int, default 100000
        Cash to begin with.
    data_frequency : str, default "minute"
        ``minute``, ``hour`` or ``daily``.
    fee : Decimal, default 0
        For each unit traded.
    delay : datetime.timedelta, default 0
        How long after a bar's close the strategy is called: in live mode a source needs some seconds.
    on_clock : callable, optional
        Told each instant before anything is asked: a replay lets its source know the time.

    Returns
    -------
    Run

    Raises
    ------
    PortalError
        If the clock cannot be moved, an argument is wrong, or an order is for what is not among `assets`.

    """
    clock = portal.clock
    if not isinstance(clock, SimulationClock):
        raise PortalError(
            f"the portal's clock is a {type(clock).__name__}, which cannot be moved",
            next_step="give the portal clock=SimulationClock(start)",
        )
    if data_frequency not in _FREQUENCIES or not assets:
        raise PortalError(
            f"data_frequency {data_frequency!r} and {len(assets)} assets, expected one of"
            f" {', '.join(_FREQUENCIES)} and at least one asset"
        )
    begin = in_utc(start, "start")
    steps = _Steps(portal, clock, on_clock, _FREQUENCIES[data_frequency])
    steps.put(begin)
    context = Context(portal, Ledger(Decimal(capital_base), fee))
    traded = portal.instruments(assets)
    data = BarData(portal)
    initialize(context)
    rows: list[dict[str, Any]] = []
    before = begin
    for close in portal.buckets(traded[0], steps.frequency, begin, in_utc(end, "end")):
        steps.put(close + delay)
        steps.apply_actions(context.ledger, traded, before, close)
        steps.fill(context.ledger, traded)
        handle_data(context, data)
        rows.append({"timestamp": close, "cash": context.ledger.cash, "value": steps.value(context.ledger)})
        rows[-1] |= context.recorded
        context.recorded.clear()
        before = close
    return Run(_performance(rows), context.ledger.orders, context.ledger, context)


@dataclass(frozen=True)
class _Steps:
    """What happens between two calls of the strategy."""

    portal: DataPortal
    clock: SimulationClock
    on_clock: Callable[[dt.datetime], None] | None
    frequency: str

    def put(self, instant: dt.datetime) -> None:
        self.clock.set(instant)
        if self.on_clock is not None:
            self.on_clock(instant)

    def apply_actions(self, ledger: Ledger, traded: list[Instrument], before: dt.datetime, now: dt.datetime) -> None:
        """Let splits and dividends of days that have begun since the last bar change what is held."""
        for instrument in traded:
            for action in self.portal.actions_between(instrument, before, now):
                if action.kind == "split":
                    ledger.split(instrument.symbol, action.value)
                else:
                    ledger.dividend(instrument.symbol, action.value)

    def fill(self, ledger: Ledger, traded: list[Instrument]) -> None:
        """Fill what was ordered before the bar that is complete now, at its open."""
        known = {one.symbol: one for one in traded}
        for order in ledger.open_orders:
            if order.symbol not in known:
                raise PortalError(
                    f"order {order.number} is for {order.symbol}, which is not among the assets of the run",
                    next_step="name it in assets=[…]",
                )
            bar = self.portal.latest_bar(order.symbol, self.frequency)
            if bar is not None and bar["timestamp"] > order.placed_at:
                ledger.fill(order, bar["open"], bar["timestamp"])

    def value(self, ledger: Ledger) -> Decimal:
        held = list(ledger.positions)
        bars = {symbol: self.portal.latest_bar(symbol, self.frequency) for symbol in held}
        return ledger.value({symbol: bar["close"] for symbol, bar in bars.items() if bar is not None})


def _performance(rows: list[dict[str, Any]]) -> pl.DataFrame:
    schema: dict[str, Any] = {"timestamp": TIMESTAMP, "cash": _MONEY, "value": _MONEY}
    for row in rows:
        schema |= {name: None for name in row if name not in schema}
    whole = [{name: row.get(name) for name in schema} for row in rows]
    return pl.DataFrame(whole, schema=schema, infer_schema_length=None)
