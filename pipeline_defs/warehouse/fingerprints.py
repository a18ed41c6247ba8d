"""Eight bytes per stored row, so that a re-import finds what changed without reading the partition.

A row's hash is the sum, modulo 2^64, of one mixed word for each value that is not null. It depends on values only: not
on the order of the rows, on the version of any library, or on how a decimal is written. Two different rows share a hash
with a chance of 2^-64. The mixer is the finalizer of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom
number generators", 2014).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from pipeline_defs.schema.tables import MEASUREMENT_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

    from pipeline_defs.warehouse.partitions import Partition

type Words = np.ndarray[tuple[int], np.dtype[np.uint64]]

_IDENTITY: Final = ("timestamp", "instrument_id", "sequence")
_COLUMNS: Final = (*_IDENTITY, *(column.name for column in MEASUREMENT_COLUMNS))
"""A column's position salts its words, so a new column goes to the end."""

_MOST_DIGITS: Final = 38
_GOLDEN: Final = 0x9E3779B97F4A7C15
_FIRST_FACTOR: Final = 0xBF58476D1CE4E5B9
_SECOND_FACTOR: Final = 0x94D049BB133111EB
_MASK: Final = (1 << 64) - 1

_READ: Final = """
SELECT f.row_hashes, f.rows, f.close_sum, f.volume_sum FROM partition_fingerprints AS f
WHERE f.dataset = %(dataset)s AND f.source = %(source)s AND f.trade_date = %(trade_date)s
  AND f.bar_seconds = %(bar_seconds)s
"""

_TOTALS: Final = """
SELECT count(*), coalesce(sum(close), 0), coalesce(sum(volume), 0) FROM {table}
WHERE "timestamp" >= %(start)s AND "timestamp" < %(end)s AND source = %(source)s AND bar_seconds = %(bar_seconds)s
"""

_WRITE: Final = """
INSERT INTO partition_fingerprints AS f (dataset, source, trade_date, bar_seconds, rows, close_sum, volume_sum,
                                         row_hashes)
VALUES (%(dataset)s, %(source)s, %(trade_date)s, %(bar_seconds)s, %(rows)s, %(close_sum)s, %(volume_sum)s,
        %(row_hashes)b)
ON CONFLICT (dataset, source, trade_date, bar_seconds) DO UPDATE
SET rows = excluded.rows, close_sum = excluded.close_sum, volume_sum = excluded.volume_sum,
    row_hashes = excluded.row_hashes
WHERE f.row_hashes IS DISTINCT FROM excluded.row_hashes
"""

_FORGET: Final = """
DELETE FROM partition_fingerprints
WHERE dataset = %(dataset)s AND source = %(source)s AND trade_date = %(trade_date)s AND bar_seconds = %(bar_seconds)s
"""


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """What a partition holds, in short.

    Parameters
    ----------
    hashes : numpy.ndarray of uint64
        One per row, in the order of the table's key.
    close_sum, volume_sum : decimal.Decimal
        Over all rows; the guard against rows that were changed behind the pipeline's back.

    """

    hashes: Words
    close_sum: Decimal
    volume_sum: Decimal


def take_fingerprint(rows: pl.DataFrame) -> Fingerprint:
    """Fingerprint the rows of a partition.

    Parameters
    ----------
    rows : polars.DataFrame
        Columns of the observation table, at least those of its key; an absent column counts as null. Sorted by key.

    Returns
    -------
    Fingerprint

    """
    volume = _exact_sum(rows["volume"]) if "volume" in rows.columns else Decimal(0)
    return Fingerprint(_row_hashes(rows), Decimal(rows["close"].sum() or 0), volume)


def join_fingerprints(parts: Iterable[Fingerprint], rows: int) -> Fingerprint:
    """Fingerprint a partition of so many rows from its slices, in the order of its key."""
    hashes = np.zeros(rows, dtype=np.uint64)
    close_sum, volume_sum = Decimal(0), Decimal(0)
    start = 0
    for part in parts:
        hashes[start : start + len(part.hashes)] = part.hashes
        start += len(part.hashes)
        close_sum, volume_sum = close_sum + part.close_sum, volume_sum + part.volume_sum
    return Fingerprint(hashes, close_sum, volume_sum)


