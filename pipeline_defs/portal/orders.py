"""What the example runner keeps of money: orders, fills, positions and cash, all decimals.

There is no leverage, no margin and no slippage here: cash may become negative, a position may be short, and an order is
filled whole. It is book-keeping for examples, not a broker.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from pipeline_defs.portal.errors import PortalError

if TYPE_CHECKING:
    import datetime as dt

_ZERO: Final = Decimal(0)


@dataclass(slots=True)
class Order:
    """An order.

    Parameters
    ----------
    number : int
        From 1.
    symbol : str
        Of what.
    amount : Decimal
        Units; below zero to sell.
    placed_at : datetime.datetime
        By the clock; it is filled by a bar that is complete later.
    filled_at : datetime.datetime or None
        Close of the bar that filled it.
    price : Decimal or None
        The open of that bar.

    """

    number: int
    symbol: str
    amount: Decimal
    placed_at: dt.datetime
    filled_at: dt.datetime | None = None
    price: Decimal | None = None

    @property
    def is_open(self) -> bool:
        """Whether it waits for a bar."""
        return self.filled_at is None


@dataclass(slots=True)
class Ledger:
    """Cash, positions, and the orders that made them.

    Parameters
    ----------
    cash : Decimal
        To begin with.
    fee : Decimal
        For each unit that is traded.

    """

    cash: Decimal
    fee: Decimal = _ZERO
    positions: dict[str, Decimal] = field(default_factory=dict)
    """Units by symbol, without zeros."""
    orders: list[Order] = field(default_factory=list)
    """In the order in which they were placed."""

    def place(self, symbol: str, amount: Decimal | int, now: dt.datetime) -> Order | None:
        """Take an order; one of no unit is none.

        Raises
        ------
        PortalError
            If the amount is no number of units.

        """
        if isinstance(amount, bool) or not isinstance(amount, Decimal | int) or not Decimal(amount).is_finite():
            raise PortalError(
                f"an order of {amount!r} units of {symbol}, expected a whole number or a Decimal",
                next_step="floats are not taken: what they mean is not exact",
            )
        if not amount:
            return None
        self.orders.append(Order(len(self.orders) + 1, symbol, Decimal(amount), now))
        return self.orders[-1]

    @property
    def open_orders(self) -> list[Order]:
        """Orders that wait for a bar."""
        return [order for order in self.orders if order.is_open]

    def fill(self, order: Order, price: Decimal, at: dt.datetime) -> None:
        """Execute an order, whole."""
        order.price, order.filled_at = price, at
        self.cash -= order.amount * price + abs(order.amount) * self.fee
        self._hold(order.symbol, self.positions.get(order.symbol, _ZERO) + order.amount)

    def split(self, symbol: str, ratio: Decimal) -> None:
        """Give so many new units for each old one, also of what is ordered."""
        self._hold(symbol, self.positions.get(symbol, _ZERO) * ratio)
        for order in self.open_orders:
            if order.symbol == symbol:
                order.amount *= ratio

    def dividend(self, symbol: str, amount: Decimal) -> None:
        """Pay so much a unit that is held; who is short pays it."""
        self.cash += self.positions.get(symbol, _ZERO) * amount

    def value(self, prices: dict[str, Decimal]) -> Decimal:
        """Give cash and positions at some prices."""
        return self.cash + sum((units * prices[symbol] for symbol, units in self.positions.items()), _ZERO)

    def _hold(self, symbol: str, units: Decimal) -> None:
        self.positions.pop(symbol, None)
        if units:
            self.positions[symbol] = units
