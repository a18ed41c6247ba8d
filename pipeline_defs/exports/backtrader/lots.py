"""Lots in place of units: what one is by date, and what becomes of open positions when it changes.

Backtrader knows one multiplier for a whole run. Where an exchange re-lots a contract, holders keep their units: 2 lots
of 75 become 3 of 50. `Relotting` does that to positions, open orders and trades of a run, and to the multiplier. Why a
lot changed, and what it was, is the sidecar's business. Backtrader is not imported.
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pipeline_defs.exports.backtrader.values import Contract

QUANTITIES: Final = ("units", "lots")


@dataclass(frozen=True, slots=True)
class LotPeriod:
    """A lot, and since when it is one.

    Parameters
    ----------
    since : datetime.datetime
        The midnight before its first trade date; the first of a contract has always been.
    units : int
        Units in a lot.

    """

    since: dt.datetime
    units: int


def lot_periods(contract: Contract) -> tuple[LotPeriod, ...]:
    """Give the lots of a contract in the order of time.

    Parameters
    ----------
    contract : Contract
        From the sidecar.

    Returns
    -------
    tuple of LotPeriod
        One for each different lot.

    Raises
    ------
    ConfigurationError
        If a lot is not known: quantities can then only be units.

    """
    told = [(terms.valid_from, terms.lot_size) for terms in contract.terms] or [(None, contract.lot_size)]
    periods: list[LotPeriod] = []
    for since, units in told:
        if units is None:
            raise ConfigurationError(
                "the lot size is not known, so a quantity in lots means nothing",
                where=contract.name,
                next_step="use quantities='units', or import the contract master and export again",
            )
        if not periods or periods[-1].units != units:
            day = dt.date.min if since is None or not periods else since
            midnight = dt.datetime.combine(day, dt.time.min)
            periods.append(LotPeriod(midnight, units))
    return tuple(periods)


@dataclass(frozen=True, slots=True, eq=False)
class _Change:
    """From when on a feed's lot is another, in Backtrader's day numbers."""

    data: Any
    since: float
    before: int
    after: int


class Relotting:
    """Carries a run over the dates on which lots change.

    Parameters
    ----------
    broker : SettlingBroker
        Whose positions, orders and commission schemes are carried over.
    feeds : iterable
        Of the run.
    lots : callable
        Gives the `LotPeriod` of a feed; none if its quantities are units.
    date2num : callable
        Backtrader's.

    """

    def __init__(
        self,
        broker: Any,  # noqa: ANN401 -- Backtrader carries no types
        feeds: Iterable[Any],
        lots: Callable[[Any], tuple[LotPeriod, ...]],
        date2num: Callable[[dt.datetime], float],
    ) -> None:
        self._broker = broker
        changes = [
            _Change(data, date2num(after.since), before.units, after.units)
            for data in feeds
            for periods in [lots(data)]
            for before, after in pairwise(periods)
        ]
        self._changes = deque(sorted(changes, key=lambda change: change.since))
        self._rates: dict[int, tuple[Any, float, float]] = {}

    def __bool__(self) -> bool:
        """Tell whether a lot is yet to change."""
        return bool(self._changes)

    def restore(self) -> None:
        """Give the commission schemes back what they had when the run began, for the next one."""
        for scheme, multiplier, margin in self._rates.values():
            scheme.p.mult, scheme.p.margin = multiplier, margin
        self._rates.clear()

    def advance(self, now: float) -> None:
        """Apply the changes that are in force at a bar.

        Parameters
        ----------
        now : float
            Its day number; a stamp at midnight belongs to the day before.

        """
        schemes: set[int] = set()
        while self._changes and self._changes[0].since < now:
            change = self._changes.popleft()
            scheme = self._broker.getcommissioninfo(change.data)
            # A feed and what is resampled from it may share one.
            if id(scheme) not in schemes:
                schemes.add(id(scheme))
                self._rates.setdefault(id(scheme), (scheme, scheme.p.mult, scheme.p.margin))
                scheme.p.mult = scheme.p.mult * change.after / change.before
                scheme.p.margin = scheme.p.margin * change.after / change.before
            self._keep_units(change)

    def _keep_units(self, change: _Change) -> None:
        data = change.data

        def converted(lots: float) -> float:
            exact = lots * change.before / change.after
            return int(exact) if exact == int(exact) else exact

        if data in self._broker.positions:
            position = self._broker.positions[data]
            position.size = converted(position.size)
        for order in [*self._broker.submitted, *self._broker.pending]:
            if order.data is data:
                order.size = converted(order.size)
                order.created.size = converted(order.created.size)
                order.created.remsize = converted(order.created.remsize)
                order.executed.remsize = converted(order.executed.remsize)
        for strategy in self._broker.cerebro.runningstrats:
            for trades in strategy._trades[data].values():  # noqa: SLF001 -- Backtrader has no other way to them
                for trade in trades:
                    if trade.isopen:
                        trade.size = converted(trade.size)
