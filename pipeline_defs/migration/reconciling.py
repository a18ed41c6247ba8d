"""What is stored of a moved-in bundle against what was found in its files: rows and sums of each symbol, exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.schema.tables import OBSERVATION_TABLES

if TYPE_CHECKING:
    from decimal import Decimal

    import psycopg

NOTHING_LOST: Final = frozenset({"no_trade", "duplicate"})
"""Reasons for which a line is not stored though the tables lack nothing of what it says."""

_GROUPS: Final = (
    "SELECT DISTINCT dataset, bar_seconds FROM migrated_series WHERE bundle_id = %(bundle_id)s ORDER BY 1, 2"
)

# The loads' dates bound the search: the key of observations begins with the time.
_COUNT: Final = """
WITH span AS (
    SELECT min(trade_date) - 1 AS first, max(trade_date) + 2 AS last FROM loads
    WHERE source = %(source)s AND dataset = %(dataset)s AND bar_seconds = %(bar_seconds)s
), stored AS (
    SELECT a.symbol, min(o.instrument_id) AS instrument_id, count(*) AS n, sum(o.close) AS close,
           coalesce(sum(o.volume), 0) AS volume
    FROM {table} AS o
    JOIN instrument_aliases AS a ON a.source = o.source AND a.instrument_id = o.instrument_id
    WHERE o.source = %(source)s AND o.bar_seconds = %(bar_seconds)s
      AND o."timestamp" >= (SELECT first FROM span)::timestamptz
      AND o."timestamp" < (SELECT last FROM span)::timestamptz
    GROUP BY a.symbol
), refused AS (
    SELECT symbol, count(*) AS n, coalesce(sum(close), 0) AS close, coalesce(sum(volume), 0) AS volume
    FROM migrated_refusals
    WHERE bundle_id = %(bundle_id)s AND dataset = %(dataset)s AND bar_seconds = %(bar_seconds)s AND symbol IS NOT NULL
    GROUP BY symbol
)
UPDATE migrated_series AS s
SET instrument_id = n.instrument_id, rows_stored = n.stored, close_stored = n.close_stored,
    volume_stored = n.volume_stored, rows_quarantined = n.refused, close_quarantined = n.close_refused,
    volume_quarantined = n.volume_refused
FROM (
    SELECT m.symbol, stored.instrument_id, coalesce(stored.n, 0) AS stored, coalesce(stored.close, 0) AS close_stored,
           coalesce(stored.volume, 0) AS volume_stored, coalesce(refused.n, 0) AS refused,
           coalesce(refused.close, 0) AS close_refused, coalesce(refused.volume, 0) AS volume_refused
    FROM migrated_series AS m LEFT JOIN stored USING (symbol) LEFT JOIN refused USING (symbol)
    WHERE m.bundle_id = %(bundle_id)s AND m.dataset = %(dataset)s AND m.bar_seconds = %(bar_seconds)s
) AS n
WHERE s.bundle_id = %(bundle_id)s AND s.symbol = n.symbol AND s.bar_seconds = %(bar_seconds)s
"""

_DIFFERENCES: Final = """
SELECT symbol, bar_seconds, rows_found, rows_stored, rows_quarantined, close_found,
       close_stored + close_quarantined, volume_found, volume_stored + volume_quarantined
FROM migrated_series WHERE bundle_id = %(bundle_id)s AND NOT is_reconciled ORDER BY symbol, bar_seconds
"""

_TOTALS: Final = """
SELECT coalesce(sum(rows_stored), 0)::bigint, coalesce(sum(rows_quarantined), 0)::bigint,
       (SELECT count(*) FROM migrated_refusals WHERE bundle_id = %(bundle_id)s AND symbol IS NULL),
       (SELECT count(*) FROM migrated_refusals
        WHERE bundle_id = %(bundle_id)s AND reason <> ALL (%(nothing_lost)s::text[]))
FROM migrated_series WHERE bundle_id = %(bundle_id)s
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """A symbol of which the database does not hold what its files had.

    Parameters
    ----------
    symbol : str
        As the old store wrote it.
    bar_seconds : int
        Length of its bars.
    rows_found, rows_stored, rows_quarantined : int
        In the files; in the observation table; among the refused lines.
    close_found, close_held, volume_found, volume_held : Decimal
        Sums in the files, and over what is stored and refused.

    """

    symbol: str
    bar_seconds: int
    rows_found: int
    rows_stored: int
    rows_quarantined: int
    close_found: Decimal
    close_held: Decimal
    volume_found: Decimal
    volume_held: Decimal

    def __str__(self) -> str:
        """Say what differs."""
        held = self.rows_stored + self.rows_quarantined
        return (
            f"{self.symbol} at {self.bar_seconds} s: {self.rows_found} rows, closes {self.close_found}, volumes"
            f" {self.volume_found} in the files; {held} rows, closes {self.close_held}, volumes {self.volume_held} here"
        )


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What became of the bars of a bundle.

    Parameters
    ----------
    stored, quarantined : int
        Bars in the observation tables, and among the refused lines.
    lines : int
        Refused lines that are no bar.
    left_out : int
        Bars and lines that say something and are in no table: without days on which nothing traded, and without
        repetitions of what is stored.
    differences : tuple of Difference
        Empty when everything adds up.

    """

    stored: int
    quarantined: int
    lines: int
    left_out: int
    differences: tuple[Difference, ...]


def reconcile(connection: psycopg.Connection, bundle_id: int, source: str) -> Reconciliation:
    """Count what is held of a bundle, note it in ``migrated_series``, and compare.

    Parameters
    ----------
    connection : psycopg.Connection
        In a transaction.
    bundle_id : int
        Whose series are planned.
    source : str
        Under which it is stored.

    Returns
    -------
    Reconciliation

    """
    told = {"bundle_id": bundle_id, "source": source}
    for dataset, bar_seconds in connection.execute(_GROUPS, told).fetchall():
        if dataset not in OBSERVATION_TABLES:
            raise ValueError(f"no table {dataset!r}")
        statement = _COUNT.replace("{table}", dataset).encode()
        connection.execute(statement, {**told, "dataset": dataset, "bar_seconds": bar_seconds})
    differences = tuple(Difference(*row) for row in connection.execute(_DIFFERENCES, told).fetchall())
    return Reconciliation(*_totals(connection, bundle_id), differences)


def count_left_out(connection: psycopg.Connection, bundle_id: int) -> int:
    """Count what is in no table of a bundle that was reconciled; see `Reconciliation`."""
    return _totals(connection, bundle_id)[-1]


def _totals(connection: psycopg.Connection, bundle_id: int) -> tuple[int, int, int, int]:
    told = {"bundle_id": bundle_id, "nothing_lost": sorted(NOTHING_LOST)}
    ((stored, quarantined, lines, left_out),) = connection.execute(_TOTALS, told).fetchall()
    return int(stored), int(quarantined), int(lines), int(left_out)
