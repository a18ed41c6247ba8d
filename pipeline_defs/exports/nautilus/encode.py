"""Frames of bars to Nautilus' Parquet files, whole columns at a time.

Nautilus keeps prices and quantities as 16-byte fixed point: the little-endian two's complement of
value x 10^16. That is, byte for byte, what Arrow's and Polars' decimal(38, 16) holds, so encoding is
one decimal cast and a view of its buffer. A frame is encoded once; files are slices of it.

Schemas come from the installed Nautilus, never from a copy, so importing this module imports Nautilus
(1.7 s). What a slice or a contract means is not this module's business.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from nautilus_trader.core import nautilus_pyo3
from nautilus_trader.model import data, instruments
from nautilus_trader.serialization.arrow.serializer import get_schema

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.nautilus.checks import PRICES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FIXED_PRECISION: Final = 16
FIXED_BYTES: Final = 16

_VALUES: Final = (*PRICES, "volume")
_TIMES: Final = ("ts_event", "ts_init")

BAR_OPTIONS: Final[dict[str, Any]] = {
    "compression": "snappy",
    "use_dictionary": list(_VALUES),
    "column_encoding": dict.fromkeys(_TIMES, "DELTA_BINARY_PACKED"),
    "write_statistics": ["ts_init"],
    "row_group_size": 131_072,
}
"""Measured on 7,500 and 375 option bars a file, against Nautilus' own options: 32 and 55 percent of the
bytes for 57 and 80 percent of the CPU; zstd saves another tenth of the bytes for a quarter more CPU."""

GREEKS_OPTIONS: Final[dict[str, Any]] = {
    "compression": "snappy",
    "use_dictionary": ["instrument_id", "convention", "delta", "gamma", "vega", "theta", "rho", "open_interest"],
    "column_encoding": dict.fromkeys(_TIMES, "DELTA_BINARY_PACKED"),
    "write_statistics": ["ts_init"],
    "row_group_size": 131_072,
}

ROW_OPTIONS: Final[dict[str, Any]] = {
    "compression": "none",
    "use_dictionary": False,
    "write_statistics": False,
    "store_schema": False,
}
"""For files of one row with `stored_schema`: a third of the CPU of the defaults, and half of the bytes."""


@functools.cache
def engine_schema(class_name: str) -> pa.Schema:
    """Look up the Arrow schema that the installed Nautilus writes for a class.

    Parameters
    ----------
    class_name : str
        ``Bar``, ``OptionGreeks``, or the class of an instrument.

    Returns
    -------
    pyarrow.Schema

    Raises
    ------
    ExportError
        If the installed build keeps other than 16 bytes at 16 decimals.

    """
    built = (nautilus_pyo3.FIXED_PRECISION, nautilus_pyo3.PRECISION_BYTES)
    if built != (FIXED_PRECISION, FIXED_BYTES):
        raise ExportError(
            f"this Nautilus keeps prices in {built[1]} bytes at {built[0]} decimals, "
            f"expected {FIXED_BYTES} bytes at {FIXED_PRECISION}",
            next_step="install a high-precision build, as on Linux and macOS",
        )
    return get_schema(getattr(data, class_name, None) or getattr(instruments, class_name))


def schema_fingerprint(class_names: Iterable[str]) -> str:
    """Digest the schemas of classes, to notice a Nautilus with another format.

    Parameters
    ----------
    class_names : iterable of str
        As for `engine_schema`; their order does not matter.

    Returns
    -------
    str
        Hexadecimal SHA-256.

    """
    digest = hashlib.sha256()
    for class_name in sorted(class_names):
        digest.update(f"{class_name}\n{engine_schema(class_name).to_string(show_schema_metadata=False)}\n".encode())
    return digest.hexdigest()


def fixed_point(values: pl.Series) -> pa.Array:
    """Encode prices or quantities as Nautilus' fixed point.

    Parameters
    ----------
    values : polars.Series
        Decimal of at most 16 decimals and 22 integer digits, or integers of 64 bits; no nulls.

    Returns
    -------
    pyarrow.Array
        fixed_size_binary[16].

    Raises
    ------
    ExportError
        If a value is missing.

    """
    if values.null_count() > 0:
        raise ExportError(f"column {values.name} has {values.null_count()} missing values, expected none")
    if values.dtype.is_integer():
        values = values.cast(pl.Decimal(19, 0))
    decimals = values.cast(pl.Decimal(38, FIXED_PRECISION)).rechunk().to_arrow()
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(FIXED_BYTES), len(decimals), [None, decimals.buffers()[1]], offset=decimals.offset
    )


def encode_bars(bars: pl.DataFrame) -> pa.Table:
    """Encode a frame of bars, stamped at their close in both of Nautilus' times.

    Parameters
    ----------
    bars : polars.DataFrame
        `BAR_SCHEMA`, checked.

    Returns
    -------
    pyarrow.Table
        Nautilus' bar schema, without the metadata that names an instrument; rows as in `bars`.

    """
    columns = {name: fixed_point(bars[name]) for name in _VALUES} | _times(bars)
    schema = engine_schema("Bar")
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def encode_open_interest(bars: pl.DataFrame, instrument_id: str) -> pa.Table:
    """Encode the open interest of one option as greeks rows without greeks (NaN).

    Parameters
    ----------
    bars : polars.DataFrame
        `BAR_SCHEMA`, one option, `open_interest` not null.
    instrument_id : str
        The option's Nautilus id.

    Returns
    -------
    pyarrow.Table
        Nautilus' schema of `OptionGreeks`, with the metadata of its files.

    """
    schema = engine_schema("OptionGreeks")
    unknown = pa.repeat(pa.scalar(float("nan"), pa.float64()), bars.height)
    columns: dict[str, pa.Array] = {
        "instrument_id": pa.repeat(pa.scalar(instrument_id), bars.height),
        "convention": pa.repeat(pa.scalar("BLACK_SCHOLES"), bars.height),
        "open_interest": bars["open_interest"].cast(pl.Float64).to_arrow(),
        **_times(bars),
    }
    arrays = [
        columns[field.name]
        if field.name in columns
        else pa.nulls(bars.height, field.type)
        if field.nullable
        else unknown
        for field in schema
    ]
    metadata = {"instrument_id": instrument_id, "type": "OptionGreeks"}
    return pa.Table.from_arrays(arrays, schema=schema.with_metadata(metadata))


def bar_metadata(bar_type: str, instrument_id: str, price_precision: int) -> dict[str, str]:
    """Write what Nautilus reads from the metadata of a bar file.

    Parameters
    ----------
    bar_type, instrument_id : str
        Nautilus' names.
    price_precision : int
        Decimals of prices; quantities are whole units.

    Returns
    -------
    dict

    """
    return {
        "bar_type": bar_type,
        "instrument_id": instrument_id,
        "price_precision": str(price_precision),
        "size_precision": "0",
    }


def instrument_slices(bars: pl.DataFrame) -> Iterator[tuple[int, int, int]]:
    """Find where each instrument's rows lie in a frame sorted by instrument.

    Parameters
    ----------
    bars : polars.DataFrame
        With `instrument_id`, sorted by it.

    Yields
    ------
    tuple of int
        `instrument_id`, offset of its first row, number of rows.

    """
    runs = bars.select(pl.col("instrument_id").rle()).unnest("instrument_id")
    offsets = runs["len"].cum_sum() - runs["len"]
    yield from zip(runs["value"].to_list(), offsets.to_list(), runs["len"].to_list(), strict=True)


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
    properties = dict(options)
    row_group_size = properties.pop("row_group_size", None)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, **properties) as writer:
        writer.write_table(table, row_group_size=row_group_size)
        if metadata is not None:
            writer.add_key_value_metadata(metadata)
    return sink.getvalue()


@functools.cache
def stored_schema(class_name: str) -> dict[str, str]:
    """Write a class's schema as the metadata in which Arrow looks for it on reading.

    A file of plain strings that declares them as dictionaries reads like one that was written from
    dictionaries, which takes three times as long.

    Parameters
    ----------
    class_name : str
        As for `engine_schema`.

    Returns
    -------
    dict
        ``ARROW:schema`` and the metadata of Nautilus' instrument files.

    """
    metadata = {"class": class_name}
    schema = engine_schema(class_name).with_metadata(metadata)
    return metadata | {"ARROW:schema": base64.b64encode(schema.serialize()).decode("ascii")}


def _times(bars: pl.DataFrame) -> dict[str, pa.Array]:
    nanoseconds = bars["timestamp"].dt.epoch("ns").cast(pl.UInt64).rechunk().to_arrow()
    return dict.fromkeys(_TIMES, nanoseconds)
