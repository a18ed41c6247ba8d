"""What was found: stored comparisons, the worst disagreements, verdicts, and instruments that look like one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.reconciliation.comparing import Reconciliation

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence
    from decimal import Decimal

    from pipeline_defs.warehouse.connection import Warehouse

_STORED: Final = """
SELECT reconciliation_id, dataset, trade_date, bar_seconds, left_source, right_source, compared, agreeing, disagreeing,
       only_left, only_right, differences, made_at
FROM reconciliations
WHERE (%(dataset)s::text IS NULL OR dataset = %(dataset)s)
  AND (%(left)s::text IS NULL OR left_source = %(left)s) AND (%(right)s::text IS NULL OR right_source = %(right)s)
  AND trade_date BETWEEN coalesce(%(start_date)s::date, '-infinity') AND coalesce(%(end_date)s::date, 'infinity')
ORDER BY dataset, trade_date, bar_seconds, left_source, right_source
"""

_WORST: Final = """
SELECT r.reconciliation_id, r.trade_date, t.symbol, t.kind, d.instrument_id, d."timestamp", d.field, d.left_value,
       d.right_value, d.tolerance, abs(d.left_value - d.right_value) / greatest(d.left_value, d.right_value) AS share
FROM disagreements AS d
JOIN reconciliations AS r USING (reconciliation_id)
LEFT JOIN instrument_terms AS t ON t.instrument_id = d.instrument_id
    AND t.valid_from <= r.trade_date AND t.valid_to > r.trade_date
WHERE d.reconciliation_id = ANY (%(ids)s)
ORDER BY share DESC, d."timestamp", d.instrument_id, d.field
LIMIT %(most)s
"""

_FIELDS: Final = """
SELECT field, count(*), max(abs(left_value - right_value) / greatest(left_value, right_value))
FROM disagreements WHERE reconciliation_id = ANY (%(ids)s) GROUP BY field ORDER BY field
"""

_VERDICTS: Final = """
SELECT verdict, count(*) FROM reconciled_contracts WHERE reconciliation_id = ANY (%(ids)s) GROUP BY verdict
ORDER BY verdict
"""

# What only one side has, and the other has under another number: the same thing to trade, or the same ISIN.
_LOOK_ALIKES: Final = """
WITH lonely AS (
    SELECT c.reconciliation_id, c.verdict, t.*
    FROM reconciled_contracts AS c
    JOIN reconciliations AS r USING (reconciliation_id)
    JOIN instrument_terms AS t ON t.instrument_id = c.instrument_id
        AND t.valid_from <= r.trade_date AND t.valid_to > r.trade_date
    WHERE c.reconciliation_id = ANY (%(ids)s) AND c.verdict IN ('only_left', 'only_right')
)
SELECT l.reconciliation_id, l.instrument_id, l.symbol, r.instrument_id, r.symbol,
       (SELECT json_object_agg(f.name, json_build_array(f.left_value, f.right_value) ORDER BY f.name)
        FROM (VALUES ('venue', l.venue, r.venue), ('currency', l.currency, r.currency), ('series', l.series, r.series),
                     ('isin', l.isin, r.isin), ('underlying', l.underlying, r.underlying), ('kind', l.kind, r.kind),
                     ('rank', l.rank::text, r.rank::text)) AS f (name, left_value, right_value)
        WHERE f.left_value IS DISTINCT FROM f.right_value)
FROM lonely AS l
JOIN lonely AS r ON r.reconciliation_id = l.reconciliation_id AND l.verdict = 'only_left' AND r.verdict = 'only_right'
    AND ((l.kind = r.kind AND l.underlying = r.underlying AND l.expiry IS NOT DISTINCT FROM r.expiry
          AND l.strike IS NOT DISTINCT FROM r.strike AND l.option_type IS NOT DISTINCT FROM r.option_type)
         OR l.isin = r.isin)
