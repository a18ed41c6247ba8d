"""Frames to files, appended one after the other: memory is that of one frame, whatever the length of the file.

The bytes depend on the rows alone, not on how they were cut into frames.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, Self

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path

ROW_GROUP: Final = 1 << 17
"""Rows that lie together in a Parquet file, and rows whose text is made at once."""

STAMP_FORMAT: Final = "%Y-%m-%dT%H:%M:%S%.fZ"
"""ISO 8601 in UTC; a fraction of a second only where there is one, with 3 or 6 digits."""


class Writer(ABC):
    """One file that is being written; closes with the block.

    Parameters
    ----------
    path : Path
        File to make.
    schema : dict
        Columns of every frame.

    """

    def __init__(self, path: Path, schema: dict[str, pl.DataType]) -> None:
        self.path = path
        self.schema = schema

    @abstractmethod
    def write(self, rows: pl.DataFrame) -> None:
        """Append rows.

        Parameters
        ----------
        rows : polars.DataFrame
            With the schema.

        """

    @abstractmethod
    def close(self) -> None:
        """Finish the file."""

    def __enter__(self) -> Self:
        """Give the writer."""
        return self

    def __exit__(self, *_: object) -> None:
        """Finish the file, whatever happened: a folder in which something failed is never published."""
        self.close()


class CsvWriter(Writer):
    """CSV with a header: UTF-8, lines end with a line feed, empty for null, quotes only where a text needs them."""

    def __init__(self, path: Path, schema: dict[str, pl.DataType]) -> None:
        super().__init__(path, schema)
        self._file = path.open("wb")
        self._file.write(f"{','.join(schema)}\n".encode())

    def write(self, rows: pl.DataFrame) -> None:
        """Append rows."""
        decimals = [name for name, dtype in self.schema.items() if isinstance(dtype, pl.Decimal)]
        for part in rows.iter_slices(ROW_GROUP):
            text = part.with_columns(plain_decimal(name) for name in decimals)
            text.write_csv(self._file, include_header=False, datetime_format=STAMP_FORMAT)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class ParquetWriter(Writer):
    """Parquet with row groups of `ROW_GROUP` rows, compressed with Zstandard."""

    def __init__(self, path: Path, schema: dict[str, pl.DataType]) -> None:
        super().__init__(path, schema)
        # Polars hands strings over as views, which not every reader of Parquet's Arrow schema knows.
        arrow = [
            pa.field(field.name, pa.string() if isinstance(schema[field.name], pl.String) else field.type)
            for field in pl.DataFrame(schema=schema).to_arrow().schema
        ]
        self._schema = pa.schema(arrow)
        self._writer = pq.ParquetWriter(
            path, self._schema, compression="zstd", version="2.6", store_schema=False, write_page_index=False
        )
        self._waiting: list[pl.DataFrame] = []

    def write(self, rows: pl.DataFrame) -> None:
        """Append rows."""
        waiting = pl.concat([*self._waiting, rows])
        whole = waiting.height - waiting.height % ROW_GROUP
        for part in waiting.head(whole).iter_slices(ROW_GROUP):
            self._write_group(part)
        self._waiting = [waiting.slice(whole)]

    def close(self) -> None:
        """Finish the file."""
        for rest in self._waiting:
            if rest.height:
                self._write_group(rest)
        self._writer.close()

    def _write_group(self, rows: pl.DataFrame) -> None:
        self._writer.write_table(rows.to_arrow().cast(self._schema), row_group_size=ROW_GROUP)


WRITERS: Final[dict[str, type[Writer]]] = {"csv": CsvWriter, "parquet": ParquetWriter}
"""By file format, which is also the ending of the files' names."""


def plain_decimal(column: str) -> pl.Expr:
    """Write a decimal column as its shortest exact text: ``24500.5``, ``24500``, ``0.00000001``.

    Parameters
    ----------
    column : str
        Column of a Decimal type with a scale above 0.

    Returns
    -------
    polars.Expr
        Strings, never in scientific notation.

    """
    return pl.col(column).cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
