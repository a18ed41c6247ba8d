"""Reads of the gap ledger: gaps with their causes, totals, and coverage by day and class for pictures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import datetime as dt

    import polars as pl

    from pipeline_defs.warehouse.connection import Warehouse

CAUSES: Final = ("source_missing", "quarantined", "no_trade", "not_yet_due", "closed")
"""Every cause, those that want a person first."""

_SCOPE: Final = """
(%(dataset)s::text IS NULL OR g.dataset = %(dataset)s) AND (%(source)s::text IS NULL OR g.source = %(source)s)
AND (%(first)s::date IS NULL OR g.trade_date >= %(first)s) AND (%(last)s::date IS NULL OR g.trade_date <= %(last)s)
"""

_GAPS: Final = """
SELECT g.dataset, g.source, g.trade_date, g.bar_seconds, g.instrument_id,
       (SELECT t.symbol FROM instrument_terms AS t WHERE t.instrument_id = g.instrument_id
        AND t.valid_from <= g.trade_date AND t.valid_to > g.trade_date), g.kind, g.instruments,
       g.gap_start, g.gap_end, g.minutes, g.cause, g.fillable, g.detail, g.load_id
FROM session_gaps AS g
WHERE {scope} AND (%(causes)s::text[] IS NULL OR g.cause = ANY (%(causes)s))
  AND (NOT %(fillable)s OR g.fillable)
ORDER BY g.trade_date, g.dataset, g.source, g.bar_seconds, g.gap_start, g.instrument_id NULLS FIRST, g.kind, g.cause
"""

_TOTALS: Final = """
SELECT g.cause, count(*), sum(g.minutes)::bigint, coalesce(sum(g.minutes) FILTER (WHERE g.fillable), 0)::bigint
FROM session_gaps AS g WHERE {scope} GROUP BY g.cause
"""

_COUNTED: Final = """
SELECT count(*), coalesce(sum(g.expected_minutes), 0)::bigint, coalesce(sum(g.present_minutes), 0)::bigint
FROM gap_assessments AS g WHERE {scope}
"""

_COVERAGE: Final = """
SELECT g.trade_date, g.dataset, g.source, g.bar_seconds, coalesce(c.kind, 'nothing'), coalesce(c.is_dense, true),
       coalesce(c.instruments, g.instruments), coalesce(c.expected_minutes, g.expected_minutes),
       coalesce(c.present_minutes, g.present_minutes)
