"""What is too much for memory, in files without a name: they vanish with the process, however it ends.

What is mapped is read from its file as it is used; the system takes that memory back when others need it. The files lie
in the system's temporary folder, or where ``TMPDIR`` says: that must be on a disk, or nothing is gained.
"""

from __future__ import annotations

import mmap
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final, cast

import polars as pl

from pipeline_defs.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

type Content = bytes | mmap.mmap

LARGE_BYTES: Final = 1 << 26
"""The content of a file is held in memory up to this."""

HEAVY_ROWS: Final = 1 << 20
"""A partition of more rows is judged and sent in slices; a usual day is whole, which is quicker."""

SLICE_ROWS: Final = 1 << 18
"""Rows of a slice of a heavy partition."""

_PIECE_BYTES: Final = 1 << 23
_ALIGNED_BYTES: Final = 64


class PackedFrame:
    """A frame that is seldom needed: compressed on disk.

    Parameters
    ----------
    frame : polars.DataFrame
        Any.

    Raises
    ------
    ConfigurationError
        If it cannot be written.

    """

    def __init__(self, frame: pl.DataFrame) -> None:
        with _new_file() as file, _writing():
            frame.write_ipc(file, compression="lz4", compat_level=pl.CompatLevel.oldest())
            file.flush()
        self._file = file

    def read(self) -> pl.DataFrame:
        """Give the frame, in memory."""
        self._file.seek(0)
        return pl.read_ipc(self._file)


def map_frames(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Put frames on disk one after the other, and give them as one that is read from there.

    Parameters
    ----------
    frames : iterable of polars.DataFrame
        At least one, all of one schema: columns of fixed width, which are the same in memory and in the file. Each can
        go before the next is made.

    Returns
    -------
    polars.DataFrame
        Their rows in order.

    Raises
    ------
    ConfigurationError
        If they cannot be written.

    """
    import pyarrow as pa  # noqa: PLC0415 -- a usual day needs none of this

    with _new_file() as file:
        written = [[_Column.write(file, column) for column in frame] for frame in frames]
        if not written:
            raise ValueError("no frame to put on disk")
        with _writing():
            file.write(b"\0")  # a file without a byte cannot be mapped
        whole = pa.py_buffer(_mapped(file))
    tables = (pa.table({column.name: column.read(whole) for column in columns}) for columns in written)
    return pl.concat([cast("pl.DataFrame", pl.from_arrow(table, rechunk=False)) for table in tables])


@dataclass(frozen=True, slots=True)
class _Column:
    """A column in a file: as it is in memory, buffer by buffer.

    The file format of Arrow would do, but begins buffers at multiples of 8 bytes: Polars copies decimals that do not
    begin at a multiple of 16.
    """

    name: str
    type: Any
    length: int
    offset: int
    places: list[tuple[int, int] | None]

    @classmethod
    def write(cls, file: IO[bytes], column: pl.Series) -> _Column:
        array = column.rechunk().to_arrow()
        places: list[tuple[int, int] | None] = []
        for buffer in array.buffers():
            if buffer is None:
                places.append(None)
                continue
            with _writing():
                file.write(bytes(-file.tell() % _ALIGNED_BYTES))
                places.append((file.tell(), buffer.size))
                file.write(buffer)
        return cls(column.name, array.type, len(array), array.offset, places)

    def read(self, whole: Any) -> Any:  # noqa: ANN401 -- pyarrow has no types
        import pyarrow as pa  # noqa: PLC0415 -- as above

        buffers = [None if place is None else whole.slice(*place) for place in self.places]
        return pa.Array.from_buffers(self.type, self.length, buffers, offset=self.offset)


def cut(counts: pl.DataFrame, column: str, slice_rows: int) -> list[tuple[Any, Any]]:
    """Cut the values of a column into ranges of so many rows each.

    Parameters
    ----------
    counts : polars.DataFrame
        The column, and ``count``: how many rows have the value; a value may stand in several rows.
    column : str
        Its name.
    slice_rows : int
        Rows of a range; it has more only when the last of its values has.

    Returns
    -------
    list of tuple
        First and last value of each range, both inclusive, ascending.

    """
    summed = counts.group_by(column).agg(pl.col("count").cast(pl.Int64()).sum()).sort(column)
    before = pl.col("count").cum_sum() - pl.col("count")
    ends = summed.group_by(slice=before // slice_rows, maintain_order=True).agg(
        first=pl.col(column).min(), last=pl.col(column).max()
    )
    return list(ends.select("first", "last").iter_rows())


def hold(pieces: Iterable[bytes]) -> Content:
    """Hold the content of a file: in memory, or on disk if it has more than `LARGE_BYTES`.

    Parameters
    ----------
    pieces : iterable of bytes
        The content in order.

    Returns
    -------
    bytes or mmap.mmap

    Raises
    ------
    ConfigurationError
        If it cannot be written.

    """
    held: list[bytes] = []
    size = 0
    rest = iter(pieces)
    for piece in rest:
        held.append(piece)
        size += len(piece)
        if size > LARGE_BYTES:
            break
    else:
        return b"".join(held)
    with _new_file() as file:
        with _writing():
            file.writelines(held)
        held.clear()
        for piece in rest:
            with _writing():
                file.write(piece)
        return _mapped(file)


def pieces_of(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Read a file to its end, some megabytes at a time, given how so many bytes of it are read."""
    while piece := read(_PIECE_BYTES):
        yield piece


@contextmanager
def _new_file() -> Iterator[IO[bytes]]:
    """Open an unnamed file, and close it if it cannot be used."""
    with _writing():
        file = tempfile.TemporaryFile()  # noqa: SIM115 -- who asked for it closes it
    try:
        yield file
    except BaseException:
        file.close()
        raise


@contextmanager
def _writing() -> Iterator[None]:
    """Say where a file could not be written; what is read meanwhile belongs outside, since it fails in its own way."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"what does not fit into memory cannot be written there: {error.strerror or error}",
            where=f"temporary folder {tempfile.gettempdir()}",
            next_step="give it room (some 300 MiB for each million rows of a day), or name another folder with TMPDIR",
        ) from error


def _mapped(file: IO[bytes]) -> mmap.mmap:
    """Map a file that is written; the mapping keeps it."""
    with file, _writing():
        file.flush()
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
