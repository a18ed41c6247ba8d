"""Which partitions there are to be assessed: one series for each table, source and resolution that was ever loaded."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.sources.registry import FURTHER_SOURCES, SOURCES

if TYPE_CHECKING:
    from pipeline_defs.warehouse.connection import Warehouse

EXPECTED_WITHIN: Final = dt.timedelta(days=10)
"""A series that was loaded so recently is expected to go on; the longest closure of a market is shorter."""

_SERIES: Final = """
SELECT dataset, source, bar_seconds, min(trade_date), max(trade_date) FROM loads
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

    """

    dataset: str
    source: str
    bar_seconds: int
    first: dt.date
    last: dt.date

    @property
    def expected_until(self) -> dt.date:
        """Last trade date on which it is expected, as far as its loads tell."""
        return self.last + EXPECTED_WITHIN

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
    return [found for row in rows if (found := Series(*row)).source in known]
