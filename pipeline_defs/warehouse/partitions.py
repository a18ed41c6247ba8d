"""The rows one load may touch: one source's observations of one table, resolution and trade date."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.schema.columns import MARKET_ZONE
from pipeline_defs.schema.tables import TICK
from pipeline_defs.warehouse.days import day_bounds

if TYPE_CHECKING:
    import datetime as dt

IN_PARTITION: Final = (
    "t.timestamp >= %(start)s AND t.timestamp < %(end)s AND t.source = %(source)s AND t.bar_seconds = %(bar_seconds)s"
)
"""Condition on an observation table called ``t``; bound with `Partition.parameters`."""


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition of an observation table.

    Parameters
    ----------
    table : str
        Observation table.
    source : str
        Adapter name.
    bar_seconds : int
        Resolution.
    trade_date : datetime.date
        Day of the exchange.
    zone : str, default "Asia/Kolkata"
        Where that day is.
    window : tuple of datetime.datetime or None
        Begin, inclusive, and end, exclusive, of the part of the day that is meant; None for all of it.

    """

    table: str
    source: str
    bar_seconds: int
    trade_date: dt.date
    zone: str = MARKET_ZONE
    window: tuple[dt.datetime, dt.datetime] | None = None

    @property
    def start(self) -> dt.datetime:
        """First instant of the trade date, or of the window, inclusive, UTC."""
        return self._bounds()[0]

    @property
    def end(self) -> dt.datetime:
        """Last instant of the trade date, or of the window, exclusive, UTC."""
        return self._bounds()[1]

    def _bounds(self) -> tuple[dt.datetime, dt.datetime]:
        begin, end = day_bounds(self.trade_date, zone=self.zone, of_closes=self.bar_seconds > TICK)
        if self.window is None:
            return begin, end
        return max(begin, self.window[0]), min(end, self.window[1])

    @property
    def lock_name(self) -> str:
        """What writers of the partition queue for."""
        return f"{self.table}|{self.source}|{self.trade_date}|{self.bar_seconds}"

    def parameters(self, **more: Any) -> dict[str, Any]:  # noqa: ANN401 -- values of any SQL type
        """Bind the partition, and more, into a statement."""
        return {
            "dataset": self.table,
            "source": self.source,
            "bar_seconds": self.bar_seconds,
            "trade_date": self.trade_date,
            "start": self.start,
            "end": self.end,
            **more,
        }

    def statement(self, template: str) -> bytes:
        """Insert the table's name, which is one of our own, where a template says ``{table}``."""
        return template.replace("{table}", self.table).encode()
