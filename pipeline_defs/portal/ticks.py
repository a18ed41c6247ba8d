"""The present as ticks tell it: last trade, quotes, and which contract a rolling future means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.schema.columns import PRICE, SIZE, TIMESTAMP
from pipeline_defs.schema.tables import TICK, table_for
from pipeline_defs.warehouse.days import day_bounds

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from pipeline_defs.portal.loading import Supplied
    from pipeline_defs.portal.store import Snapshot, Store

_TICK_COLUMNS: Final[dict[str, pl.DataType]] = {
    "timestamp": TIMESTAMP,
    "last": PRICE,
    "bid": PRICE,
    "ask": PRICE,
    "bid_size": SIZE,
    "ask_size": SIZE,
}

_TICKS: Final = """
SELECT o."timestamp", o.close AS last, o.bid_price AS bid, o.ask_price AS ask, o.bid_size, o.ask_size
FROM {observations} AS o
WHERE o."timestamp" >= %(start)s AND o."timestamp" < %(end)s AND o.bar_seconds = 0 AND o.source = %(source)s
  AND o.instrument_id = ANY (%(ids)s) AND o.open IS NOT NULL
ORDER BY o."timestamp", o.sequence
"""

_CONTRACT: Final = """
SELECT t.symbol FROM {continuous_contracts} AS c
JOIN {instrument_terms} AS t ON t.instrument_id = c.contract_id AND t.valid_from <= c.trade_date
WHERE c.instrument_id = ANY (%(ids)s) AND c.trade_date <= %(date)s
ORDER BY c.trade_date DESC, t.valid_from DESC LIMIT 1
"""

_MOST_DAYS: Final = 200


class TickDays:
    """Ticks of instruments, by day, read when they are first asked for.

    Parameters
    ----------
    store : Store
        Where from.

    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._days: dict[tuple[tuple[int, ...], dt.date], pl.DataFrame] = {}
        self._contracts: dict[tuple[tuple[int, ...], dt.date], str | None] = {}

    def forget(self) -> None:
        """Drop everything that was read."""
        self._days.clear()
        self._contracts.clear()

    def present(
        self, supplied: Supplied, order: Sequence[str], day: dt.date, zone: str, now: dt.datetime
    ) -> dict[str, Any]:
        """Give what the ticks of a day have told up to an instant.

        Parameters
        ----------
        supplied : Supplied
            An instrument.
        order : sequence of str
            Sources, the first one first; all ticks of a day are of one.
        day, zone
            Trade date, and whose.
        now : datetime.datetime
            Later ticks are not looked at.

        Returns
        -------
        dict
            ``last``, ``bid``, ``ask``, ``bid_size``, ``ask_size``, each the last one that was told, and
            ``last_traded``; empty where there are no ticks.

        """
        key = supplied.instrument.instrument_ids, day
        if key not in self._days:
            if len(self._days) > _MOST_DAYS:
                self._days.clear()
            self._days[key] = self._read(supplied, order, day, zone)
        ticks = self._days[key]
        known = ticks.slice(0, ticks["timestamp"].search_sorted(now, side="right"))
        if known.is_empty():
            return {}
        told = known.select(pl.col(name).drop_nulls().last() for name in _TICK_COLUMNS if name != "timestamp").row(
            0, named=True
        )
        return {**told, "last_traded": known["timestamp"][-1]}

    def contract(self, instrument_ids: tuple[int, ...], day: dt.date) -> str | None:
        """Give the symbol of the contract that a rolling future means on a day, or meant when it was last told."""
        key = instrument_ids, day
        if key not in self._contracts:
            rows = self._store.read(
                lambda snapshot: snapshot.tuples(_CONTRACT, ids=list(instrument_ids), date=day), "contract"
            )
            self._contracts[key] = rows[0][0] if rows else None
        return self._contracts[key]

    def _read(self, supplied: Supplied, order: Sequence[str], day: dt.date, zone: str) -> pl.DataFrame:
        table = table_for(supplied.instrument.kind, TICK)
        there = {
            one.source for one in supplied.series if one.bar_seconds == TICK and one.first_date <= day <= one.last_date
        }
        start, end = day_bounds(day, zone=zone)

        def ask(snapshot: Snapshot) -> pl.DataFrame:
            ids = list(supplied.instrument.instrument_ids)
            for source in (one for one in order if one in there):
                ticks = snapshot.frame(_TICKS, _TICK_COLUMNS, table, start=start, end=end, source=source, ids=ids)
                if ticks.height:
                    return ticks
            return pl.DataFrame(schema=_TICK_COLUMNS)

        return self._store.read(ask, f"ticks of {day}") if there else pl.DataFrame(schema=_TICK_COLUMNS)
