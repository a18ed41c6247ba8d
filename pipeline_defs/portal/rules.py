"""What of the warehouse a portal may read, in which order of sources, and how their prices come."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pipeline_defs.sources.registry import FURTHER_SOURCES, SOURCES
from pipeline_defs.warehouse.precedence import MARKETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_defs.portal.calendars import SessionCalendar
    from pipeline_defs.portal.instruments import Instrument
    from pipeline_defs.warehouse.precedence import Precedence


class Rules(NamedTuple):
    """What of the warehouse may be read.

    Parameters
    ----------
    precedence : Precedence
        The declared order of sources.
    source, dataset : str or None
        The only source, the only table; None for any.
    calendar : SessionCalendar or None
        That of every instrument; None for each its market's.
    is_live : bool
        Whether the running day is a block of its own.

    """

    precedence: Precedence
    source: str | None
    dataset: str | None
    calendar: SessionCalendar | None
    is_live: bool

    def order(self, table: str, instrument: Instrument) -> Sequence[str]:
        """Give the sources of a table for an instrument, the first one first."""
        if instrument.only is not None:
            named = {source for source, *_ in instrument.only}
            declared = [one for one in self.precedence.sources(table) if one in named]
            return [*declared, *sorted(named - set(declared))]
        if self.source is not None:
            return [self.source]
        name = instrument.market
        return self.precedence.order(table, name if name in MARKETS else "CRYPTO")

    def wants(self, table: str) -> bool:
        """Tell whether a table may be read."""
        return self.dataset in {None, table}


def gives_split_adjusted(source: str, bar_seconds: int = 0) -> bool:
    """Tell whether bars of a length come adjusted for splits from a source; with 0, whether all that it gives does."""
    entry = (SOURCES | FURTHER_SOURCES).get(source)
    since = None if entry is None else entry.split_adjusted_from
    return since is not None and bar_seconds >= since
