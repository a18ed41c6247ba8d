"""Reads a catalog through Nautilus' own decoder, back into Arrow, without touching single bars in Python.

Only reading belongs here: what the values must be is the business of `verify`. Importing this module
imports Nautilus; a file that it cannot decode aborts the process.
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pyarrow as pa
from nautilus_trader.core import nautilus_pyo3
from nautilus_trader.model.data import Bar, OptionGreeks, capsule_to_list

from pipeline_defs.exports.nautilus.encode import FIXED_BYTES, FIXED_PRECISION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nautilus_trader.persistence.catalog import ParquetDataCatalog

DECODED: Final = pl.Decimal(38, FIXED_PRECISION)
"""Type of decoded prices and volumes."""


def bar_files(catalog: ParquetDataCatalog) -> Iterator[tuple[str, pl.DataFrame]]:
    """Decode the bars of a catalog, one file after the other.

    Parameters
    ----------
    catalog : ParquetDataCatalog
        The catalog.

    Yields
    ------
    tuple
        The folder's name, and a frame as of `bars_to_frame`.

    """
    for file in _files(catalog, Bar):
        bars: list[Bar] = []
        for chunk in catalog.backend_session(Bar, files=[file]).to_query_result():
            bars.extend(capsule_to_list(chunk))
            nautilus_pyo3.drop_cvec_pycapsule(chunk)
        yield _folder(file), bars_to_frame(bars)


def bars_to_frame(bars: list[Bar]) -> pl.DataFrame:
    """Turn decoded bars of one type into columns.

    Parameters
    ----------
    bars : list of Bar
        Of one bar type.

    Returns
    -------
    polars.DataFrame
        `bar_type`, `open`, `high`, `low`, `close`, `volume` (`DECODED`), `ts_event`, `ts_init`
        (nanoseconds); in the order of `bars`. Empty without columns when there are none.

    """
    if not bars:
        return pl.DataFrame()
    encoded = nautilus_pyo3.bars_to_arrow_record_batch_bytes(Bar.to_pyo3_list(bars))
    table = pa.ipc.open_stream(BytesIO(encoded)).read_all().combine_chunks()
    columns = {name: _decoded(table.column(name)) for name in table.column_names}
    return pl.DataFrame(columns).with_columns(bar_type=pl.lit(table.schema.metadata[b"bar_type"].decode()))


def greeks_files(catalog: ParquetDataCatalog) -> Iterator[tuple[str, pl.DataFrame]]:
    """Decode the option greeks of a catalog, one file after the other.

    Parameters
    ----------
    catalog : ParquetDataCatalog
        The catalog.

    Yields
    ------
    tuple
        The folder's name, and a frame with Nautilus' columns of `OptionGreeks`.

    """
    for file in _files(catalog, OptionGreeks):
        rows: list[Any] = []
        for chunk in catalog.backend_session(OptionGreeks, files=[file]).to_query_result():
            rows.extend(chunk or ())
        encoded = nautilus_pyo3.option_greeks_to_arrow_record_batch_bytes(rows)
        yield _folder(file), pl.DataFrame(pa.ipc.open_stream(BytesIO(encoded)).read_all())


def _files(catalog: ParquetDataCatalog, data_class: type) -> Iterator[str]:
    """List files, saying each before it is read: the last one said is the one that stopped the process."""
    for file in catalog.get_file_list_from_data_cls(data_class):
        sys.stderr.write(f"reading {_folder(file)}\n")
        yield file


def _decoded(column: pa.ChunkedArray) -> pl.Series:
    """View fixed point as the decimal that it is, byte for byte."""
    if column.type != pa.binary(FIXED_BYTES):
        return pl.Series(column)
    values = column.combine_chunks()
    buffers = [None, values.buffers()[1]]
    return pl.Series(
        pa.Array.from_buffers(pa.decimal128(38, FIXED_PRECISION), len(values), buffers, offset=values.offset)
    )


def _folder(file: str) -> str:
    return PurePosixPath(file).parent.name
