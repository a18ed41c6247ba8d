"""Make the stored partition equal to what the source says now, keeping every earlier version.

Rows that did not change are not touched, changed and vanished ones move to the history table first. A row may vanish
only if the load read every file the row had come from: an import of one file says nothing about another's rows.

Three ways lead there, the cheapest that fits is taken: an empty partition takes the rows as they come; a partition with
a valid fingerprint is sent only the rows that differ; any other is sent all of them and compared on the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from pipeline_defs.errors import WarehouseError
from pipeline_defs.schema.tables import MEASUREMENT_COLUMNS, OBSERVATION_COLUMNS, OBSERVATION_KEY
from pipeline_defs.warehouse.fingerprints import (
    Fingerprint,
    forget_fingerprint,
    join_fingerprints,
    read_fingerprint,
    take_fingerprint,
    write_fingerprint,
)
from pipeline_defs.warehouse.partitions import IN_PARTITION, Partition
from pipeline_defs.warehouse.transport import copy_in

if TYPE_CHECKING:
    import psycopg

    from pipeline_defs.warehouse.rows import PartitionRows

_MEASURES: Final = tuple(column.name for column in MEASUREMENT_COLUMNS)
_COLUMNS: Final = tuple(column.name for column in OBSERVATION_COLUMNS)


MANY: Final = 20
"""A difference of less than one row in so many is looked up row by row, a larger one compared as a whole."""


@dataclass(frozen=True, slots=True)
class MergeCounts:
    """Rows by what happened to them."""

    stored: int
    unchanged: int
    corrected: int
    retired: int


_IS_EMPTY: Final = f"SELECT NOT EXISTS (SELECT FROM {{table}} AS t WHERE {IN_PARTITION})"

_COUNT: Final = f"SELECT count(*) FROM {{table}} AS t WHERE {IN_PARTITION}"

_SAME_KEY: Final = " AND ".join(f"t.{name} = i.{name}" for name in OBSERVATION_KEY)

# One pass over both sides leaves only what differs, with the earlier values; the rest touches just those rows.
_COMPARE: Final = f"LEFT JOIN {{table}} AS t ON {_SAME_KEY} AND {IN_PARTITION}"

# A table that was filled moments ago has no statistics, and a planner that expects one row in it would walk through the
# whole partition for every row that came in. A subquery with OFFSET is planned by itself: the key is all it can use.
_LOOK_UP: Final = f"""LEFT JOIN LATERAL (
    SELECT t.*, t.ctid AS place, t.tableoid AS part FROM {{table}} AS t WHERE {_SAME_KEY} AND {IN_PARTITION} OFFSET 0
) AS t ON true"""

_FIND_DIFFERENCES: Final = f"""
CREATE TEMP TABLE difference ON COMMIT DROP AS
SELECT i.*, t.source IS NOT NULL AS is_correction, {", ".join(f"t.{name} AS old_{name}" for name in _MEASURES)},
       t.load_id AS old_load_id, {{places}}
FROM incoming AS i {{join}}
WHERE t.source IS NULL
   OR ({", ".join(f"t.{name}" for name in _MEASURES)}) IS DISTINCT FROM ({", ".join(f"i.{name}" for name in _MEASURES)})
"""

_KEEP_CORRECTED: Final = f"""
INSERT INTO {{table}}_history ({", ".join(OBSERVATION_KEY)}, {", ".join(_MEASURES)}, load_id, superseded_by, change)
SELECT {", ".join(OBSERVATION_KEY)}, {", ".join(f"old_{name}" for name in _MEASURES)}, old_load_id, load_id, 'corrected'
FROM difference WHERE is_correction
"""

_CORRECT: Final = f"""
UPDATE {{table}} AS t
SET ({", ".join(_MEASURES)}, load_id) = ({", ".join(f"i.{name}" for name in _MEASURES)}, i.load_id)
FROM difference AS i WHERE i.is_correction AND {{rows}} AND {IN_PARTITION}
"""

_PLACES: Final = "t.place, t.part"
_SAME_PLACE: Final = "t.ctid = i.place AND t.tableoid = i.part"
"""The rows that a look-up found, where it found them: the partition's lock keeps others from moving them."""

