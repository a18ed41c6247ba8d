"""A Backtrader broker that knows when a contract ends, and that a lot is not the same for ever.

Backtrader itself keeps a position in an expired contract for ever and fills orders in it at its last
bar. `SettlingBroker` closes the position at the contract's settlement price, cancels its open orders
and rejects new ones. It minds the feeds that `loader` made and leaves all others alone. How a
settlement price comes about, and what a change of the lot does, does not belong here. Importing this
module imports Backtrader.
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import backtrader as bt
from backtrader.order import BuyOrder, SellOrder
from backtrader.utils.date import date2num

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.backtrader.lots import LotPeriod, Relotting

if TYPE_CHECKING:
    from pipeline_defs.exports.backtrader.values import Contract


@dataclass(frozen=True, slots=True, eq=False)
class _Expiry:
    """When a feed's contract ends, in Backtrader's day numbers."""

    data: Any
    contract: Contract
    closes: float
    decided: float
    """The bar after which nothing can change the outcome any more."""


class SettlingBroker(bt.brokers.BackBroker):  # type: ignore[misc] # Backtrader carries no types
    """Backtrader's broker, with expiry.

    All parameters are those of ``backtrader.brokers.BackBroker``. At the first instant of the run that is
    not before a contract's `expiry_close`, after the orders of that instant were executed, or with the
    last bar of the run if it reaches no such instant:

    - a position is closed at the settlement price, without slippage and whatever the volume, by an order
      of type ``Historical`` whose `info.settlement` is the `Settlement` and whose execution is dated
      `expiry_close`; the strategy that traded the contract last is notified, under the trade id it used;
      the feed's commission scheme applies;
    - open orders are cancelled; later ones are rejected.

    With quantities in lots, a contract that is re-lotted during the run keeps its units: before anything else happens
    with the first bar of the new lot, the sizes of its position, of its open orders and of its open trades become that
    many of the new lots, which need not be a whole number.

    A feed that Backtrader resamples or replays has the commission scheme of its original, unless it was given its own.

    Backtrader's own broker cannot run with ``exactbars=1`` over feeds that end at different times, and so
    neither can this one.

    Raises
    ------
    ExportError
        During the run, if a position is open when its contract expires and the export holds no price
        to settle it at.

    """

    _relotting: Relotting | None = None

    def getcommissioninfo(self, data: Any) -> Any:  # noqa: ANN401 -- Backtrader's
        """Give the commission scheme of a feed, or else of what it is made from; Backtrader calls this."""
        while data._name not in self.comminfo and getattr(data, "_clone", False):  # noqa: SLF001 -- Backtrader's
            data = data.data
        return super().getcommissioninfo(data)

    def start(self) -> None:
        """Prepare a run; Backtrader calls this."""
        super().start()
        if self._relotting is not None:
            self._relotting.restore()
        self._relotting = Relotting(self, self.cerebro.datas, _lots, date2num)
        self._traders: dict[int, tuple[Any, int]] = {}
        self._expired: set[int] = set()
        expiries = (_expiry(data) for data in self.cerebro.datas)
        self._expiring = deque(sorted((expiry for expiry in expiries if expiry is not None), key=_closes))

    def transmit(self, order: Any, check: bool = True) -> Any:  # noqa: ANN401, FBT001, FBT002 -- Backtrader's signature
        """Take an order, unless its contract has expired; Backtrader calls this."""
        if id(order.data) in self._expired:
            order.reject(self)
            self.notify(order)
            return order
        self._traders[id(order.data)] = (order.owner, order.tradeid)
        return super().transmit(order, check=check)

    def next(self) -> None:
        """Execute what is due at an instant, then settle what expires; Backtrader calls this."""
        if not self._expiring and not self._relotting:
            super().next()
            return
        now = max((data.datetime[0] for data in self.cerebro.datas if len(data)), default=float("-inf"))
        if self._relotting:
            self._relotting.advance(now)
        # Passed over without a bar at the close: nothing may be executed in these any more.
        while self._expiring and self._expiring[0].closes < now:
            self._expire(self._expiring.popleft())
        super().next()
        while self._expiring and self._is_over(self._expiring[0], now):
            self._expire(self._expiring.popleft())

    def _is_over(self, expiry: _Expiry, now: float) -> bool:
        if expiry.closes <= now:
            return True
        # The run may end before it reaches the close. Without preloading, Backtrader does not know
        # what is to come, and this is true as soon as the outcome is decided.
        return expiry.decided <= now and all(len(data) >= data.buflen() for data in self.cerebro.datas)

    def _expire(self, expiry: _Expiry) -> None:
        self._expired.add(id(expiry.data))
        for order in [order for order in self.submitted if order.data is expiry.data]:
            self.submitted.remove(order)
            self.pending.append(order)
        for order in [order for order in self.pending if order.data is expiry.data]:
            self.cancel(order)
        if expiry.data in self.positions and self.positions[expiry.data].size != 0:
            self._settle(expiry, self.positions[expiry.data].size)
            self._get_value()

    def _settle(self, expiry: _Expiry, size: float) -> None:
        settlement = expiry.contract.settlement
        if settlement is None:
            quantities = "lots" if _lots(expiry.data) else "units"
            raise ExportError(
                f"a position of {size} {quantities} is open at the expiry on {expiry.contract.expiry_close}, but the "
                "export holds no bar of the underlying on that day to settle it",
                where=expiry.contract.name,
                next_step="import the underlying's bars and export again, or close the position before",
            )
        owner, trade_id = self._traders[id(expiry.data)]
        order = (SellOrder if size > 0 else BuyOrder)(
            owner=owner,
            data=expiry.data,
            size=abs(size),
            price=float(settlement.price),
            exectype=bt.Order.Historical,
            tradeid=trade_id,
            histnotify=True,
        )
        order.addinfo(settlement=settlement)
        self._ocoize(order, None)
        order.submit(self)
        order.accept(self)
        self.orders.append(order)
        # A settlement is not a trade: it takes the whole position, whatever a filler says.
        filler, self.p.filler = self.p.filler, None
        try:
            self._execute(order, ago=0, price=float(settlement.price), dtcoc=expiry.closes)
        finally:
            self.p.filler = filler


def _origin(data: Any) -> Any:  # noqa: ANN401 -- a Backtrader feed
    # A feed that Backtrader resamples or replays beside the original is a clone without our attributes.
    while getattr(data, "_clone", False):
        data = data.data
    return data


def _lots(data: Any) -> tuple[LotPeriod, ...]:  # noqa: ANN401 -- a Backtrader feed
    periods: tuple[LotPeriod, ...] = getattr(_origin(data), "lots", ())
    return periods


def _expiry(data: Any) -> _Expiry | None:  # noqa: ANN401 -- a Backtrader feed
    origin = _origin(data)
    contract: Contract | None = getattr(origin, "contract", None)
    if contract is None or contract.expiry_close is None:
        return None
    decided = float("inf")
    if contract.settlement is not None:
        # The exchange's own price is that of the day of expiry, whatever the last bar of the underlying.
        closing_day = (contract.expiry_close - dt.timedelta(microseconds=1)).replace(
            hour=0, minute=0, second=0, microsecond=0
        )
        decided = date2num(max(origin.bar_file.last, contract.settlement.underlying_time or closing_day))
    return _Expiry(data, contract, date2num(contract.expiry_close), decided)


def _closes(expiry: _Expiry) -> float:
    return expiry.closes
