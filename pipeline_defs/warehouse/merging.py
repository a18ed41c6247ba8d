"""Make the stored partition equal to what the source says now, keeping every earlier version.

Rows that did not change are not touched, changed and vanished ones move to the history table first. A row may vanish
only if the load read every file the row had come from: an import of one file says nothing about another's rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.schema.tables import MEASUREMENT_COLUMNS, OBSERVATION_COLUMNS, OBSERVATION_KEY
from pipeline_defs.warehouse.transport import copy_in

if TYPE_CHECKING:
    import datetime as dt

    import polars as pl
    import psycopg

_MEASURES: Final = tuple(column.name for column in MEASUREMENT_COLUMNS)
_COLUMNS: Final = tuple(column.name for column in OBSERVATION_COLUMNS)


@dataclass(frozen=True, slots=True)
class Partition:
    """The rows one load may touch.

    Parameters
    ----------
    table : str
        Observation table.
    source : str
        Adapter name.
    bar_seconds : int
        Resolution.
    start, end : datetime.datetime
        The trade date in the exchange's zone, as UTC instants; `end` is exclusive.

    """

    table: str
    source: str
    bar_seconds: int
    start: dt.datetime
    end: dt.datetime

    def parameters(self, load_id: int) -> dict[str, Any]:
        """Bind the partition into the statements of this module."""
        return {
            "source": self.source,
            "bar_seconds": self.bar_seconds,
            "start": self.start,
            "end": self.end,
            "load_id": load_id,
        }


@dataclass(frozen=True, slots=True)
class MergeCounts:
    """Rows by what happened to them."""

    stored: int
    unchanged: int
    corrected: int
    retired: int


_IN_PARTITION: Final = (
    "t.timestamp >= %(start)s AND t.timestamp < %(end)s AND t.source = %(source)s AND t.bar_seconds = %(bar_seconds)s"
)

_IS_EMPTY: Final = "SELECT NOT EXISTS (SELECT FROM {table} AS t WHERE " + _IN_PARTITION + ")"

_SAME_KEY: Final = " AND ".join(f"t.{name} = i.{name}" for name in OBSERVATION_KEY)

# One pass over both sides leaves only what differs; everything after it touches just those rows.
_FIND_DIFFERENCES: Final = (
    "CREATE TEMP TABLE difference ON COMMIT DROP AS SELECT i.*, t.source IS NOT NULL AS is_correction"
    " FROM incoming AS i LEFT JOIN {table} AS t ON "
    + _SAME_KEY
    + " AND "
    + _IN_PARTITION
    + " WHERE t.source IS NULL OR ("
    + ", ".join(f"t.{name}" for name in _MEASURES)
    + ")"
    " IS DISTINCT FROM (" + ", ".join(f"i.{name}" for name in _MEASURES) + ")"
)

_KEEP_CORRECTED: Final = (
    "INSERT INTO {table}_history (" + ", ".join(_COLUMNS) + ", superseded_by, change)"
    " SELECT t.*, %(load_id)s, 'corrected' FROM {table} AS t JOIN difference AS i ON "
    + _SAME_KEY
    + " WHERE i.is_correction AND "
    + _IN_PARTITION
)

_CORRECT: Final = (
    "UPDATE {table} AS t SET ("
    + ", ".join(_MEASURES)
    + ", load_id) = ("
    + ", ".join(f"i.{name}" for name in _MEASURES)
    + ", %(load_id)s)"
    " FROM difference AS i WHERE i.is_correction AND " + _SAME_KEY + " AND " + _IN_PARTITION
)

_ADD: Final = (
    "INSERT INTO {table} ("
    + ", ".join(_COLUMNS)
    + ") SELECT "
    + ", ".join(_COLUMNS)
    + " FROM difference WHERE NOT is_correction ORDER BY "
    + ", ".join(OBSERVATION_KEY)
)

_COUNT: Final = "SELECT count(*) FROM {table} AS t WHERE " + _IN_PARTITION

# Pairs of (earlier load, instrument) of which every file was read again by this load.
_SPOKEN_FOR: Final = """
CREATE TEMP TABLE spoken_for ON COMMIT DROP AS
SELECT li.load_id, li.instrument_id
FROM loads AS l
JOIN load_instruments AS li USING (load_id)
JOIN load_files AS lf USING (load_id, file_index)
LEFT JOIN load_files AS now ON now.load_id = %(load_id)s AND now.logical_name = lf.logical_name
WHERE l.source = %(source)s AND l.dataset = %(dataset)s AND l.trade_date = %(trade_date)s
  AND l.bar_seconds = %(bar_seconds)s AND l.load_id <> %(load_id)s
  AND (%(underlying)s::text IS NULL OR li.instrument_id IN (
      SELECT instrument_id FROM instrument_terms WHERE underlying = %(underlying)s))