_INDEX_SCANS: Final = "SELECT set_config('enable_indexscan', %s, true), set_config('enable_bitmapscan', %s, true)"

_ADD: Final = f"""
INSERT INTO {{table}} ({", ".join(_COLUMNS)})
SELECT {", ".join(_COLUMNS)} FROM difference WHERE NOT is_correction ORDER BY {", ".join(OBSERVATION_KEY)}
"""

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

_RETIRE: Final = f"""
WITH gone AS (
    DELETE FROM {{table}} AS t USING spoken_for AS s
    WHERE t.load_id = s.load_id AND t.instrument_id = s.instrument_id AND {IN_PARTITION}
      AND NOT EXISTS (SELECT FROM incoming AS i WHERE {_SAME_KEY})
    RETURNING t.*
)
INSERT INTO {{table}}_history ({", ".join(_COLUMNS)}, superseded_by, change)
SELECT gone.*, %(load_id)s, 'retired' FROM gone
"""


def bring_in_line(
    connection: psycopg.Connection, partition: Partition, rows: PartitionRows, *, load_id: int, underlying: str | None
) -> MergeCounts:
    """Make a partition hold what a load read.

    Parameters
    ----------
    connection : psycopg.Connection
        In the load's transaction, holding the partition's lock; `loads`, `load_files` and `load_instruments` of this
        load are written already.
    partition : Partition
        What may be touched.
    rows : PartitionRows
        What the load read.
    load_id : int
        This load.
    underlying : str or None
        Set when the import was restricted to one underlying.

    Returns
    -------
    MergeCounts

    """
    if partition.window is not None:
        return _merge_window(connection, partition, rows)
    incoming = join_fingerprints((take_fingerprint(part) for part in rows.slices()), rows.height)
    known = read_fingerprint(connection, partition)
    if known is None and _ask(connection, partition, _IS_EMPTY):
        _copy_in(connection, partition.table, rows)
        write_fingerprint(connection, partition, incoming)
        return MergeCounts(rows.height, 0, 0, 0)
    counts = None if known is None else _merge_differing(connection, partition, rows, incoming, known)
    if counts is None:
        before = _ask(connection, partition, _COUNT)
        counts = _merge_all(connection, partition, rows, before, {"load_id": load_id, "underlying": underlying})
        if before + counts.stored - counts.retired != rows.height:
            forget_fingerprint(connection, partition)
            return counts
    write_fingerprint(connection, partition, incoming)
    return counts


def _merge_window(connection: psycopg.Connection, partition: Partition, rows: PartitionRows) -> MergeCounts:
    """Bring a part of a partition in line; a fingerprint of the whole says nothing of it.

    It takes nothing away, since each instrument may speak of a part of its own: what vanished is retired by the load of
    the whole.
    """
    forget_fingerprint(connection, partition)
    if _ask(connection, partition, _IS_EMPTY):
        _copy_in(connection, partition.table, rows)
        return MergeCounts(rows.height, 0, 0, 0)
    few = _prepare(connection, few=False)
    corrected = _stage(connection, partition, rows, few=few)
    stored = _apply_differences(connection, partition, corrected, few=few)
    return MergeCounts(stored, rows.height - stored - corrected, corrected, 0)


def find_differing(incoming: Fingerprint, known: Fingerprint) -> tuple[pl.Series, int]:
    """Compare what is stored with what came in.

    Parameters
    ----------
    incoming, known : Fingerprint
        Both in the order of the table's key.

    Returns
    -------
    tuple of polars.Series and int
        A mask of the incoming rows that are not stored as they are, and the number of stored rows that did not come in
        as they are: corrected or vanished.

    """
    ours, theirs = incoming.hashes, known.hashes
    if len(ours) == len(theirs):
        # Mostly the same rows stand at the same places, and only the others need to be looked for.
        mask = ours != theirs
        sent, left = ours[mask], theirs[mask]
    else:
        mask = np.ones(len(ours), dtype=np.bool_)
        sent, left = ours, theirs
    mask[mask] = ~np.isin(sent, left)
    return pl.Series(mask), int(np.count_nonzero(~np.isin(left, sent)))


