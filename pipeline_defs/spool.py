"""Rows that come in one order and are wanted in another, when there are more of them than memory shall hold.

They are put down on disk part by part, and each part is taken up once. What the parts are, who puts them down knows.
"""

from __future__ import annotations

import io
import tempfile
from collections import defaultdict
from typing import TYPE_CHECKING, Self

import polars as pl

from pipeline_defs.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator


class Spool:
    """A file without a name, which ends with the block, or with the process if that is killed.

    It lies in the folder for temporary files, see `tempfile`. Compressed with LZ4, which takes a fifth of a second for
    a million bars and leaves 40 of their 92 bytes.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="rows-")  # noqa: SIM115 -- closed at the end of the block
        self._places: defaultdict[Hashable, list[tuple[int, int]]] = defaultdict(list)
        self._end = 0

    def put(self, part: Hashable, rows: pl.DataFrame) -> None:
        """Put rows down.

        Parameters
        ----------
        part : hashable
            Which part they belong to.
        rows : polars.DataFrame
            With the columns of all others of the part.

        Raises
        ------
        ExportError
            If the disk takes no more.

        """
        packed = io.BytesIO()
        rows.write_ipc_stream(packed, compression="lz4")
        try:
            self._file.seek(self._end)
            written = self._file.write(packed.getbuffer())
            self._file.flush()
        except OSError as error:
            raise ExportError(
                f"rows could not be put down on disk: {error}",
                where=tempfile.gettempdir(),
                next_step="free space there, or set TMPDIR to a folder that has more",
            ) from error
        self._places[part].append((self._end, written))
        self._end += written

    def take(self, part: Hashable) -> Iterator[pl.DataFrame]:
        """Take a part up.

        Parameters
        ----------
        part : hashable
            Not taken yet.

        Yields
        ------
        polars.DataFrame
            What was put down, in the order in which it was; none of a part that nothing belongs to.

        """
        for offset, length in self._places.pop(part, ()):
            self._file.seek(offset)
            yield pl.read_ipc_stream(io.BytesIO(self._file.read(length)))

    def __enter__(self) -> Self:
        """Give the spool."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give the disk back."""
        self._file.close()
