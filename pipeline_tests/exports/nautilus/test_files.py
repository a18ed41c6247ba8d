from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline_defs.exports.nautilus import encode, files
from pipeline_tests.exports.nautilus.slices import bars_of


def test_the_same_table_gives_the_same_bytes() -> None:
    table = encode.encode_bars(bars_of(1, Decimal(100), Decimal("0.05")))
    written = {files.parquet_file(table, files.BAR_OPTIONS).to_pybytes() for _ in range(3)}
    assert len(written) == 1
    assert pq.read_table(pa.BufferReader(written.pop())) == table


def test_plain_strings_read_as_the_dictionaries_that_the_stored_schema_declares() -> None:
    schema = encode.engine_schema("IndexInstrument").with_metadata({"class": "IndexInstrument"})
    plain = [field.with_type(pa.string()) if pa.types.is_dictionary(field.type) else field for field in schema]
    table = pa.Table.from_pylist([{"id": "NIFTY.NSE", "price_precision": 2, "info": b"{}"}], schema=pa.schema(plain))
    file = files.parquet_file(table, files.ROW_OPTIONS, files.stored_schema("IndexInstrument"))
    read = pq.read_table(pa.BufferReader(file))
    assert read.schema.equals(schema, check_metadata=True)
    assert read.to_pylist() == table.to_pylist()