def _merge_differing(
    connection: psycopg.Connection,
    partition: Partition,
    rows: PartitionRows,
    incoming: Fingerprint,
    known: Fingerprint,
) -> MergeCounts | None:
    """Send only what differs; None, with nothing changed, if rows vanished and all must be looked at."""
    mask, missing = find_differing(incoming, known)
    differing = rows.filter(mask)
    if not differing.height and not missing:
        return MergeCounts(0, rows.height, 0, 0)
    few = _prepare(connection, few=differing.height * MANY < rows.height)
    corrected = _stage(connection, partition, differing, few=few)
    if corrected != missing:
        connection.execute("DROP TABLE incoming, difference")
        return None
    stored = _apply_differences(connection, partition, corrected, few=few)
    return MergeCounts(stored, rows.height - stored - corrected, corrected, 0)


def _merge_all(
    connection: psycopg.Connection,
    partition: Partition,
    rows: PartitionRows,
    before: int,
    load: dict[str, Any],
) -> MergeCounts:
    few = _prepare(connection, few=False)
    corrected = _stage(connection, partition, rows, few=few)
    stored = _apply_differences(connection, partition, corrected, few=few)
    retired = 0
    if before > rows.height - stored:
        parameters = partition.parameters(**load)
        connection.execute(_SPOKEN_FOR, parameters)
        retired = connection.execute(partition.statement(_RETIRE), parameters).rowcount
    return MergeCounts(stored, rows.height - stored - corrected, corrected, retired)


def _prepare(connection: psycopg.Connection, *, few: bool) -> bool:
    """Set the transaction up; give whether rows are looked up one by one, which a server of compressed ones avoids."""
    connection.execute("SELECT prepare_merge(%s)", [few])
    (row,) = connection.execute("SELECT current_setting('enable_hashjoin')").fetchall()
    return bool(row[0] == "off")


def _stage(connection: psycopg.Connection, partition: Partition, rows: PartitionRows, *, few: bool) -> int:
    """Send rows and set those apart that differ from the stored ones; give the number of corrections."""
    connection.execute(partition.statement("CREATE TEMP TABLE incoming (LIKE {table}) ON COMMIT DROP"))
    _copy_in(connection, "incoming", rows)
    connection.execute("ANALYZE incoming")
    join, places = (_LOOK_UP, _PLACES) if few else (_COMPARE, "NULL::tid AS place, NULL::oid AS part")
    find = _FIND_DIFFERENCES.replace("{join}", join).replace("{places}", places)
    connection.execute(partition.statement(find), partition.parameters())
    return _ask(connection, partition, "SELECT count(*) FROM difference WHERE is_correction")


def _apply_differences(connection: psycopg.Connection, partition: Partition, corrected: int, *, few: bool) -> int:
    """Correct and add what was set apart; give the number of rows added."""
    if corrected:
        connection.execute(partition.statement(_KEEP_CORRECTED))
        changed = _correct(connection, partition, few=few)
        if changed != corrected:
            raise WarehouseError(
                f"{corrected} rows were to be corrected, but {changed} were there a moment later",
                where=f"{partition.table} {partition.trade_date}, source {partition.source}",
                next_step="somebody else writes to the table: stop that, and import again",
            )
    return connection.execute(partition.statement(_ADD)).rowcount


def _correct(connection: psycopg.Connection, partition: Partition, *, few: bool) -> int:
    """Overwrite the corrected rows; give their number."""
    if not few:
        return connection.execute(
            partition.statement(_CORRECT.replace("{rows}", _SAME_KEY)), partition.parameters()
        ).rowcount
    # Without statistics the planner would rather walk through the partition for each row than go to its place.
    connection.execute(_INDEX_SCANS, ["off", "off"])
    changed = connection.execute(
        partition.statement(_CORRECT.replace("{rows}", _SAME_PLACE)), partition.parameters()
    ).rowcount
    connection.execute(_INDEX_SCANS, ["on", "on"])
    return changed


def _copy_in(connection: psycopg.Connection, table: str, rows: PartitionRows) -> None:
    for part in rows.slices():
        copy_in(connection, table, part, typed=True)


def _ask(connection: psycopg.Connection, partition: Partition, question: str) -> int:
    row: tuple[Any, ...] | None = connection.execute(partition.statement(question), partition.parameters()).fetchone()
    return 0 if row is None else int(row[0])
