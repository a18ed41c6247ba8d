"""Tables to Parquet files in memory: with which options, measured, and always the same bytes.

Which tables, and where their files go, is not this module's business. Arrow only.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

TIMES: Final = ("ts_event", "ts_init")


def _series_options(*dictionaries: str, **encodings: str) -> dict[str, Any]:
    return {
        "compression": "snappy",
        "use_dictionary": list(dictionaries),
        "column_encoding": dict.fromkeys(TIMES, "DELTA_BINARY_PACKED") | encodings,
        "write_statistics": ["ts_init"],
        "row_group_size": 131_072,
    }


BAR_OPTIONS: Final = _series_options("open", "high", "low", "close", "volume")
"""Measured on 7,500 and 375 option bars a file, against Nautilus' own options: 32 and 55 percent of the
bytes for 57 and 80 percent of the CPU; zstd saves another tenth of the bytes for a fifth more CPU."""

SERIES_OPTIONS: Final = {
    "Bar": BAR_OPTIONS,
    "TradeTick": _series_options("price", "size", "aggressor_side", trade_id="DELTA_BYTE_ARRAY"),
    "QuoteTick": _series_options("bid_price", "ask_price", "bid_size", "ask_size"),
    "OptionGreeks": _series_options("instrument_id", "convention", "delta", "gamma", "vega", "theta", "rho"),
    "IndexPriceUpdate": _series_options("value"),
}
"""By class. Columns that a target's schema does not have are passed over."""

ROW_OPTIONS: Final[dict[str, Any]] = {
    "compression": "none",
    "use_dictionary": False,
    "write_statistics": False,
    "store_schema": False,
}
"""For files of one row with `stored_schema`: a third of the CPU of the defaults, and fewer bytes."""


_BY_COLUMN: Final = {"use_dictionary", "column_encoding", "write_statistics"}
_SMALLEST_INTEGER: Final = 4
"""Parquet keeps integers of 8 and 16 bits in 4 bytes."""


def parquet_file(table: pa.Table, options: dict[str, Any], metadata: dict[str, str] | None = None) -> pa.Buffer:
    """Write a table as a Parquet file in memory.

    Parquet writes page by page; one write of the whole file to disk costs half of the CPU of many.

    Parameters
    ----------
    table : pyarrow.Table
        What to write; its metadata is part of the format.
    options : dict
        Arguments of `pyarrow.parquet.ParquetWriter`, and `row_group_size`.
    metadata : dict, optional
        Further metadata of the file.

    Returns
    -------
    pyarrow.Buffer
        The same bytes for the same table, always.

    """
    properties = {
        name: _of_columns(value, table.column_names) if name in _BY_COLUMN else value for name, value in options.items()
    }
    row_group_size = properties.pop("row_group_size", None)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, **properties) as writer:
        writer.write_table(table, row_group_size=row_group_size)
        if metadata is not None:
            writer.add_key_value_metadata(metadata)
    return sink.getvalue()


def row_files(table: pa.Table, metadata: dict[str, str]) -> list[bytes]:
    """Write every row of a table as a Parquet file of its own.

    Files of one row, plain and without statistics, differ only in their values when these are of equal
    lengths. So one file of each shape is written and the values of the others are put into copies of it,
    which takes a fiftieth of the CPU of writing each.

    Parameters
    ----------
    table : pyarrow.Table
        Strings, binaries and unsigned integers.
    metadata : dict
        Further metadata of every file.

    Returns
    -------
    list of bytes
        In the order of the rows; each what `parquet_file` gives for that row.

    """
    columns = [column.combine_chunks() for column in table.columns]
    # A null has no length and no bytes, hence a shape of its own.
    shapes = np.column_stack([_lengths(column) for column in columns])
    _, firsts, shape_of_row = np.unique(shapes, axis=0, return_index=True, return_inverse=True)
    files: list[bytes] = [b""] * table.num_rows
    for shape, first in enumerate(firsts):
        rows = np.flatnonzero(shape_of_row == shape)
        template = parquet_file(table.slice(int(first), 1), ROW_OPTIONS, metadata)
        chunks = pq.read_metadata(pa.BufferReader(template)).row_group(0)
        copies = np.tile(np.frombuffer(template, dtype=np.uint8), (len(rows), 1))
        for number, column in enumerate(columns):
            length = int(shapes[first, number])
            if length > 0:
                chunk = chunks.column(number)
                # The one value is the last thing in its column's only page.
                end = chunk.data_page_offset + chunk.total_compressed_size
                copies[:, end - length : end] = _bytes_of(column.take(pa.array(rows)), length)
        for row, copy in zip(rows.tolist(), copies, strict=True):
            files[row] = copy.tobytes()
    return files


def _of_columns(value: Any, names: list[str]) -> Any:  # noqa: ANN401 -- an option of Parquet's writer
    """Keep what an option says of the columns that are there."""
    if isinstance(value, dict):
        return {name: of_column for name, of_column in value.items() if name in names}
    return [name for name in value if name in names] if isinstance(value, list) else value


def _lengths(column: pa.Array) -> npt.NDArray[np.int64]:
    if pa.types.is_integer(column.type):
        return np.full(len(column), max(column.type.bit_width // 8, _SMALLEST_INTEGER), dtype=np.int64)
    lengths = pc.binary_length(column).fill_null(-1)
    return np.asarray(lengths.to_numpy(zero_copy_only=False), dtype=np.int64)


def _bytes_of(values: pa.Array, length: int) -> npt.NDArray[np.uint8]:
    """Lay out equally long values as the rows of a matrix."""
    if pa.types.is_integer(values.type):
        numbers = np.asarray(values.to_numpy(), dtype=f"<u{length}")
        return numbers.view(np.uint8).reshape(len(values), length)
    joined = b"".join(values.cast(pa.binary()).to_pylist())
    return np.frombuffer(joined, dtype=np.uint8).reshape(len(values), length)
