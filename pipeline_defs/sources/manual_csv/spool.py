"""Rows waiting for their trade date: in memory while they are few, on disk when they are many.

A file sorted by contract has rows of every date from its first to its last line, so nothing can be given out before
everything is read. What a row is does not matter here.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, Self

import polars as pl

from pipeline_defs.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS_IN_MEMORY: Final = 2_000_000
"""About 350 MB of rows."""


class Spool:
    """Rows by key, in the order in which they came; the disk is cleared with the block.

    Parameters
    ----------
    key : tuple of str
        Columns that tell where a row belongs.
    rows_in_memory : int, default ROWS_IN_MEMORY
        More than that many go to the disk.

    """

    def __init__(self, key: tuple[str, ...], rows_in_memory: int = ROWS_IN_MEMORY) -> None:
        self._key = key
        self._most = rows_in_memory
        self._waiting: dict[tuple[object, ...], list[pl.DataFrame]] = defaultdict(list)
        self._written: dict[tuple[object, ...], list[Path]] = defaultdict(list)
        self._count = 0
        self._folder: Path | None = None
        self._cleared = ExitStack()

    def __enter__(self) -> Self:
        """Give the spool."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove what is on the disk."""
        self._cleared.close()

    def add(self, rows: pl.DataFrame) -> None:
        """Take in rows.

        Parameters
        ----------
        rows : polars.DataFrame
            With the key's columns.

        """
        if rows.is_empty():
            return
        for key, part in rows.partition_by(self._key, as_dict=True).items():
            self._waiting[key].append(part)
        self._count += rows.height
        if self._count > self._most:
            self._flush()

    def keys(self) -> Iterator[tuple[object, ...]]:
        """Give the keys that have rows, in no order."""
        yield from {*self._waiting, *self._written}

    def take(self, key: tuple[object, ...]) -> list[pl.DataFrame]:
        """Give the rows of a key, in the order in which they came, and forget them.

        Parameters
        ----------
        key : tuple
            One value for each of the key's columns.

        Returns
        -------
        list of polars.DataFrame
            None of them empty.

        """
        written = [pl.read_ipc(path) for path in self._written.pop(key, [])]
        return [*written, *self._waiting.pop(key, [])]

    def _flush(self) -> None:
        if self._folder is None:
            self._folder = self._cleared.enter_context(scratch("manual-csv"))
        for number, (key, parts) in enumerate(self._waiting.items()):
            path = self._folder / f"{sum(map(len, self._written.values()))}-{number}.arrow"
            # Volumes are decimals only in frames that hold an instrument of which parts of a unit are traded.
            pl.concat(parts, how="vertical_relaxed").write_ipc(path, compression="lz4")
            self._written[key].append(path)
        self._waiting.clear()
        self._count = 0
