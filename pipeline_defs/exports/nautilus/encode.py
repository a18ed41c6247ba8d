"""Frames of bars to Nautilus' columns, whole columns at a time.

Nautilus keeps prices and quantities as 16-byte fixed point: the little-endian two's complement of
value x 10^16. That is, byte for byte, what Arrow's and Polars' decimal(38, 16) holds, so encoding is
one decimal cast and a view of its buffer. A frame is encoded once; the tables of `files` are slices of it.

Schemas come from the installed Nautilus, never from a copy, so importing this module imports Nautilus
(1.7 s). What a slice or a contract means is not this module's business.
"""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, Final

import polars as pl
import pyarrow as pa
from nautilus_trader.core import nautilus_pyo3
from nautilus_trader.model import data, instruments
from nautilus_trader.serialization.arrow.serializer import get_schema

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.nautilus.checks import PRICES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FIXED_PRECISION: Final = 16
FIXED_BYTES: Final = 16

VALUES: Final = (*PRICES, "volume")
TIMES: Final = ("ts_event", "ts_init")


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
    columns = {name: fixed_point(bars[name]) for name in VALUES} | _times(bars)
    schema = engine_schema("Bar")
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def encode_open_interest(bars: pl.DataFrame) -> pa.Table:
    """Encode open interest of options as greeks rows without greeks (NaN).

    Parameters
    ----------
    bars : polars.DataFrame
        `BAR_SCHEMA` and `engine_id`; `open_interest` not null.

    Returns
    -------
    pyarrow.Table
        Nautilus' schema of `OptionGreeks`, without the metadata that names an instrument; rows as in
        `bars`.

    """
    schema = engine_schema("OptionGreeks")
    columns: dict[str, pa.Array] = {
        "instrument_id": bars["engine_id"].rechunk().to_arrow().cast(pa.string()),
        "convention": pa.repeat(pa.scalar("BLACK_SCHOLES"), bars.height),
        "open_interest": bars["open_interest"].cast(pl.Float64).rechunk().to_arrow(),
        **_times(bars),
    }
    unknown = pa.repeat(pa.scalar(float("nan"), pa.float64()), bars.height)
    arrays = [
        columns[field.name]
        if field.name in columns
        else pa.nulls(bars.height, field.type)
        if field.nullable
        else unknown
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema.remove_metadata())


def greeks_metadata(instrument_id: str) -> dict[str, str]:
    """Write what Nautilus reads from the metadata of a greeks file.

    Parameters
    ----------
    instrument_id : str
        Nautilus' name.

    Returns
    -------
    dict

    """
    return {"instrument_id": instrument_id, "type": "OptionGreeks"}


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


def _times(bars: pl.DataFrame) -> dict[str, pa.Array]:
    nanoseconds = bars["timestamp"].dt.epoch("ns").cast(pl.UInt64).rechunk().to_arrow()
    return dict.fromkeys(TIMES, nanoseconds)
