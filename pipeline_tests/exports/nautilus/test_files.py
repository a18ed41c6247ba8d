from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.exports.nautilus import encode, files, target_1
from pipeline_tests.exports.nautilus.slices import bars_of


def test_the_same_table_gives_the_same_bytes() -> None:
    table = encode.encode_bars(bars_of(1, Decimal(100), Decimal("0.05")), target_1.engine_schema("Bar"))
    written = {files.parquet_file(table, files.BAR_OPTIONS).to_pybytes() for _ in range(3)}
    assert len(written) == 1
    assert pq.read_table(pa.BufferReader(written.pop())) == table


def test_plain_strings_read_as_the_dictionaries_that_the_stored_schema_declares() -> None:
    schema = target_1.engine_schema("IndexInstrument").with_metadata({"class": "IndexInstrument"})
    plain = [field.with_type(pa.string()) if pa.types.is_dictionary(field.type) else field for field in schema]
    table = pa.Table.from_pylist([{"id": "NIFTY.NSE", "price_precision": 2, "info": b"{}"}], schema=pa.schema(plain))
    file = files.parquet_file(table, files.ROW_OPTIONS, target_1.stored_schema("IndexInstrument"))
    read = pq.read_table(pa.BufferReader(file))
    assert read.schema.equals(schema, check_metadata=True)
    assert read.to_pylist() == table.to_pylist()


TEXTS = st.text(max_size=3) | st.sampled_from(["NIFTY", "SENSEX", "निफ्टी"]) | st.none()


@given(
    st.lists(
        st.tuples(TEXTS, st.binary(max_size=3) | st.none(), st.integers(0, 2**8 - 1), st.integers(0, 2**64 - 1)),
        min_size=1,
        max_size=12,
    )
)
def test_every_row_s_file_is_the_one_that_arrow_writes_of_it(rows: list[tuple[object, ...]]) -> None:
    schema = pa.schema({"text": pa.string(), "blob": pa.binary(), "small": pa.uint8(), "large": pa.uint64()})
    table = pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)
    metadata = {"class": "Any"}
    expected = [files.parquet_file(table.slice(row, 1), files.ROW_OPTIONS, metadata) for row in range(len(rows))]
    assert files.row_files(table, metadata) == [file.to_pybytes() for file in expected]


def test_no_rows_give_no_files() -> None:
    assert files.row_files(pa.table({"text": pa.array([], pa.string())}), {}) == []
