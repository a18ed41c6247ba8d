"""A catalog through the decoder of Nautilus 1.231, back into Arrow, without touching single rows in Python.

Only reading belongs here: what the values must be is the business of `compare`. Importing this module
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
from nautilus_trader.model.data import Bar, OptionGreeks, QuoteTick, TradeTick, capsule_to_list
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from pipeline_defs.exports.nautilus.compare import DECODED
from pipeline_defs.exports.nautilus.targets import FIXED_BYTES, FIXED_PRECISION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["DECODED", "CatalogReading"]

_CLASSES: Final = {"Bar": Bar, "TradeTick": TradeTick, "QuoteTick": QuoteTick, "OptionGreeks": OptionGreeks}
_ENCODERS: Final[dict[str, Callable[[list[Any]], bytes]]] = {
    "Bar": nautilus_pyo3.bars_to_arrow_record_batch_bytes,
    "TradeTick": nautilus_pyo3.trades_to_arrow_record_batch_bytes,
    "QuoteTick": nautilus_pyo3.quotes_to_arrow_record_batch_bytes,
    "OptionGreeks": nautilus_pyo3.option_greeks_to_arrow_record_batch_bytes,
}
"""Nautilus' own way from objects to Arrow, in which no object is touched in Python."""


class CatalogReading:
    """What Nautilus 1.231 reads from a catalog that it opens as a user does, ``ParquetDataCatalog(path)``.

    Parameters
    ----------
    root : Path
        The catalog.

    """

    def __init__(self, root: Path) -> None:
        self.catalog = ParquetDataCatalog(str(root.resolve()))

    def instruments(self) -> list[dict[str, Any]]:
        """Give the instruments, see `compare.Reading`."""
        found = self.catalog.instruments()
        return [type(one).to_dict(one) | {"class_name": type(one).__name__} for one in found]

    def series(self, class_name: str) -> Iterator[tuple[str, pl.DataFrame]]:
        """Decode the files of a class one after the other, see `compare.Reading`."""
        if class_name not in _CLASSES:
            return
        data_class = _CLASSES[class_name]
        for file in self.catalog.get_file_list_from_data_cls(data_class):
            folder = PurePosixPath(file).parent.name
            # The last file said is the one that stopped the process.
            sys.stderr.write(f"reading {folder}\n")
            yield folder, _decode(self.catalog, class_name, data_class, file)

    def bar_types_at(self, instant_ns: int) -> set[str]:
        """Query the bars of all instruments at one instant, see `compare.Reading`."""
        return {str(bar.bar_type) for bar in self.catalog.query(Bar, start=instant_ns, end=instant_ns)}


def _decode(catalog: ParquetDataCatalog, class_name: str, data_class: type, file: str) -> pl.DataFrame:
    rows: list[Any] = []
    for chunk in catalog.backend_session(data_class, files=[file]).to_query_result():
        if class_name == "OptionGreeks":
            rows.extend(chunk or ())
        else:
            rows.extend(capsule_to_list(chunk))
            nautilus_pyo3.drop_cvec_pycapsule(chunk)
    if not rows:
        return pl.DataFrame()
    # Greeks come as objects of the Rust side already.
    native = rows if class_name == "OptionGreeks" else data_class.to_pyo3_list(rows)  # type: ignore[attr-defined]
    return to_frame(_ENCODERS[class_name](native), "bar_type" if class_name == "Bar" else "instrument_id")


def to_frame(encoded: bytes, identifier: str) -> pl.DataFrame:
    """View what Nautilus encoded as a frame.

    Parameters
    ----------
    encoded : bytes
        A stream of Arrow record batches.
    identifier : str
        Key of the metadata, or column, that names the series.

    Returns
    -------
    polars.DataFrame
        With `identifier`; fixed point as `DECODED`, times as Int64.

    """
    table = pa.ipc.open_stream(BytesIO(encoded)).read_all().combine_chunks()
    columns = {name: _decoded(table.column(name)) for name in table.column_names}
    name = (table.schema.metadata or {}).get(identifier.encode())
    told = pl.col(identifier) if name is None else pl.lit(name.decode())
    return pl.DataFrame(columns).with_columns(pl.col("ts_event", "ts_init").cast(pl.Int64), identifier=told)


def _decoded(column: pa.ChunkedArray) -> pl.Series:
    """View fixed point as the decimal that it is, byte for byte."""
    if column.type != pa.binary(FIXED_BYTES):
        return pl.Series(column)
    values = column.combine_chunks()
    buffers = [None, values.buffers()[1]]
    return pl.Series(
        pa.Array.from_buffers(pa.decimal128(38, FIXED_PRECISION), len(values), buffers, offset=values.offset)
    )
