"""What a stored stamp means: when its bar began, or when it was complete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from pipeline_defs.errors import MarketRuleError
from pipeline_defs.markets.market import market as market_named

if TYPE_CHECKING:
    from pipeline_defs.migration.legacy import Kind
    from pipeline_defs.migration.scanning import Scan

type Stamps = Literal["open", "close"]

_BY_KIND: Final[dict[Kind, tuple[Stamps, str]]] = {
    "parquet": ("open", "rustybt keeps the stamps of its sources, which are those of the bars' begin"),
    "cache": ("open", "rustybt keeps the stamps of its sources, which are those of the bars' begin"),
    "bcolz": ("close", "zipline names a minute after its end: the first of a session is one after the open"),
    "csvdir": ("close", "zipline takes the stamps of a folder of minutes for the ends of them"),
}


def tell_stamps(kind: Kind, scan: Scan | None, market: str | None) -> tuple[Stamps, str]:
    """Find out what the stamps of bars that are not daily mean.

    Parameters
    ----------
    kind : {"parquet", "bcolz", "csvdir", "cache"}
        How the bundle is stored.
    scan : Scan or None
        Its bars; None when all are daily.
    market : str or None
        Whose sessions they are of.

    Returns
    -------
    tuple of str and str
        ``open`` or ``close``; and what says so, "" when there are no stamps.

        The sessions decide where they can: stamps at the instant of an open and none at that of a close are begins,
        the other way round they are ends. Otherwise it is as the old system does it.

    """
    if scan is None or not scan.days:
        return "open", ""
    opens = closes = 0
    if market is not None and kind != "bcolz":
        of = market_named(market)
        for day, (first, last) in scan.days.items():
            try:
                # A market that never closes has its close at the open of the next day: no stamp can tell.
                if of.closed_reason(day) is None and of.hours(day)[0] != of.hours(day)[1]:
                    opens += first == of.open(day)
                    closes += last == of.close(day)
            except MarketRuleError:
                continue
    if opens and not closes:
        return "open", f"{opens} of {len(scan.days)} days have a stamp at the open, none at the close"
    if closes and not opens:
        return "close", f"{closes} of {len(scan.days)} days have a stamp at the close, none at the open"
    return _BY_KIND[kind]
