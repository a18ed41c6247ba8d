"""The course of a session as a row of numbers, for plots and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline_defs.orchestration.evidence import Partition, ask_all, in_table

if TYPE_CHECKING:
    from pipeline_defs.warehouse.connection import Warehouse

# Minutes without a row count as nothing: a gap shall be seen.
_PER_MINUTE: Final = """
WITH counted AS (
    SELECT date_trunc('minute', "timestamp" - make_interval(secs => bar_seconds)) AS minute, count(*) AS rows
    FROM {table}
    WHERE "timestamp" >= %(start)s AND "timestamp" < %(end)s AND source = %(source)s AND bar_seconds <= 60
    GROUP BY 1)
SELECT coalesce(c.rows, 0)
FROM (SELECT min(open) AS open, max(close) AS close FROM sessions WHERE session_date = %(trade_date)s) AS s
CROSS JOIN generate_series(s.open, s.close - interval '1 minute', interval '1 minute') AS m (minute)
LEFT JOIN counted AS c USING (minute)
WHERE EXISTS (SELECT FROM counted)
ORDER BY m.minute
"""

_INDEX_CLOSES: Final = """
WITH series AS (
    SELECT t.underlying, o.instrument_id, o.bar_seconds
    FROM spot_prices AS o
    JOIN instrument_terms AS t ON t.instrument_id = o.instrument_id
         AND t.valid_from <= %(trade_date)s AND t.valid_to > %(trade_date)s
    WHERE o."timestamp" >= %(start)s AND o."timestamp" < %(end)s AND o.source = %(source)s AND t.kind = 'SPOT'
    GROUP BY 1, 2, 3
    ORDER BY o.bar_seconds = 60 DESC, count(*) DESC, t.underlying = 'NIFTY' DESC, t.underlying LIMIT 1)
SELECT s.underlying, o.close FROM spot_prices AS o JOIN series AS s USING (instrument_id, bar_seconds)
WHERE o."timestamp" >= %(start)s AND o."timestamp" < %(end)s AND o.source = %(source)s
ORDER BY o."timestamp", o.sequence
"""


def rows_per_minute(warehouse: Warehouse, partition: Partition) -> list[float]:
    """Count the ticks and minute bars of each minute of the session; nothing when there are only daily bars."""
    rows = ask_all(warehouse, in_table(_PER_MINUTE, partition.table), partition.parameters())
    return [float(count) for (count,) in rows]


def index_closes(warehouse: Warehouse, partition: Partition) -> tuple[str, list[float]]:
    """Give the day's path of one index, with its name: that with most minute bars, NIFTY among equals."""
    rows = ask_all(warehouse, _INDEX_CLOSES, partition.parameters())
    return (rows[0][0] if rows else "index"), [float(close) for _, close in rows]
