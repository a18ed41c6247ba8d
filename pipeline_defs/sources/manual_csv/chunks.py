"""A file as a sequence of frames of bounded size, whatever its format.

CSV and workbooks give text; Parquet gives the types it has. What a value means belongs to the modules after this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import SourceError
from pipeline_defs.sources.manual_csv.lines import LINE, TEXT, UNFIT_SCHEMA, Chunk, read_header, read_lines
from pipeline_defs.sources.manual_csv.reasons import MAX_TEXT
from pipeline_defs.sources.manual_csv.workbooks import ENDINGS as WORKBOOK_ENDINGS
from pipeline_defs.sources.manual_csv.workbooks import is_workbook, read_sheet, read_sheet_columns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyarrow import parquet as pq

ENDINGS: Final = (".csv", ".parquet", *WORKBOOK_ENDINGS)
"""Of the names of files that are read."""

_ROWS: Final = 1 << 17


def read_columns(path: Path, separator: str, sheet: str | None = None) -> list[str]:
    """Name the columns of a file.

    Parameters
    ----------
    path : Path
        CSV file, or a Parquet file or workbook by its ending.
    separator : str
        Between the fields of a CSV file.
    sheet : str, optional
        Of a workbook with several.

    Returns
    -------
    list of str
        Empty for an empty CSV file or sheet.

    Raises
    ------
    SourceError
        If there is no header, or the Parquet file or workbook cannot be read.
    ConfigurationError
        If a workbook has several sheets and none is named.

    """
    if is_workbook(path):
        return read_sheet_columns(path, sheet)
    if not _is_parquet(path):
        return read_header(path, separator)
    try:
        with _opened(path) as file:
            return list(file.schema_arrow.names)
    except _damage() as error:
        raise _unreadable(path, error) from error


def read_chunks(path: Path, columns: list[str], separator: str, sheet: str | None = None) -> Iterator[Chunk]:
    """Read the rows of a file.

    Parameters
    ----------
    path : Path
        File.
    columns : list of str
        What `read_columns` returned.
    separator : str
        Between the fields of a CSV file.
    sheet : str, optional
        Of a workbook with several.

    Yields
    ------
    Chunk
        In file order; the line of a Parquet file's row is its number, counted from 1; of a workbook's row, its number
        in the sheet.

    Raises
    ------
    SourceError
        If a Parquet file or a workbook is damaged.

    """
    if is_workbook(path):
        yield from read_sheet(path, sheet)
        return
    if not _is_parquet(path):
        yield from read_lines(path, columns, separator)
        return
    try:
        with _opened(path) as file:
            first_line = 1
            for batch in file.iter_batches(_ROWS):
                batch.validate(full=True)  # of texts: Polars would take them as they are
                part = pl.DataFrame(batch)
                lines = pl.int_range(first_line, first_line + part.height, dtype=pl.UInt32(), eager=True).alias(LINE)
                first_line += part.height
                yield Chunk(part.insert_column(0, lines), pl.DataFrame(schema=UNFIT_SCHEMA))
    except _damage() as error:
        raise _unreadable(path, error) from error


def line_text(fields: pl.DataFrame, separator: str) -> pl.Series:
    """Give rows as the lines they were.

    Parameters
    ----------
    fields : polars.DataFrame
        Of a `Chunk`.
    separator : str
        Between the fields.

    Returns
    -------
    polars.Series
        Text, cut; of a Parquet row, its plain values separated by commas.

    """
    if TEXT in fields.columns:
        return fields[TEXT].str.head(MAX_TEXT)
    plain = [name for name, dtype in fields.schema.items() if name != LINE and not dtype.is_nested()]
    columns = [pl.col(name).cast(pl.String, strict=False).fill_null("") for name in plain]
    return fields.select(pl.concat_str(columns, separator=separator).str.head(MAX_TEXT)).to_series()


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def _opened(path: Path) -> pq.ParquetFile:
    """Open a Parquet file by Arrow: Polars ends the process where a damaged one asks for more memory than there is."""
    from pyarrow import parquet as pq  # noqa: PLC0415 -- only where a file is read

    return pq.ParquetFile(path)


def _damage() -> tuple[type[BaseException], ...]:
    """List what is raised of damage; of some Polars panics, which is no Exception."""
    import pyarrow as pa  # noqa: PLC0415 -- only where a file is read

    return (
        *(pa.ArrowException, OSError, MemoryError, UnicodeError),
        *(pl.exceptions.PolarsError, pl.exceptions.PanicException),
    )


def _unreadable(path: Path, error: BaseException) -> SourceError:
    return SourceError(
        f"cannot be read as Parquet: {error}", where=str(path), next_step="check the file, it may be cut off"
    )
