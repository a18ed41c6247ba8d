"""What checks compare: a partition with its ledger, bars with their observations, a month with its sessions.

Reads only, and by other ways than the import path took: a check that trusted the importer could not find its
mistakes. Whether a difference matters is decided in `checks`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.orchestration.evidence import Partition, ask_all, ask_one, in_table
from pipeline_defs.warehouse.days import day_bounds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_defs.warehouse.connection import Warehouse

_LEDGER: Final = """
WITH latest AS (
    SELECT DISTINCT ON (bar_seconds) load_id, bar_seconds, rows_stored + rows_corrected AS written,
           rows_stored + rows_unchanged + rows_corrected AS known, window_start
    FROM loads
    WHERE dataset = %(table)s AND trade_date = %(trade_date)s AND source = %(source)s AND status = 'complete'
    ORDER BY bar_seconds, load_id DESC),
held AS (
    SELECT bar_seconds, load_id, count(*) AS rows FROM {table}
    WHERE "timestamp" >= %(start)s AND "timestamp" < %(end)s AND source = %(source)s GROUP BY 1, 2)
SELECT l.load_id, l.bar_seconds, l.written, coalesce(sum(h.rows) FILTER (WHERE h.load_id = l.load_id), 0)::bigint,
       l.known, coalesce(sum(h.rows), 0)::bigint
FROM latest AS l LEFT JOIN held AS h USING (bar_seconds)
-- A load of some minutes (a stream's, a running session's) does not account for a day; one of the day after it does.
WHERE l.window_start IS NULL
GROUP BY l.load_id, l.bar_seconds, l.written, l.known ORDER BY l.bar_seconds
"""

_ROWS_WITHOUT_LOAD: Final = """
SELECT coalesce(sum(rows), 0)::bigint FROM (
    SELECT load_id, count(*) AS rows FROM {table}
    WHERE "timestamp" >= %(start)s AND "timestamp" < %(end)s AND source = %(source)s GROUP BY load_id) AS o
WHERE NOT EXISTS (SELECT FROM loads AS l WHERE l.load_id = o.load_id AND l.dataset = %(table)s
                  AND l.trade_date = %(trade_date)s AND l.source = %(source)s)
"""

# Bars are made of the sessions of India: options that trade elsewhere have none. Both sides by instrument, resolution
# and source over the whole calendar day: what the bars left out because it lay outside the session's hours shows as a
# difference. The last price comes by another way than the bars took.
_BARS_AGAINST_TICKS: Final = """
WITH ticks AS (
    SELECT instrument_id, bar_seconds, source, count(*) AS observations, sum(volume) AS volume, max(high) AS high,
           min(low) AS low
    FROM options_ticks
    WHERE "timestamp" >= %(start)s AND "timestamp" < %(end)s AND bar_seconds <= %(longest)s
          AND instrument_id IN (SELECT instrument_id FROM instrument_terms WHERE currency = 'INR')
    GROUP BY 1, 2, 3),
last_ticks AS (
    SELECT DISTINCT ON (instrument_id, bar_seconds, source) instrument_id, bar_seconds, source, close
    FROM options_ticks
    WHERE "timestamp" >= %(start)s AND "timestamp" < %(end)s AND bar_seconds <= %(longest)s
          AND instrument_id IN (SELECT instrument_id FROM instrument_terms WHERE currency = 'INR')
    ORDER BY instrument_id, bar_seconds, source, "timestamp" DESC, sequence DESC),
bars AS (
    SELECT instrument_id, bar_seconds, source, sum(observations) AS observations, sum(volume) AS volume,
           max(high) AS high, min(low) AS low, (array_agg(close ORDER BY bucket DESC))[1] AS close
    FROM {table} WHERE bucket >= %(start)s AND bucket < %(end)s GROUP BY 1, 2, 3)
SELECT coalesce(sum(t.observations), 0)::bigint, coalesce(sum(b.observations), 0)::bigint,
       coalesce(sum(t.volume), 0)::bigint, coalesce(sum(b.volume), 0)::bigint,
       count(*) FILTER (WHERE (t.observations, t.volume, t.high, t.low, l.close)
                              IS DISTINCT FROM (b.observations, b.volume, b.high, b.low, b.close)),
       count(*)