def _exact_sum(sizes: pl.Series) -> Decimal:
    """Add up volumes of a whole partition, whole or not."""
    scale = sizes.dtype.scale if isinstance(sizes.dtype, pl.Decimal) else 0
    return Decimal(sizes.cast(pl.Decimal(_MOST_DIGITS, scale)).sum() or 0)


def read_fingerprint(connection: psycopg.Connection, partition: Partition) -> Fingerprint | None:
    """Give the stored fingerprint of a partition if it still describes the table.

    Parameters
    ----------
    connection : psycopg.Connection
        In the load's transaction, holding the partition's lock.
    partition : Partition
        Which rows.

    Returns
    -------
    Fingerprint or None
        None when there is none, or when count or sums of the table say something else.

    """
    parameters = partition.parameters()
    row = connection.cursor(binary=True).execute(_READ, parameters).fetchone()
    if row is None:
        return None
    hashes, *expected = row
    totals = connection.execute(partition.statement(_TOTALS), parameters).fetchone()
    if totals is None or list(totals) != expected:
        return None
    return Fingerprint(np.frombuffer(hashes, dtype="<u8"), expected[1], expected[2])


def write_fingerprint(connection: psycopg.Connection, partition: Partition, fingerprint: Fingerprint) -> None:
    """Record that the partition holds exactly the fingerprinted rows."""
    connection.execute(
        _WRITE,
        {
            **partition.parameters(),
            "rows": len(fingerprint.hashes),
            "close_sum": fingerprint.close_sum,
            "volume_sum": fingerprint.volume_sum,
            "row_hashes": memoryview(fingerprint.hashes.astype("<u8", copy=False)).cast("B"),
        },
    )


def forget_fingerprint(connection: psycopg.Connection, partition: Partition) -> None:
    """Drop the fingerprint of a partition that holds rows which this import did not see."""
    connection.execute(_FORGET, partition.parameters())


def _row_hashes(rows: pl.DataFrame) -> Words:
    total = np.zeros(rows.height, dtype=np.uint64)
    for position, name in enumerate(_COLUMNS):
        if name not in rows.columns:
            continue
        column = rows[name]
        if column.null_count() == rows.height:
            continue
        words = _mixed(_words(column), position)
        if column.null_count():
            words[column.is_null().to_numpy()] = 0
        total += words
    return total


def _words(column: pl.Series) -> list[Words]:
    """Give a column's values as one or two 64-bit words; the value under a null is of no account."""
    if isinstance(column.dtype, pl.Decimal):
        # 128-bit integers of the scale every price has here, little end first.
        array = column.fill_null(0).rechunk().to_arrow()
        buffer = array.buffers()[1]
        pairs = np.frombuffer(buffer, dtype="<u8", offset=16 * array.offset, count=2 * len(column)).reshape(-1, 2)
        low, high = pairs[:, 0], pairs[:, 1]
        # Prices below 92 thousand million leave the high word empty.
        return [low.copy()] if not high.any() else [low.copy(), high.copy()]
    return [column.to_physical().cast(pl.Int64).fill_null(0).to_numpy().view(np.uint64).copy()]


def _mixed(words: list[Words], position: int) -> Words:
    """Salt and mix; an all-zero high word is worth nothing, so that leaving it out changes nothing."""
    low = _finalize(words[0] + np.uint64((2 * position + 1) * _GOLDEN & _MASK))
    if len(words) > 1:
        high = words[1]
        low += np.where(high == 0, np.uint64(0), _finalize(high + np.uint64((2 * position + 2) * _GOLDEN & _MASK)))
    return low


def _finalize(words: Words) -> Words:
    words ^= words >> np.uint64(30)
    words *= np.uint64(_FIRST_FACTOR)
    words ^= words >> np.uint64(27)
    words *= np.uint64(_SECOND_FACTOR)
    words ^= words >> np.uint64(31)
    return words
