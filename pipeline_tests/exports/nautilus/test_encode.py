from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nautilus_trader.core import nautilus_pyo3
from nautilus_trader.model.data import OptionGreeks
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.serialization.arrow.serializer import ArrowSerializer

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.nautilus import encode, target_1
from pipeline_defs.exports.nautilus.greeks import option_rows
from pipeline_defs.exports.nautilus.targets import get_target
from pipeline_defs.schema.columns import PRICE
from pipeline_tests.exports.nautilus.slices import bars_of

PRICES = st.decimals(min_value=0, max_value=Decimal("999999999999.99999999"), places=8, allow_nan=False)


def _raw(array: pa.Array) -> list[int]:
    return [int.from_bytes(value.as_py(), "little", signed=True) for value in array]


@given(st.lists(PRICES, min_size=1, max_size=40), st.integers(0, 5))
def test_prices_become_the_raw_values_of_nautilus_whatever_the_offset(prices: list[Decimal], offset: int) -> None:
    series = pl.Series("close", prices, dtype=PRICE)[min(offset, len(prices) - 1) :]
    assert _raw(encode.fixed_point(series)) == [Price.from_str(f"{price:.8f}").raw for price in series.to_list()]


@given(st.lists(st.integers(0, 34_028_236_692_093), min_size=1, max_size=40))
def test_volumes_become_the_raw_values_of_nautilus(volumes: list[int]) -> None:
    encoded = encode.fixed_point(pl.Series("volume", volumes, dtype=pl.Int64))
    assert _raw(encoded) == [Quantity.from_int(volume).raw for volume in volumes]


@given(st.lists(PRICES, min_size=1, max_size=40), st.integers(0, 5))
def test_prices_are_the_decimals_of_version_2_in_the_same_bytes(prices: list[Decimal], offset: int) -> None:
    series = pl.Series("close", prices, dtype=PRICE)[min(offset, len(prices) - 1) :]
    assert encode.fixed_point(series, pa.decimal128(38, 16)).to_pylist() == series.to_list()


def test_negative_prices_are_two_s_complement() -> None:
    encoded = encode.fixed_point(pl.Series([Decimal("-37.63")], dtype=PRICE))
    assert _raw(encoded) == [Price.from_str("-37.63").raw]


def test_series_in_several_chunks_are_encoded_in_order() -> None:
    whole = pl.Series([Decimal(1), Decimal(2)], dtype=PRICE).append(pl.Series([Decimal(3)], dtype=PRICE))
    assert _raw(encode.fixed_point(whole)) == [10**16, 2 * 10**16, 3 * 10**16]


def test_missing_values_are_refused() -> None:
    with pytest.raises(ExportError, match="column close has 1 missing values"):
        encode.fixed_point(pl.Series("close", [Decimal(1), None], dtype=PRICE))


def test_a_build_of_nautilus_with_other_precision_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nautilus_pyo3, "PRECISION_BYTES", 8)
    target_1.engine_schema.cache_clear()
    with pytest.raises(ExportError, match="in 8 bytes at 16 decimals, expected 16 bytes"):
        target_1.engine_schema("Bar")


def test_the_fingerprint_depends_on_the_classes_but_not_on_their_order() -> None:
    one, two = get_target("1.231"), get_target("2")
    assert one.fingerprint(["Bar", "Equity"]) == one.fingerprint(["Equity", "Bar"])
    assert len({one.fingerprint(["Bar"]), one.fingerprint(["TradeTick"]), two.fingerprint(["Bar"])}) == 3


def test_open_interest_is_the_table_that_nautilus_makes_of_its_greeks() -> None:
    bars = bars_of(1, Decimal(100), Decimal("0.05"), minutes=3, open_interest=pl.int_range(pl.len()) * 75)
    name, unknown, target = "NIFTY250814C24500.NSE", float("nan"), get_target("1.231")
    greeks = [
        OptionGreeks(
            InstrumentId.from_str(name), *[unknown] * 5, None, None, None, None, float(row["open_interest"]), ns, ns
        )
        for row in bars.iter_rows(named=True)
        for ns in [int(row["timestamp"].timestamp()) * 10**9]
    ]
    expected = ArrowSerializer.serialize_batch(greeks, data_cls=OptionGreeks)
    rows = option_rows(bars, None).with_columns(engine_id=pl.lit(name))
    ours = encode.encode_option_greeks(rows, target.schema("OptionGreeks"))
    ours = ours.replace_schema_metadata(target.metadata("OptionGreeks", name, (2, 0), ""))
    assert ours.schema.equals(expected.schema, check_metadata=True)
    assert ours.drop(["delta", "gamma", "vega", "theta", "rho"]) == expected.drop(
        ["delta", "gamma", "vega", "theta", "rho"]
    )
    assert all(math.isnan(value) for value in ours["delta"].to_pylist())


def test_slices_follow_the_instruments() -> None:
    bars = pl.DataFrame({"instrument_id": [3, 3, 5, 9, 9, 9]})
    assert list(encode.instrument_slices(bars)) == [(3, 0, 2), (5, 2, 1), (9, 3, 3)]
    assert list(encode.instrument_slices(bars.clear())) == []


def test_both_times_are_the_close_stamp_in_nanoseconds() -> None:
    bars = bars_of(1, Decimal(100), Decimal("0.05"), minutes=2)
    table = encode.encode_bars(bars, get_target("1.231").schema("Bar"))
    first = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=table["ts_init"][0].as_py() // 1000)
    assert first == bars.item(0, "timestamp")
    assert table["ts_event"] == table["ts_init"]
