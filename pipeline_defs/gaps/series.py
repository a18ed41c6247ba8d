"""Which partitions there are to be assessed: one series for each table, source and resolution that was ever loaded."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipeline_defs.markets.market import market
from pipeline_defs.sources.registry import FURTHER_SOURCES, SOURCES, source_market

if TYPE_CHECKING:
    from pipeline_defs.warehouse.connection import Warehouse

EXPECTED_WITHIN: Final = dt.timedelta(days=10)
"""A regular series that was loaded so recently is expected to go on; the longest closure of a market is shorter."""

_DAY: Final = dt.timedelta(days=1)

_SERIES: Final = """
SELECT dataset, source, bar_seconds, min(trade_date), max(trade_date), array_agg(DISTINCT trade_date) FROM loads
WHERE (%(dataset)s::text IS NULL OR dataset = %(dataset)s) AND (%(source)s::text IS NULL OR source = %(source)s)
  AND status <> 'empty'
GROUP BY dataset, source, bar_seconds ORDER BY dataset, source, bar_seconds
"""


@dataclass(frozen=True, slots=True, order=True)
class Series:
    """What one source gives for one table at one resolution, day by day.

    Parameters
    ----------
    dataset : str
        Observation table.
    source : str
        Adapter name.
    bar_seconds : int
        Resolution; 0 ticks.
    first, last : datetime.date
        Trade dates of its first and last load.
    loaded : frozenset of datetime.date
        Trade dates of all its loads.

    """

    dataset: str
    source: str
    bar_seconds: int
    first: dt.date
    last: dt.date
    loaded: frozenset[dt.date] = field(default=frozenset(), compare=False, repr=False)

    @property
    def is_regular(self) -> bool:
        """Whether it was loaded on several sessions, and on more than half of those between the first and the last."""
        sessions = market(source_market(self.source)).sessions(self.first, self.last)
        return len(self.loaded) > 1 and 2 * len(self.loaded) > len(sessions)

    def expected_days(self, first: dt.date | None = None, last: dt.date | None = None) -> list[dt.date]:
        """List the days on which something of it is expected, closed days among them.

        Parameters
        ----------
        first, last : datetime.date, optional
            Both inclusive; default its first and its last load.

        Returns
        -------
        list of datetime.date
            Of a regular series every day from its first load to ten days after the last; else those it was loaded on.

        """
        begin, end = first or self.first, last or self.last
        if not self.is_regular:
            return sorted(day for day in self.loaded if begin <= day <= end)
        begin, end = max(begin, self.first), min(end, self.last + EXPECTED_WITHIN)
        return [begin + _DAY * offset for offset in range((end - begin).days + 1)]

    def __str__(self) -> str:
        """Name it for people: source/table and resolution."""
        return f"{self.source}/{self.dataset} at {self.bar_seconds} s"


def list_series(warehouse: Warehouse, *, dataset: str | None = None, source: str | None = None) -> list[Series]:
    """List what was loaded, of sources that are still there.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    dataset, source : str, optional
        Only these.

    Returns
    -------
    list of Series
        By table, source and resolution.

    """
    with warehouse.connect() as connection:
        rows = connection.execute(_SERIES, {"dataset": dataset, "source": source}).fetchall()
    known = SOURCES.keys() | FURTHER_SOURCES.keys()
    every = [
        Series(table, name, seconds, first, last, frozenset(loaded))
        for table, name, seconds, first, last, loaded in rows
    ]
    return [series for series in every if series.source in known]
