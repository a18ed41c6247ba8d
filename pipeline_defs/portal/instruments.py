"""What is asked about: instruments, and how a symbol becomes one, by date.

One thing that is traded can have several rows in `instruments` (a share that two sources know under two venues): they
are one `Instrument` here, and whose prices are taken is a matter of precedence.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from pipeline_defs.markets.market import market_of, trades_in_parts

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence
    from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Instrument:
    """One thing that is traded.

    Parameters
    ----------
    instrument_ids : tuple of int
        Rows of `instruments` that are it, the one with the asked name first.
    symbol : str
        As it was asked for.
    kind : str
        ``OPT``, ``FUT``, ``CONT``, ``SPOT``, ``EQ`` or ``PAIR``.
    underlying, venue, currency : str
        As its terms of the date say.
    base_currency : str or None
        Of a pair.
    expiry, strike, option_type, rank, series, lot_size, tick_size
        Terms of the date; None where it has none.
    only : tuple or None
        ``(source, dataset, bar_seconds)`` that alone may be read, where a bundle says so.

    """

    instrument_ids: tuple[int, ...]
    symbol: str = field(compare=False)
    kind: str = field(compare=False)
    underlying: str = field(compare=False)
    venue: str = field(compare=False)
    currency: str = field(compare=False)
    base_currency: str | None = field(default=None, compare=False)
    expiry: dt.date | None = field(default=None, compare=False)
    strike: Decimal | None = field(default=None, compare=False)
    option_type: str | None = field(default=None, compare=False)
    rank: int | None = field(default=None, compare=False)
    series: str | None = field(default=None, compare=False)
    lot_size: int | None = field(default=None, compare=False)
    tick_size: Decimal | None = field(default=None, compare=False)
    only: tuple[tuple[str, str, int], ...] | None = None

    @property
    def instrument_id(self) -> int:
        """The row of `instruments` with the asked name."""
        return self.instrument_ids[0]

    @property
    def market(self) -> str:
        """Name of the market it trades at."""
        return market_of(self.kind, self.venue, self.currency).name

    @property
    def has_parts(self) -> bool:
        """Whether parts of a unit are traded: its volumes are decimals."""
        return trades_in_parts(self.kind, self.venue, self.currency)

    def __str__(self) -> str:
        """Show its symbol."""
        return self.symbol


class FindsAssets(Protocol):
    """What the portal asks of an `asset_finder`."""

    def lookup_symbol(self, symbol: str, as_of_date: dt.date | None = None) -> Any:  # noqa: ANN401 -- the user's own
        """Find what a symbol meant on a date: an `Instrument`, or anything with a ``symbol`` the warehouse knows."""
        ...


def of_bundle(symbol: str, found: Instrument, series: Sequence[tuple[int, str, str, int]]) -> Instrument:
    """Restrict an instrument to what a bundle has of it: ``(instrument_id, source, dataset, bar_seconds)`` each."""
    ids = tuple(dict.fromkeys(one for one, *_ in series))
    return replace(found, symbol=symbol, instrument_ids=ids, only=tuple(sorted({(s, d, b) for _, s, d, b in series})))
