"""A file as a sequence of frames of bounded size, whatever its format.

CSV gives text; Parquet gives the types it has. What a value means belongs to the modules after this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import SourceError
from pipeline_defs.sources.manual_csv.lines import LINE, TEXT, UNFIT_SCHEMA, Chunk, read_header, read_lines
from pipeline_defs.sources.manual_csv.reasons import MAX_TEXT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENDINGS: Final = (".csv", ".parquet")
"""Of the names of files that are read."""

_ROWS: Final = 1 << 17


def read_columns(path: Path, separator: str) -> list[str]:
    """Name the columns of a file.

    Parameters
    ----------
    path : Path
        CSV file, or a Parquet file by its ending.
    separator : str
        Between the fields of a CSV file.

    Returns
    -------
    list of str
        Empty for an empty CSV file.

    Raises
    ------
    SourceError
        If there is no header, or the Parquet file cannot be read.

    """
    if not _is_parquet(path):
        return read_header(path, separator)
    try:
        return list(pl.read_parquet_schema(path))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(path, error) from error


def read_chunks(path: Path, columns: list[str], separator: str) -> Iterator[Chunk]:
    """Read the rows of a file.

    Parameters
    ----------
    path : Path
        File.
    columns : list of str
        What `read_columns` returned.
    separator : str
        Between the fields of a CSV file.

    Yields
    ------
    Chunk
        In file order; the line of a Parquet file's row is its number, counted from 1.

    Raises
    ------
    SourceError
        If a Parquet file is damaged.

    """
    if not _is_parquet(path):
        yield from read_lines(path, columns, separator)
        return
    try:
        rows = pl.scan_parquet(path).select(pl.len()).collect().item()
        for offset in range(0, rows, _ROWS):
            part = pl.scan_parquet(path).slice(offset, _ROWS).collect()
            lines = pl.int_range(offset + 1, offset + 1 + part.height, dtype=pl.UInt32(), eager=True).alias(LINE)
            yield Chunk(part.insert_column(0, lines), pl.DataFrame(schema=UNFIT_SCHEMA))
    except (pl.exceptions.PolarsError, OSError) as error:
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
        Text, cut; of a Parquet row, its values separated by commas.

    """
    if TEXT in fields.columns:
        return fields[TEXT].str.head(MAX_TEXT)
    columns = [pl.col(name).cast(pl.String).fill_null("") for name in fields.columns if name != LINE]
    return fields.select(pl.concat_str(columns, separator=separator).str.head(MAX_TEXT)).to_series()


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def _unreadable(path: Path, error: Exception) -> SourceError:
    return SourceError(
        f"cannot be read as Parquet: {error}", where=str(path), next_step="check the file, it may be cut off"
    )
