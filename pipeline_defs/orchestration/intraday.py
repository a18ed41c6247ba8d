"""The numbers behind the pictures of a materialisation: the course of a session, and how full sessions are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from pipeline_defs.orchestration.evidence import Partition, ask_all, in_table
from pipeline_defs.plots.coverage import Coverage
from pipeline_defs.plots.session_profile import Minutes

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.warehouse.connection import Warehouse

# Minutes without a row count as nothing: a gap shall be seen. What came before the open or after the close shows too.
_PER_MINUTE: Final = """
WITH counted AS (
    SELECT date_trunc('minute', "timestamp" - make_interval(secs => bar_seconds)) AS minute, count(*) AS rows,
           coalesce(sum(volume), 0)::double precision AS volume
    FROM {table}
    WHERE "timestamp" >= %(start)s AND "timestamp" < %(end)s AND source = %(source)s AND bar_seconds <= 60
    GROUP BY 1)
SELECT m.minute, coalesce(c.rows, 0), coalesce(c.volume, 0)
FROM (SELECT least(min(minute), %(open)s) AS first,
             greatest(max(minute), %(close)s - interval '1 minute') AS last FROM counted HAVING count(*) > 0) AS s
CROSS JOIN generate_series(s.first, s.last, interval '1 minute') AS m (minute)
LEFT JOIN counted AS c USING (minute)
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


# A daily bar knows how many minute bars it was made of, so that nothing but daily bars is read.
_BAR_COVERAGE: Final = """
WITH days AS (
    SELECT session_date, open, extract(epoch FROM close - open) / 60 AS minutes FROM sessions
    WHERE market = 'NSE' AND segment = 'FO' AND session_date BETWEEN %(first)s AND %(last)s
)
SELECT CASE WHEN %(by_contract)s THEN t.symbol ELSE b.source || ' ' || t.underlying END, d.session_date,
       least(sum(b.observations) / (count(*) * max(d.minutes)), 1)::double precision
FROM days AS d
JOIN options_daily AS b ON b.bucket = d.open
JOIN instrument_terms AS t ON t.instrument_id = b.instrument_id
     AND t.valid_from <= d.session_date AND t.valid_to > d.session_date
WHERE b.bar_seconds = 60 AND coalesce(b.source = %(source)s, true) AND coalesce(t.underlying = %(underlying)s, true)
GROUP BY 1, 2 ORDER BY 1, 2
"""


def minutes_of_session(
    warehouse: Warehouse, partition: Partition, opens: dt.datetime, closes: dt.datetime
) -> Minutes | None:
    """Count ticks and minute bars, and what they traded, in each minute; None when there are only longer bars."""
    values = {**partition.parameters(), "open": opens, "close": closes}
    rows = ask_all(warehouse, in_table(_PER_MINUTE, partition.table), values)
    if not rows:
        return None
    zone = ZoneInfo(partition.zone)
    return Minutes(
        rows[0][0].astimezone(zone),
        [row[1] for row in rows],
        [row[2] for row in rows],
        opens.astimezone(zone),
        closes.astimezone(zone),
    )


def bar_coverage(
    warehouse: Warehouse,
    first: dt.date,
    last: dt.date,
    *,
    source: str | None = None,
    underlying: str | None = None,
) -> Coverage | None:
    """Give the share of the sessions' minutes of which options have a bar.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    first, last : datetime.date
        Sessions, both inclusive.
    source : str, optional
        Whose bars; default: everybody's.
    underlying : str, optional
        A row for each of its contracts; without one, a row for each source and underlying.

    Returns
    -------
    Coverage or None
        A column a session on which any option has a minute bar; None where there is none.

    """
    values = {
        "source": source,
        "first": first,
        "last": last,
        "underlying": underlying,
        "by_contract": underlying is not None,
    }
    shares: dict[str, dict[dt.date, float]] = {}
    for name, day, share in ask_all(warehouse, _BAR_COVERAGE, values):
        shares.setdefault(name, {})[day] = share
    days = sorted({day for own in shares.values() for day in own})
    if not days:
        return None
    labels = [f"{day:%d %b}" for day in days] if underlying is not None else [f"{day:%Y-%m}" for day in days]
    return Coverage(list(shares), labels, [[own.get(day) for day in days] for own in shares.values()])


def index_closes(warehouse: Warehouse, partition: Partition) -> tuple[str, list[float]]:
    """Give the day's path of one index, with its name: that with most minute bars, NIFTY among equals."""
    rows = ask_all(warehouse, _INDEX_CLOSES, partition.parameters())
    return (rows[0][0] if rows else "index"), [float(close) for _, close in rows]