FROM (ticks AS t JOIN last_ticks AS l USING (instrument_id, bar_seconds, source))
FULL JOIN bars AS b USING (instrument_id, bar_seconds, source)
"""

# One probe by session, which ends at the first bar found, in place of a scan of the month.
_SESSIONS_WITHOUT_BARS: Final = """
SELECT s.trade_date FROM unnest(%(dates)s::date[], %(starts)s::timestamptz[], %(ends)s::timestamptz[])
    AS s (trade_date, start_of_day, end_of_day)
WHERE NOT EXISTS (
    SELECT FROM options_ticks WHERE "timestamp" >= s.start_of_day AND "timestamp" < s.end_of_day AND bar_seconds = 60
        AND source = ANY (%(sources)s)
        AND instrument_id IN (SELECT instrument_id FROM instrument_terms WHERE underlying = %(underlying)s))
ORDER BY s.trade_date
"""

_LAST_DELIVERY: Final = """
SELECT max(trade_date) FROM loads
WHERE dataset = %(table)s AND source = %(source)s AND status = 'complete'
  AND trade_date < %(trade_date)s AND trade_date >= %(trade_date)s - %(days)s
"""

HOUR_SECONDS: Final = 3_600
DAY_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """The last complete load of a partition at one resolution, and what is there.

    Parameters
    ----------
    load_id, bar_seconds : int
        Row of `loads`; resolution, 0 for ticks.
    written, written_held : int
        Rows the load says it stored or corrected, and how many carry its id. No later load can have replaced one.
    known, held : int
        Rows the load says are there, and how many are. More may be: deliveries that this one did not contain.

    """

    load_id: int
    bar_seconds: int
    written: int
    written_held: int
    known: int
    held: int

    @property
    def agrees(self) -> bool:
        """Whether nothing is missing and nothing was slipped in under the load's name."""
        return self.written == self.written_held and self.known <= self.held


@dataclass(frozen=True, slots=True)
class BarComparison:
    """Bars of a session against the observations they were made of.

    Parameters
    ----------
    observations, observations_in_bars : int
        Rows of `options_ticks`, and how many the bars say they were made of.
    volume, volume_in_bars : int
        Units on both sides.
    differing, compared : int
        Instruments (by resolution and source) with a different count, volume, high, low or last price; all of them.

    """

    observations: int
    observations_in_bars: int
    volume: int
    volume_in_bars: int
    differing: int
    compared: int


def ledger(warehouse: Warehouse, partition: Partition) -> list[LedgerLine]:
    """Compare the last complete load of each resolution with the rows that are there."""
    return [LedgerLine(*row) for row in ask_all(warehouse, in_table(_LEDGER, partition.table), partition.parameters())]


def rows_without_load(warehouse: Warehouse, partition: Partition) -> int:
    """Count rows that no load of this partition accounts for."""
    return int(ask_one(warehouse, in_table(_ROWS_WITHOUT_LOAD, partition.table), partition.parameters())[0])


def compare_bars(warehouse: Warehouse, table: str, trade_date: dt.date) -> BarComparison:
    """Compare a session of `options_hourly` or `options_daily` with `options_ticks`."""
    start, end = day_bounds(trade_date)
    longest = HOUR_SECONDS if table == "options_hourly" else DAY_SECONDS
    values = {"start": start, "end": end, "longest": longest}
    return BarComparison(*ask_one(warehouse, in_table(_BARS_AGAINST_TICKS, table), values))


def last_delivery(warehouse: Warehouse, partition: Partition, days: int) -> dt.date | None:
    """Find the last trade date, so many calendar days back at most, on which the source gave rows for the table."""
    (found,) = ask_one(warehouse, _LAST_DELIVERY, {**partition.parameters(), "days": days})
    return found if isinstance(found, dt.date) else None


def sessions_without_bars(
    warehouse: Warehouse, sources: Sequence[str], underlying: str, trade_dates: Sequence[dt.date]
) -> list[dt.date]:
    """List the trade dates of which no source gave a minute bar of any option on an underlying."""
    bounds = [day_bounds(trade_date) for trade_date in trade_dates]
    values = {
        "dates": list(trade_dates),
        "starts": [start for start, _ in bounds],
        "ends": [end for _, end in bounds],
        "sources": list(sources),
        "underlying": underlying,
    }
    return [trade_date for (trade_date,) in ask_all(warehouse, _SESSIONS_WITHOUT_BARS, values)]
