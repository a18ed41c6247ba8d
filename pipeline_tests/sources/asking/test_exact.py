"""Floats of a reply stand for the decimals that were written, or for nothing."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.sources.asking.exact import float_prices, float_sizes, prices_of, shortest_texts, sizes_of

PRICES = st.decimals(min_value=Decimal("0.00000001"), max_value=Decimal(9_999_999), places=8).filter(
    lambda price: len(price.normalize().as_tuple().digits) <= 15
)


@given(st.lists(PRICES, min_size=1, max_size=50))
def test_what_json_carried_comes_back_digit_by_digit(prices: list[Decimal]) -> None:
    assert float_prices(pl.Series([float(price) for price in prices])).to_list() == prices


@given(st.lists(st.decimals(min_value=Decimal("0.01"), max_value=Decimal("9999.99"), places=2), min_size=1))
def test_floats_of_32_bits_come_back_as_the_cents_they_were(prices: list[Decimal]) -> None:
    widened = [float(np.float32(float(price))) for price in prices]

    assert float_prices(pl.Series(widened), narrow=True).to_list() == prices


def test_a_value_that_is_no_narrow_float_keeps_its_own_text() -> None:
    assert shortest_texts(pl.Series([172.69000244140625, 24500.05]), narrow=True).to_list() == ["172.69", "24500.05"]
    assert shortest_texts(pl.Series([172.69000244140625])).to_list() == ["172.69000244140625"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, 1e-9, 1e13, 172.69000244140625])
def test_what_is_no_price_of_eight_decimals_is_nothing(value: float | None) -> None:
    assert float_prices(pl.Series([value], dtype=pl.Float64)).to_list() == [None]


def test_exponents_are_written_out() -> None:
    assert shortest_texts(pl.Series([1e-8, 1e17])).to_list() == ["0.00000001", "100000000000000000"]
    assert float_sizes(pl.Series([1e17, 2.5])).to_list() == [Decimal(10**17), Decimal("2.5")]


@pytest.mark.parametrize("text", ["1e5", "--", "", "1.123456789", "1,5", "1234567890123"])
def test_text_in_any_other_form_is_nothing(text: str) -> None:
    assert prices_of(pl.Series([text])).to_list() == [None]


def test_sizes_may_be_larger_than_prices() -> None:
    assert sizes_of(pl.Series(["1234567890123", "0.5", None])).to_list() == [
        Decimal(1234567890123),
        Decimal("0.5"),
        None,
    ]
