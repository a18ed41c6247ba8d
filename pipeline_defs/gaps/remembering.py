"""What the sources were asked about again, and which of it stayed missing."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline_defs.gaps.ledger import Gap, Scope
    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.reports import LoadReport

type PartitionKey = tuple[str, str, int, dt.date]
"""Table, source, resolution in seconds, trade date."""

_REMEMBER: Final = """
INSERT INTO gap_requests (dataset, source, trade_date, bar_seconds, instrument_id, gap_start, gap_end, supply)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""

_ASKED_BEFORE: Final = """
SELECT DISTINCT g.dataset, g.source, g.bar_seconds, g.trade_date FROM gap_requests AS g
WHERE (%(dataset)s::text IS NULL OR g.dataset = %(dataset)s) AND (%(source)s::text IS NULL OR g.source = %(source)s)
  AND (%(first)s::date IS NULL OR g.trade_date >= %(first)s) AND (%(last)s::date IS NULL OR g.trade_date <= %(last)s)
"""

# Of what was asked, only that which stayed missing is remembered: what is lost later is worth a question.
_NARROW: Final = """
WITH touched AS (
    SELECT * FROM unnest(%(datasets)s::text[], %(sources)s::text[], %(dates)s::date[], %(seconds)s::integer[])
        AS t (dataset, source, trade_date, bar_seconds)
), kept AS (
    SELECT DISTINCT ON (g.dataset, g.source, g.trade_date, g.bar_seconds, g.instrument_id, g.gap_start)
           g.dataset, g.source, g.trade_date, g.bar_seconds, g.instrument_id, g.gap_start, g.gap_end,
           r.supply, r.asked_at
    FROM touched
    JOIN session_gaps AS g USING (dataset, source, trade_date, bar_seconds)
    JOIN gap_requests AS r USING (dataset, source, trade_date, bar_seconds)
    WHERE g.cause IN ('source_missing', 'no_trade') AND (g.kind IS NULL OR g.instrument_id IS NOT NULL)
      AND (r.instrument_id IS NULL OR r.instrument_id = g.instrument_id)
      AND r.gap_start <= g.gap_start AND r.gap_end >= g.gap_end
    ORDER BY g.dataset, g.source, g.trade_date, g.bar_seconds, g.instrument_id, g.gap_start, r.asked_at DESC
), gone AS (
    DELETE FROM gap_requests AS r USING touched AS t
    WHERE (r.dataset, r.source, r.trade_date, r.bar_seconds) = (t.dataset, t.source, t.trade_date, t.bar_seconds)
)
INSERT INTO gap_requests (dataset, source, trade_date, bar_seconds, instrument_id, gap_start, gap_end, supply, asked_at)
SELECT * FROM kept
"""

# A day that was held whole is so, too, after one of its instruments was asked for again: the load keeps the mark.
_KEEP_MARK: Final = """
UPDATE loads AS n SET delivery_digest = o.delivery_digest, delivery_parts = o.delivery_parts
FROM loads AS o
WHERE n.load_id = ANY (%(load_ids)s) AND n.delivery_digest IS NULL AND n.status = 'complete'
  AND o.load_id = (SELECT max(p.load_id) FROM loads AS p
                   WHERE (p.dataset, p.source, p.trade_date, p.bar_seconds)
                       = (n.dataset, n.source, n.trade_date, n.bar_seconds) AND p.load_id < n.load_id)
  AND o.delivery_digest IS NOT NULL AND o.status <> 'rejected' AND o.underlying IS NULL
  AND (o.code_version, o.api_version) = (n.code_version, n.api_version)
"""


def asked_before(warehouse: Warehouse, scope: Scope) -> set[PartitionKey]:
    """List the partitions about which a source was asked again."""
    with warehouse.connect() as connection:
        return set(connection.execute(_ASKED_BEFORE, asdict(scope)).fetchall())


def remember(warehouse: Warehouse, gaps: Iterable[Gap], fingerprints: Mapping[dt.date, str]) -> None:
    """Note that a source was asked about gaps, and answered.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    gaps : iterable of Gap
        What was asked about.
    fingerprints : mapping of datetime.date to str
        What there was of each day when it was asked; another supply is worth another try.

    """
    rows = [
        (gap.dataset, gap.source, gap.trade_date, gap.bar_seconds, gap.instrument_id, gap.gap_start, gap.gap_end,
         fingerprints[gap.trade_date])
        for gap in gaps
    ]  # fmt: skip
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.executemany(_REMEMBER, rows)


def narrow(warehouse: Warehouse, partitions: set[PartitionKey]) -> None:
    """Keep of what was asked about only the gaps that are still there; the partitions were assessed since."""
    ordered, names = sorted(partitions), ("datasets", "sources", "seconds", "dates")
    columns = {name: [key[at] for key in ordered] for at, name in enumerate(names)}
    with warehouse.connect() as connection:
        connection.execute(_NARROW, columns)


def keep_marks(warehouse: Warehouse, reports: Iterable[LoadReport]) -> None:
    """Let a day that was held stay so, though its newest load speaks of some instruments only."""
    with warehouse.connect() as connection:
        connection.execute(_KEEP_MARK, {"load_ids": [report.load_id for report in reports]})
