"""The format of the installed Nautilus 1.231: 16-byte fixed point, integers for times.

Schemas and folder names come from the installed Nautilus, never from a copy, so importing this module imports Nautilus
(1.7 s).
"""

from __future__ import annotations

import base64
import functools
from typing import TYPE_CHECKING, ClassVar, Final

import nautilus_trader
import pyarrow as pa
from nautilus_trader.core import nautilus_pyo3
from nautilus_trader.model import data, instruments
from nautilus_trader.persistence.funcs import class_to_filename
from nautilus_trader.serialization.arrow.serializer import get_schema

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.nautilus.files import row_files
from pipeline_defs.exports.nautilus.targets import FIXED_BYTES, FIXED_PRECISION, Target

if TYPE_CHECKING:
    import polars as pl


def _class_of(class_name: str) -> type:
    found: type = getattr(data, class_name, None) or getattr(instruments, class_name)
    return found


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
    return get_schema(_class_of(class_name)).remove_metadata()


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


class Target1(Target):
    """What Nautilus 1.231 reads."""

    name = "1.231"
    engine = f"nautilus_trader {nautilus_trader.__version__}"
    has_index_prices = False

    _METADATA: ClassVar[dict[str, tuple[str, ...]]] = {
        "Bar": ("bar_type", "instrument_id", "price_precision", "size_precision"),
        "OptionGreeks": ("instrument_id", "type"),
    }
    _TICK_METADATA: Final = ("instrument_id", "price_precision", "size_precision")

    def schema(self, class_name: str) -> pa.Schema:  # noqa: D102 -- the port says it
        return engine_schema(class_name)

    def folder(self, class_name: str) -> str:  # noqa: D102 -- the port says it
        name: str = class_to_filename(_class_of(class_name))
        return name

    def metadata(  # noqa: D102 -- the port says it
        self, class_name: str, instrument_id: str, precisions: tuple[int, int], bar_type: str
    ) -> dict[str, str]:
        known = {
            "bar_type": bar_type,
            "instrument_id": instrument_id,
            "price_precision": str(precisions[0]),
            "size_precision": str(precisions[1]),
            "type": class_name,
        }
        return {name: known[name] for name in self._METADATA.get(class_name, self._TICK_METADATA)}

    def instrument_files(self, class_name: str, rows: pl.DataFrame) -> list[bytes]:  # noqa: D102 -- the port says it
        schema = self.schema(class_name)
        plain = pa.schema([field.with_type(_plain(field.type)) for field in schema])
        table = rows.select(schema.names).to_arrow().cast(plain).combine_chunks()
        return row_files(table, stored_schema(class_name))


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