FROM gap_assessments AS g LEFT JOIN gap_coverage AS c USING (dataset, source, trade_date, bar_seconds)
WHERE g.session_open IS NOT NULL AND {scope}
ORDER BY 1, 2, 3, 4, 5, 6
"""


@dataclass(frozen=True, slots=True)
class Scope:
    """A part of the ledger; what is None is not restricted.

    Parameters
    ----------
    dataset, source : str or None
        Table and adapter.
    first, last : datetime.date or None
        Trade dates, both inclusive.

    """

    dataset: str | None = None
    source: str | None = None
    first: dt.date | None = None
    last: dt.date | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """One row of the ledger.

    Parameters
    ----------
    dataset, source : str
        Table and adapter.
    trade_date : datetime.date
        The session.
    bar_seconds : int
        Resolution.
    instrument_id : int or None
        None when it speaks of several.
    symbol, kind : str or None
        Of the instrument; the kind alone of a class.
    instruments : int
        How many it speaks of.
    gap_start, gap_end : datetime.datetime
        From the begin of the first missing slot to the end of the last, UTC.
    minutes : int
        Missing slots, summed over the instruments.
    cause : str
        One of `CAUSES`.
    fillable : bool
        Whether a backfill asks for it.
    detail : str
        Why, in words.
    load_id : int or None
        Of refused rows.

    """

    dataset: str
    source: str
    trade_date: dt.date
    bar_seconds: int
    instrument_id: int | None
    symbol: str | None
    kind: str | None
    instruments: int
    gap_start: dt.datetime
    gap_end: dt.datetime
    minutes: int
    cause: str
    fillable: bool
    detail: str
    load_id: int | None

    @property
    def about(self) -> str:
        """Name what it speaks of."""
        if self.symbol is not None or not self.instruments:
            return self.symbol or "the market"
        return f"{self.instruments} {self.kind or ('instrument' if self.instruments == 1 else 'instruments')}"

    def to_json(self) -> dict[str, Any]:
        """Give plain values."""
        instants = {"gap_start": self.gap_start.isoformat(), "gap_end": self.gap_end.isoformat()}
        return {**asdict(self), **instants, "trade_date": self.trade_date.isoformat()}


@dataclass(frozen=True, slots=True)
class CauseTotal:
    """All gaps of one cause.

    Parameters
    ----------
    cause : str
        One of `CAUSES`.
    gaps : int
        Rows of the ledger.
    minutes, fillable_minutes : int
        Missing slots, and those of them that a backfill asks for.

    """

    cause: str
    gaps: int
    minutes: int
    fillable_minutes: int


@dataclass(frozen=True, slots=True)
class Totals:
    """The ledger in numbers.

    Parameters
    ----------
    partitions : int
        How many were assessed.
    expected_minutes, present_minutes : int
        What they should hold, and what they hold.
    causes : tuple of CauseTotal
        In the order of `CAUSES`; those that do not occur are left out.

    """

    partitions: int
    expected_minutes: int
    present_minutes: int
    causes: tuple[CauseTotal, ...]

    def minutes(self, cause: str) -> int:
        """Give the missing minutes of a cause."""
        return sum(total.minutes for total in self.causes if total.cause == cause)

    @property
    def fillable_minutes(self) -> int:
        """Minutes that a backfill asks for."""
        return sum(total.fillable_minutes for total in self.causes)


def list_gaps(
    warehouse: Warehouse, scope: Scope, *, causes: tuple[str, ...] = (), only_fillable: bool = False
) -> list[Gap]:
    """List gaps by day.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    scope : Scope
        Which part of the ledger.
    causes : tuple of str, default ()
        Only these; all when there is none.
    only_fillable : bool, default False
        Only what a backfill asks for.

    Returns
    -------
    list of Gap

    """
    wanted = {**asdict(scope), "causes": list(causes) or None, "fillable": only_fillable}
    with warehouse.connect() as connection:
        return [Gap(*row) for row in connection.execute(_in_scope(_GAPS), wanted).fetchall()]


def total_gaps(warehouse: Warehouse, scope: Scope) -> Totals:
    """Count gaps by cause."""
    with warehouse.connect() as connection:
        found = {row[0]: CauseTotal(*row) for row in connection.execute(_in_scope(_TOTALS), asdict(scope)).fetchall()}
        ((partitions, expected, present),) = connection.execute(_in_scope(_COUNTED), asdict(scope)).fetchall()
    return Totals(partitions, expected, present, tuple(found[cause] for cause in CAUSES if cause in found))


def coverage(warehouse: Warehouse, scope: Scope) -> pl.DataFrame:
    """Give the coverage of each session by class of instrument, for a heat map.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    scope : Scope
        Which part of the ledger. Days on which the market was closed are left out.

    Returns
    -------
    polars.DataFrame
        ``trade_date`` (Date), ``dataset``, ``source``, ``bar_seconds``, ``kind`` (``nothing`` when nobody delivered and
        nobody is known to be missed), ``is_dense``, ``instruments``, ``expected_minutes``, ``present_minutes``, and
        ``coverage`` (Float64, 0 to 1; null when nothing was expected).

    """
    import polars as pl  # noqa: PLC0415 -- listing gaps needs none

    schema = {
        "trade_date": pl.Date(),
        "dataset": pl.String(),
        "source": pl.String(),
        "bar_seconds": pl.Int64(),
        "kind": pl.String(),
        "is_dense": pl.Boolean(),
        "instruments": pl.Int64(),
        "expected_minutes": pl.Int64(),
        "present_minutes": pl.Int64(),
    }
    with warehouse.connect() as connection:
        rows = connection.execute(_in_scope(_COVERAGE), asdict(scope)).fetchall()
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    expected = pl.col("expected_minutes")
    return frame.with_columns(coverage=pl.when(expected > 0).then(pl.col("present_minutes") / expected))


def _in_scope(template: str) -> bytes:
    return template.replace("{scope}", _SCOPE).encode()
