"""Files back to frames, in bounded pieces, by another library than the one that wrote them.

What Polars has written as CSV, Arrow parses; what Arrow has written as Parquet, Polars decodes: no mistake of either is
confirmed by itself.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.generic.writing import ROW_GROUP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_BLOCK_BYTES: Final = 1 << 22


def reader_version(file_format: str) -> str:
    """Name the library that reads a format back.

    Parameters
    ----------
    file_format : str
        ``csv`` or ``parquet``.

    Returns
    -------
    str
        E.g. ``pyarrow 26.0.0``.

    """
    return f"pyarrow {version('pyarrow')}" if file_format == "csv" else f"polars {pl.__version__}"


def read_csv(path: Path, schema: dict[str, pl.DataType]) -> Iterator[pl.DataFrame]:
    """Read a CSV file.

    Parameters
    ----------
    path : Path
        File.
    schema : dict
        Columns that it must have.

    Yields
    ------
    polars.DataFrame
        With the schema.

    Raises
    ------
    ExportError
        If the file's columns are others, or a value is not of its column's type.

    """
    with path.open("rb") as file:
        header = file.readline().decode("utf-8", "replace").rstrip("\n").split(",")
        # Nothing but a header is no CSV to Arrow.
        is_empty = not file.read(1)
    _refuse_columns(path, header, list(schema))
    if is_empty:
        yield pl.DataFrame(schema=schema)
        return
    types = {field.name: _plain(field.type) for field in pl.DataFrame(schema=schema).to_arrow().schema}
    options = pa_csv.ConvertOptions(
        column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    try:
        with pa_csv.open_csv(
            path, read_options=pa_csv.ReadOptions(block_size=_BLOCK_BYTES), convert_options=options
        ) as reader:
            yield pl.DataFrame(schema=schema)  # of blank lines alone there is no batch
            for batch in reader:
                yield pl.DataFrame(batch).cast(pl.Schema(schema))
    except pa.ArrowException as error:
        raise ExportError(f"cannot be read as its columns' types: {error}", where=path.name) from error


def read_parquet(path: Path, schema: dict[str, pl.DataType]) -> Iterator[pl.DataFrame]:
    """Read a Parquet file.

    Parameters
    ----------
    path : Path
        File.
    schema : dict
        Columns that it must have.

    Yields
    ------
    polars.DataFrame
        With the schema.

    Raises
    ------
    ExportError
        If the file is damaged, or its columns or their types are others.

    """
    try:
        found = pl.read_parquet_schema(path)
        _refuse_columns(path, list(found), list(schema))
        for name, dtype in schema.items():
            if found[name] != dtype:
                raise ExportError(f"column {name} has the type {found[name]}, expected {dtype}", where=path.name)
        rows = pl.scan_parquet(path).select(pl.len()).collect().item()
        yield pl.DataFrame(schema=schema)
        for offset in range(0, rows, ROW_GROUP):
            yield pl.scan_parquet(path).slice(offset, ROW_GROUP).collect()
    # Of some damage Polars panics, which is no Exception.
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise ExportError(f"cannot be read as Parquet: {error}", where=path.name) from error


READERS: Final[dict[str, Callable[[Path, dict[str, pl.DataType]], Iterator[pl.DataFrame]]]] = {
    "csv": read_csv,
    "parquet": read_parquet,
}
"""By file format."""


def _plain(arrow: pa.DataType) -> pa.DataType:
    """Replace Polars' own kind of strings, which Arrow does not parse into."""
    return pa.string() if pa.types.is_large_string(arrow) or pa.types.is_string_view(arrow) else arrow


def _refuse_columns(path: Path, found: list[str], expected: list[str]) -> None:
    if found != expected:
        missing = [name for name in expected if name not in found]
        raise ExportError(
            f"has the columns {', '.join(found)}, expected {', '.join(expected)}"
            + (f"; missing: {', '.join(missing)}" if missing else ""),
            where=path.name,
        )
