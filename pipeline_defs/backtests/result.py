"""What holding one option to expiry came to, in the same terms for every engine.

Only value types belong here; how an engine arrives at them is the business of its own module.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from decimal import Decimal

STALE_AFTER: Final = dt.timedelta(hours=12)
"""Age at expiry from which a price of the underlying is not of the option's last session: longer than a
session, shorter than a night. Settling on an older one would state a profit that nobody had."""


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution.

    Parameters
    ----------
    side : str
        ``BUY`` or ``SELL``.
    price : Decimal
        Per unit.
    timestamp : datetime.datetime
        When it happened, UTC.

    """

    side: str
    price: Decimal
    timestamp: dt.datetime


@dataclass(frozen=True, slots=True)
class HoldResult:
    """A position bought at the close of its first bar and settled at expiry, without fees.

    Parameters
    ----------
    engine : str
        Engine and version, e.g. ``nautilus_trader 1.231.0``.
    instrument : str
        Name of the contract in the engine.
    quantity : int
        Units bought.
    entry_price : Decimal
        Paid per unit, averaged over the buying fills.
    entry_time : datetime.datetime
        UTC.
    exit_price : Decimal
        Settlement per unit: the intrinsic value at expiry.
    exit_time : datetime.datetime
        UTC.
    gross_pnl : Decimal
        Profit or loss before any fees, in the instrument's currency.
    fills : tuple of Fill
        In the order in which they happened.

    """

    engine: str
    instrument: str
    quantity: int
    entry_price: Decimal
    entry_time: dt.datetime
    exit_price: Decimal
    exit_time: dt.datetime
    gross_pnl: Decimal
    fills: tuple[Fill, ...]

    def to_json(self) -> str:
        """Write the result as one JSON object on one line.

        Returns
        -------
        str
            Keys ``engine``, ``instrument``, ``quantity``, ``fills`` (each ``side``, ``price``,
            ``timestamp``), ``settlement_price`` and ``gross_pnl``; prices are exact decimal strings,
            instants ISO 8601 in UTC.

        """
        fills = [
            {
                "side": fill.side,
                "price": f"{fill.price:f}",
                "timestamp": fill.timestamp.astimezone(dt.UTC).isoformat(),
            }
            for fill in self.fills
        ]
        return json.dumps(
            {
                "engine": self.engine,
                "instrument": self.instrument,
                "quantity": self.quantity,
                "fills": fills,
                "settlement_price": f"{self.exit_price:f}",
                "gross_pnl": f"{self.gross_pnl:f}",
            }
        )

    def to_text(self) -> str:
        """Say the result in one sentence, for people.

        Returns
        -------
        str

        """
        return (
            f"{self.engine}: {self.quantity} x {self.instrument} bought at {self.entry_price:f} "
            f"({self.entry_time:%Y-%m-%d %H:%M:%S} UTC), settled at {self.exit_price:f} "
            f"({self.exit_time:%Y-%m-%d %H:%M:%S} UTC), gross profit and loss {self.gross_pnl:f}"
        )