GROUP BY li.load_id, li.instrument_id
HAVING bool_and(now.load_id IS NOT NULL)
"""

_RETIRE: Final = (
    "WITH gone AS (DELETE FROM {table} AS t USING spoken_for AS s WHERE t.load_id = s.load_id"
    " AND t.instrument_id = s.instrument_id AND "
    + _IN_PARTITION
    + " AND NOT EXISTS (SELECT FROM incoming AS i WHERE "
    + _SAME_KEY
    + ") RETURNING t.*)"
    " INSERT INTO {table}_history (" + ", ".join(_COLUMNS) + ", superseded_by, change)"
    " SELECT gone.*, %(load_id)s, 'retired' FROM gone"
)


def is_empty(connection: psycopg.Connection, partition: Partition) -> bool:
    """Tell whether nothing is stored for the partition yet, so that rows can go straight in."""
    row = connection.execute(_sql(_IS_EMPTY, partition), partition.parameters(0)).fetchone()
    return bool(row is not None and row[0])


def merge(
    connection: psycopg.Connection,
    partition: Partition,
    rows: pl.DataFrame,
    *,
    load_id: int,
    trade_date: dt.date,
    underlying: str | None,
) -> MergeCounts:
    """Bring a partition that already holds rows in line with a new import.

    Parameters
    ----------
    connection : psycopg.Connection
        In the load's transaction; `loads`, `load_files` of this load are written already.
    partition : Partition
        What may be touched.
    rows : polars.DataFrame
        All columns of the table, sorted by its key.
    load_id : int
        This load.
    trade_date : datetime.date
        Of the partition.
    underlying : str or None
        Set when the import was restricted to one underlying.

    Returns
    -------
    MergeCounts

    """
    parameters = partition.parameters(load_id)
    connection.execute(_sql("CREATE TEMP TABLE incoming (LIKE {table}) ON COMMIT DROP", partition))
    copy_in(connection, "incoming", rows)
    connection.execute("ANALYZE incoming")
    # A chunk that was filled moments ago has no statistics: a nested loop over it would take minutes.
    connection.execute("SET LOCAL enable_nestloop = off")
    connection.execute(_sql(_FIND_DIFFERENCES, partition), parameters)
    before = _scalar(connection.execute(_sql(_COUNT, partition), parameters))
    corrected = connection.execute(_sql(_KEEP_CORRECTED, partition), parameters).rowcount
    if corrected:
        connection.execute(_sql(_CORRECT, partition), parameters)
    stored = connection.execute(_sql(_ADD, partition), parameters).rowcount
    retired = 0
    if before > rows.height - stored:
        connection.execute(
            _SPOKEN_FOR,
            {**parameters, "dataset": partition.table, "trade_date": trade_date, "underlying": underlying},
        )
        retired = connection.execute(_sql(_RETIRE, partition), parameters).rowcount
    return MergeCounts(stored, rows.height - stored - corrected, corrected, retired)


def _scalar(cursor: psycopg.Cursor[tuple[Any, ...]]) -> int:
    row = cursor.fetchone()
    return 0 if row is None else int(row[0])


def _sql(template: str, partition: Partition) -> str:
    """Insert the table name, which is one of our own."""
    return template.replace("{table}", partition.table)
