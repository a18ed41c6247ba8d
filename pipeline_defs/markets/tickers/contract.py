"""What a ticker says, whatever grammar it was written in.

Only the value type and its JSON belong here; how a name is read is the business of the grammars.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import datetime as dt

Kind = Literal["OPT", "FUT", "CONT", "SPOT", "EQ"]
OptionType = Literal["CE", "PE"]


@dataclass(frozen=True, slots=True)
class Contract:
    """One instrument, as its name describes it on a trade date.

    Parameters
    ----------
    ticker : str
        The name as it was written.
    kind : str
        ``OPT``, ``FUT``, ``CONT`` (rolling future), ``SPOT`` (index) or ``EQ`` (cash security).
    underlying : str
        Symbol in derivatives; of a cash security its own symbol.
    expiry : datetime.date or None
        Of options and futures; of a rolling future that of the contract it meant on the trade date.
    strike : decimal.Decimal or None
        Rupees, exact, without trailing zeros.
    option_type : str or None
        ``CE`` or ``PE``.
    rank : int or None
        1, 2 or 3 for a rolling future.
    series : str or None
        Of a cash security, e.g. ``EQ``.
    venue : str
        ``NSE`` or ``BSE``.

    """

    ticker: str
    kind: Kind
    underlying: str
    expiry: dt.date | None
    strike: Decimal | None
    option_type: OptionType | None
    rank: int | None
    series: str | None
    venue: str

    def to_json(self) -> dict[str, str | int | Decimal | None]:
        """Map to what ``pipeline tickers`` prints.

        Returns
        -------
        dict
            `ticker`, `kind`, `underlying`, `expiry` (ISO), `strike` (int when integral, else Decimal), `option_type`,
            `rank`, `series`; None where it does not apply. `json` refuses the Decimal: use `to_json_line`.

        """
        strike = self.strike
        return {
            "ticker": self.ticker,
            "kind": self.kind,
            "underlying": self.underlying,
            "expiry": None if self.expiry is None else self.expiry.isoformat(),
            "strike": int(strike) if strike is not None and strike == strike.to_integral_value() else strike,
            "option_type": self.option_type,
            "rank": self.rank,
            "series": self.series,
        }

    def to_json_line(self) -> str:
        """Write `to_json` as one line in which a half strike is an exact JSON number, e.g. ``122.5``."""
        members = (
            f"{json.dumps(key)}: {format(value, 'f') if isinstance(value, Decimal) else json.dumps(value)}"
            for key, value in self.to_json().items()
        )
        return "{" + ", ".join(members) + "}"

    def describe(self) -> str:
        """Say it in words, e.g. ``NIFTY option expiring 2025-08-25, strike 24500 CE``."""
        if self.kind == "OPT":
            return f"{self.underlying} option expiring {self.expiry}, strike {self.strike:f} {self.option_type}"
        if self.kind == "FUT":
            return f"{self.underlying} future expiring {self.expiry}"
        if self.kind == "CONT":
            return f"{self.underlying} rolling future {self.rank}, on that day the one expiring {self.expiry}"
        return f"{self.underlying} index" if self.kind == "SPOT" else f"{self.underlying} series {self.series}"
