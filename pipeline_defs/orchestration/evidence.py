"""What a partition of the warehouse holds and where it came from: small questions, numbers back.

Reads only. Knows SQL and the tables, nothing of Dagster; what checks compare is in `comparisons`. Table names are
constants of this package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.orchestration.partitions import MARKET_ZONE
from pipeline_defs.warehouse.days import day_bounds

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from pipeline_defs.warehouse.connection import Warehouse

# Everything but load_id, so that the same values have the same hash whichever load wrote them. Keys are unique, so
# that equal rows cannot cancel each other out.
_STATE: Final = """
SELECT count(*), count(DISTINCT instrument_id),
       to_hex(coalesce(bit_xor(hash_record_extended(
           ROW("timestamp", instrument_id, bar_seconds, sequence, source, open, high, low, close, volume,
               open_interest, bid_price, bid_size, ask_price, ask_size, settlement_price), 0)), 0))
FROM {table} WHERE "timestamp" >= %(start)s AND "timestamp" < %(end)s AND source = %(source)s
"""

_BAR_STATE: Final = """
SELECT count(*), count(DISTINCT instrument_id), to_hex(coalesce(bit_xor(hash_record_extended(b.*, 0)), 0))
FROM {table} AS b WHERE bucket >= %(start)s AND bucket < %(end)s
"""

_LATEST_LOADS: Final = """
SELECT DISTINCT ON (bar_seconds)
       load_id, bar_seconds, status, rows_read, rows_stored, rows_unchanged, rows_corrected, rows_quarantined
FROM loads WHERE dataset = %(table)s AND trade_date = %(trade_date)s AND source = %(source)s
ORDER BY bar_seconds, load_id DESC
"""

_FILES: Final = """
SELECT path, string_agg(DISTINCT layout, ', ' ORDER BY layout), count(*), sum(size_bytes)::bigint
FROM load_files WHERE load_id = ANY (%(load_ids)s) GROUP BY path ORDER BY path
"""

_FINDINGS: Final = """
SELECT check_name, passed, expected, found, detail FROM quality_results
WHERE load_id = ANY (%(load_ids)s) ORDER BY check_name, load_id
"""


@dataclass(frozen=True, slots=True)
class Partition:
    """One table, source and trade date.

    Parameters
    ----------
    table, source : str
        An observation table; an adapter's name.
    trade_date : datetime.date
        The session.
    zone : str, default "Asia/Kolkata"
        Where it is a day.

    """

    table: str
    source: str
    trade_date: dt.date
    zone: str = MARKET_ZONE

    def parameters(self) -> dict[str, Any]:
        """Values for the statements of this module."""
        # Where a market trades at midnight, what closes then belongs to the day that ends.
        start, end = day_bounds(self.trade_date, zone=self.zone, of_closes=self.zone != MARKET_ZONE)
        return {
            "table": self.table,
            "source": self.source,
            "trade_date": self.trade_date,
            "start": start,
            "end": end,
        }


@dataclass(frozen=True, slots=True)
class State:
    """What a partition holds.

    Parameters
    ----------
    rows, instruments : int
        How many.
    content_hash : str
        Same values, same hash, in whatever order and by whichever load they came.

    """

    rows: int
    instruments: int
    content_hash: str


@dataclass(frozen=True, slots=True)
class LatestLoad:
    """The last load of a partition at one resolution.

    Parameters
    ----------
    load_id, bar_seconds : int
        Row of `loads`; resolution, 0 for ticks.
    status : str
        ``complete``, ``empty`` or ``rejected``.
    read, stored, unchanged, corrected, quarantined : int
        Its own counts of lines and rows.

    """

    load_id: int
    bar_seconds: int
    status: str
    read: int
    stored: int
    unchanged: int
    corrected: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class FileRead:
    """One file that loads read, with its members if it is an archive.

    Parameters
    ----------
    path, layouts : str
        Where it lies; which layouts were recognised in it.
    members, size_bytes : int
        Files inside (1 for a plain file), and their bytes unpacked.

    """

    path: str
    layouts: str
    members: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class QualityFinding:
    """One row of `quality_results`.

    Parameters
    ----------
    check : str
        Name of the finding.
    passed : bool
        Whether the partition is as expected.
    expected, found, detail : str
        Both sides, and which instruments or files.

    """

    check: str
    passed: bool
    expected: str
    found: str
    detail: str


def partition_state(warehouse: Warehouse, partition: Partition) -> State:
    """Count and hash the rows of a partition of an observation table (0.3 s for a million rows)."""
    return State(*ask_one(warehouse, in_table(_STATE, partition.table), partition.parameters()))


def bar_state(warehouse: Warehouse, table: str, trade_date: dt.date) -> State:
    """Count and hash a session of `options_hourly` or `options_daily`."""
    start, end = day_bounds(trade_date)
    return State(*ask_one(warehouse, in_table(_BAR_STATE, table), {"start": start, "end": end}))


def latest_loads(warehouse: Warehouse, partition: Partition) -> list[LatestLoad]:
    """List the last load of a partition at each resolution."""
    return [LatestLoad(*row) for row in ask_all(warehouse, _LATEST_LOADS, partition.parameters())]


def files_read(warehouse: Warehouse, load_ids: Sequence[int]) -> list[FileRead]:
    """List the files that some loads read."""
    return [FileRead(*row) for row in ask_all(warehouse, _FILES, {"load_ids": list(load_ids)})]


def quality_findings(warehouse: Warehouse, load_ids: Sequence[int]) -> list[QualityFinding]:
    """List what was found about the partitions of some loads."""
    return [QualityFinding(*row) for row in ask_all(warehouse, _FINDINGS, {"load_ids": list(load_ids)})]


def in_table(template: str, table: str) -> str:
    """Put a table's name into a statement."""
    return template.replace("{table}", table)


def ask_all(warehouse: Warehouse, query: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Run a query and give its rows."""
    with warehouse.connect() as connection:
        return connection.execute(query.encode(), values).fetchall()


def ask_one(warehouse: Warehouse, query: str, values: dict[str, Any]) -> tuple[Any, ...]:
    """Run a query that gives exactly one row."""
    (row,) = ask_all(warehouse, query, values)
    return row
