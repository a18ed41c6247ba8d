"""Parquet files of bundles and caches: probed, held against their checksum, and read in bounded parts.

The folders they lie in are named after a year, month and day, and are not trusted: one write put all of its rows into
the folder of its first row. A file carries what it needs.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import SchemaDriftError, SourceError
from pipeline_defs.migration.amounts import KEY, LINE, PRICES, WHEN, Bars, exact_bars
from pipeline_defs.schema.columns import TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa
    import pyarrow.parquet as pq

ROWS_AT_ONCE: Final = 1 << 16

MAX_GROUP_BYTES: Final = 1 << 29
"""Of one row group, unpacked. Whole bundles of ten years have less; more is a bomb or no bundle."""

MAX_ROWS: Final = 1 << 28

_PORTION: Final = 1 << 20
_TAIL: Final = 1 << 16
_MAGIC: Final = b"PAR1"
_MIDNIGHT: Final = dt.time()
_NEXT: Final = "restore the file from a backup, or ingest the bundle anew with the old system"


@dataclass(frozen=True, slots=True)
class Probe:
    """What is known of a Parquet file before its rows are read.

    Parameters
    ----------
    size_bytes : int
        Bytes that are read.
    sha256 : str
        Of those.
    surplus_bytes : int
        Bytes after those, which something appended later; only when without them the recorded checksum is right.

    """

    size_bytes: int
    sha256: str
    surplus_bytes: int = 0


def probe(path: Path, stated_sha256: str | None) -> Probe:
    """Hash a file, and find the file that was once stored in one that grew.

    Parameters
    ----------
    path : Path
        Parquet file.
    stated_sha256 : str or None
        As recorded. When the file has another, but one of its beginnings that ends as Parquet files end has this one,
        then this beginning is what was stored, proven by the checksum.

    Returns
    -------
    Probe

    Raises
    ------
    SourceError
        If the file is missing or may not be read.

    """
    try:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            size = path.stat().st_size
            while portion := file.read(_PORTION):
                digest.update(portion)
        found = digest.hexdigest()
        if stated_sha256 is None or found == stated_sha256:
            return Probe(size, found)
        beginning = next((end for end in _ends(path, size) if _hash_of(path, end) == stated_sha256), None)
    except OSError as error:
        raise SourceError(f"the file cannot be read: {error.strerror}", where=str(path), next_step=_NEXT) from error
    return Probe(size, found) if beginning is None else Probe(beginning, stated_sha256, size - beginning)


def count_rows(path: Path, size_bytes: int) -> int:
    """Give the rows of a file as its footer tells them."""
    with _opened(path, size_bytes) as file:
        return int(file.metadata.num_rows)


def read_parquet(path: Path, size_bytes: int, *, daily: bool) -> Iterator[Bars]:
    """Read a file in parts.

    Parameters
    ----------
    path : Path
        Parquet file with ``date`` or ``timestamp``, ``sid`` or ``symbol``, open, high, low, close and volume; other
        columns are left.
    size_bytes : int
        Bytes of it that count.
    daily : bool
        Whether the bars are daily: then the time of a ``timestamp`` is dropped, and it must be midnight.

    Yields
    ------
    Bars
        At most `ROWS_AT_ONCE` rows.

    Raises
    ------
    SchemaDriftError
        If a column is missing or of another type.
    SourceError
        If the file is damaged, or unpacks to more than `MAX_GROUP_BYTES` at once.

    """
    import pyarrow as pa  # noqa: PLC0415 -- only where a file is read

    with _opened(path, size_bytes) as file:
        names = _columns(path, file.schema_arrow)
        line = 1
        try:
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=names, use_threads=False):
                batch.validate(full=True)  # of texts: Polars may take them as they are
                frame = pl.DataFrame(pl.from_arrow(batch))
                lines = pl.int_range(line, line + frame.height, dtype=pl.UInt32(), eager=True)
                line += frame.height
                yield exact_bars(_shaped(path, frame, daily=daily).with_columns(lines.alias(LINE)))
        # Of some damage Polars panics, which is no Exception; texts may be none.
        except (
            *(pa.ArrowException, OSError, MemoryError, UnicodeError),
            *(pl.exceptions.PolarsError, pl.exceptions.PanicException),
        ) as error:
            raise _damaged(path, error) from error


def _opened(path: Path, size_bytes: int) -> pq.ParquetFile:
    import pyarrow as pa  # noqa: PLC0415 -- only where a file is read
    from pyarrow import parquet as pq  # noqa: PLC0415 -- as above

    try:
        # A map of the file: the operating system holds it, and only the beginning that counts is seen.
        with pa.memory_map(str(path)) as mapped:
            file = pq.ParquetFile(pa.BufferReader(mapped.read_buffer(size_bytes)))
    except (pa.ArrowException, OSError, MemoryError, UnicodeError) as error:
        raise _damaged(path, error) from error
    _refuse_bomb(path, file)
    return file


def _refuse_bomb(path: Path, file: pq.ParquetFile) -> None:
    metadata = file.metadata
    largest = max((metadata.row_group(place).total_byte_size for place in range(metadata.num_row_groups)), default=0)
    if largest > MAX_GROUP_BYTES or metadata.num_rows > MAX_ROWS:
        raise SourceError(
            f"the file unpacks to {largest:,} bytes at once and {metadata.num_rows:,} rows, expected at most"
            f" {MAX_GROUP_BYTES:,} and {MAX_ROWS:,}",
            where=str(path),
            next_step=_NEXT,
        )


def _columns(path: Path, schema: pa.Schema) -> list[str]:
    when = next((name for name in ("date", "timestamp") if name in schema.names), None)
    key = next((name for name in ("sid", "symbol") if name in schema.names), None)
    missing = [name for name in (*PRICES, "volume") if name not in schema.names]
    if when is None or key is None or missing:
        raise SchemaDriftError(
            f"the columns are {', '.join(schema.names)}, expected date or timestamp, sid or symbol, and"
            " open, high, low, close, volume",
            where=str(path),
        )
    return [when, key, *PRICES, "volume"]


def _shaped(path: Path, frame: pl.DataFrame, *, daily: bool) -> pl.DataFrame:
    when, key = frame.to_series(0), frame.to_series(1)
    try:
        shaped = [_moments(when, daily=daily).alias(WHEN), _keys(key).alias(KEY)]
        for name in (*PRICES, "volume"):
            _refuse_other_than_numbers(frame[name])
    except TypeError as error:
        raise SchemaDriftError(
            f"column {error.args[0]} is of type {error.args[1]}, which no known version wrote", where=str(path)
        ) from None
    return frame.with_columns(shaped).select(KEY, WHEN, *PRICES, "volume")


def _refuse_other_than_numbers(column: pl.Series) -> None:
    if not (column.dtype.is_numeric() or column.dtype in {pl.String, pl.Null}):
        raise TypeError(column.name, column.dtype)


def _moments(column: pl.Series, *, daily: bool) -> pl.Series:
    if column.dtype == pl.Date:
        return column if daily else column.cast(TIMESTAMP)
    if not isinstance(column.dtype, pl.Datetime):
        raise TypeError(column.name, column.dtype)
    if column.dtype.time_zone is None:
        column = column.dt.replace_time_zone("UTC")
    instants = column.dt.convert_time_zone("UTC").cast(TIMESTAMP)
    if not daily:
        return instants
    days = instants.dt.date()
    # A daily bar with a time of day reads two ways: it is refused, not guessed.
    return days.set((instants.dt.time() != _MIDNIGHT).fill_null(value=False), None)


def _keys(column: pl.Series) -> pl.Series:
    if column.dtype.is_integer():
        return column.cast(pl.Int64)
    if isinstance(column.dtype, pl.String | pl.Categorical | pl.Enum):
        return column.cast(pl.String).replace("", None)
    raise TypeError(column.name, column.dtype)


def _ends(path: Path, size: int) -> Iterator[int]:
    """Find where a Parquet file that was appended to could have ended, the latest first."""
    with path.open("rb") as file:
        file.seek(max(0, size - _TAIL))
        tail = file.read(_TAIL)
    place = tail.rfind(_MAGIC)
    while place > 0:
        yield size - len(tail) + place + len(_MAGIC)
        place = tail.rfind(_MAGIC, 0, place)


def _hash_of(path: Path, size_bytes: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size_bytes > 0 and (portion := file.read(min(_PORTION, size_bytes))):
            digest.update(portion)
            size_bytes -= len(portion)
    return digest.hexdigest()


def _damaged(path: Path, error: BaseException) -> SourceError:
    told = str(error).splitlines()[0] if str(error) else type(error).__name__
    return SourceError(f"the Parquet file cannot be read: {told}", where=str(path), next_step=_NEXT)