ORDER BY l.reconciliation_id, l.symbol, r.symbol, l.instrument_id, r.instrument_id
"""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A value of which two sources say different things.

    Parameters
    ----------
    reconciliation_id : int
        Of which comparison.
    trade_date : datetime.date
        Its day.
    symbol, kind : str or None
        Of the instrument on that day.
    instrument_id : int
        Row of `instruments`.
    timestamp : datetime.datetime
        Close of the bar, UTC.
    field : str
        E.g. ``close``.
    left_value, right_value, tolerance : Decimal
        In the field's unit.
    share : Decimal
        The difference, of the larger value.

    """

    reconciliation_id: int
    trade_date: dt.date
    symbol: str | None
    kind: str | None
    instrument_id: int
    timestamp: dt.datetime
    field: str
    left_value: Decimal
    right_value: Decimal
    tolerance: Decimal
    share: Decimal

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON object; numbers as text, so that they stay exact."""
        return {
            "trade_date": self.trade_date.isoformat(),
            "symbol": self.symbol,
            "instrument_id": self.instrument_id,
            "timestamp": self.timestamp.isoformat(),
            "field": self.field,
            "left_value": str(self.left_value),
            "right_value": str(self.right_value),
            "tolerance": str(self.tolerance),
        }


@dataclass(frozen=True, slots=True)
class LookAlike:
    """Two instruments of which each side has one, and which may be the same thing under two numbers.

    Parameters
    ----------
    reconciliation_id : int
        Of which comparison.
    left_id, right_id : int
        Rows of `instruments`.
    left_symbol, right_symbol : str
        Their names on the day.
    differs : dict of str to tuple
        What makes them different instruments: term to both values.

    """

    reconciliation_id: int
    left_id: int
    left_symbol: str
    right_id: int
    right_symbol: str
    differs: dict[str, tuple[str | None, str | None]]

    def __str__(self) -> str:
        """Say it in a line."""
        told = ", ".join(f"{name} {left or '-'} and {right or '-'}" for name, (left, right) in self.differs.items())
        return (
            f"{self.left_symbol} ({self.left_id}) and {self.right_symbol} ({self.right_id}) are not compared:"
            f" they are different instruments by {told or 'their periods'}"
        )

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON object."""
        return {
            "left": {"instrument_id": self.left_id, "symbol": self.left_symbol},
            "right": {"instrument_id": self.right_id, "symbol": self.right_symbol},
            "differs": {name: list(values) for name, values in self.differs.items()},
        }


def stored_reconciliations(
    warehouse: Warehouse,
    *,
    dataset: str | None = None,
    left: str | None = None,
    right: str | None = None,
    start_date: dt.date | None = None,
    end_date: dt.date | None = None,
) -> list[Reconciliation]:
    """List comparisons that were made.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    dataset, left, right : str, optional
        Only those.
    start_date, end_date : datetime.date, optional
        Trade dates, inclusive.

    Returns
    -------
    list of Reconciliation
        By table, trade date, bar length and sources.

    """
    wanted = {"dataset": dataset, "left": left, "right": right, "start_date": start_date, "end_date": end_date}
    with warehouse.connect() as connection:
        return [Reconciliation(*row) for row in connection.execute(_STORED, wanted).fetchall()]


def worst_disagreements(warehouse: Warehouse, ids: Sequence[int], *, most: int = 10) -> list[Disagreement]:
    """List the values that are furthest apart, relative to their size.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    ids : sequence of int
        Comparisons.
    most : int, default 10
        How many.

    Returns
    -------
    list of Disagreement
        The worst first.

    """
    with warehouse.connect() as connection:
        rows = connection.execute(_WORST, {"ids": list(ids), "most": most}).fetchall()
    return [Disagreement(*row) for row in rows]


def worst_by_field(warehouse: Warehouse, ids: Sequence[int]) -> dict[str, tuple[int, float]]:
    """Give, for each field with a disagreement, how many are listed and the largest relative difference."""
    with warehouse.connect() as connection:
        rows = connection.execute(_FIELDS, {"ids": list(ids)}).fetchall()
    return {field: (count, float(share)) for field, count, share in rows}


def count_verdicts(warehouse: Warehouse, ids: Sequence[int]) -> dict[str, int]:
    """Count contract-days by verdict: ``agrees``, ``disagrees``, ``incomplete``, ``only_left``, ``only_right``."""
    with warehouse.connect() as connection:
        return dict(connection.execute(_VERDICTS, {"ids": list(ids)}).fetchall())


def find_look_alikes(warehouse: Warehouse, ids: Sequence[int]) -> list[LookAlike]:
    """Find instruments that only one side has, and that the other side may have under another number.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    ids : sequence of int
        Comparisons.

    Returns
    -------
    list of LookAlike
        They were not compared: shares of two venues, or of two series, have prices of their own.

    """
    with warehouse.connect() as connection:
        rows = connection.execute(_LOOK_ALIKES, {"ids": list(ids)}).fetchall()
    return [
        LookAlike(found, left_id, left_symbol, right_id, right_symbol, _differs(differs))
        for found, left_id, left_symbol, right_id, right_symbol, differs in rows
    ]


def _differs(found: dict[str, list[str | None]] | None) -> dict[str, tuple[str | None, str | None]]:
    return {name: (left, right) for name, (left, right) in (found or {}).items()}
