from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.greeks import black
from pipeline_defs.greeks.computing import NUMBERS, with_greeks
from pipeline_defs.greeks.forwards import with_forwards
from pipeline_defs.greeks.masking import REASONS
from pipeline_defs.greeks.parameters import GreeksParameters
from pipeline_tests.greeks.frames import (
    BOOK,
    DATE,
    EXPIRY,
    MINUTE,
    NOON,
    close_of,
    contract,
    option,
    options,
    underlying,
)
from pipeline_tests.greeks.frames import underlyings as priced

FUTURE = GreeksParameters()


def computed(*rows: dict[str, Any], future: str = "24650", at: dt.datetime = NOON) -> pl.DataFrame:
    bars = options(*rows)
    return with_greeks(with_forwards(bars, priced(underlying(future, at=at)), BOOK, FUTURE), FUTURE)


def reason_of(row: dict[str, Any], **more: Any) -> str | None:
    found = computed(row, **more).to_dicts()[0]
    assert (found["reason"] is None) == all(found[name] is not None for name in NUMBERS)
    assert (found["reason"] is not None) == all(found[name] is None for name in NUMBERS)
    return None if found["reason"] is None else str(found["reason"])


def test_a_price_between_its_bounds_has_every_number() -> None:
    assert reason_of(option("250")) is None


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (option("250", expiry=DATE, expiry_instant=NOON), "expired"),
        (option("250", is_traded=False), "no_trade"),
        (option("250", underlying="BANKNIFTY"), "no_underlying"),
        (option("49", strike=24_600.0), "below_intrinsic"),
        (option("0.05", strike=24_700.0, is_call=False), "below_intrinsic"),
        (option("24700"), "above_bound"),
        (option("24600", is_call=False), "above_bound"),
    ],
)
def test_an_impossible_price_has_a_reason_and_no_number(row: dict[str, Any], reason: str) -> None:
    assert reason_of(row) == reason
    assert reason in REASONS


def test_a_price_at_the_discounted_intrinsic_value_says_nothing_of_volatility() -> None:
    expiry_instant = NOON + dt.timedelta(days=365)
    worth = (24650 - 24600) * np.exp(-0.065)
    row = option(f"{worth:.8f}", expiry_instant=expiry_instant)

    assert reason_of(row) in {None, "below_intrinsic"}  # on one side or the other of the eighth decimal
    assert reason_of({**row, "price": Decimal("46.85")}) == "below_intrinsic"


def test_a_stale_price_of_the_underlying_is_told_apart_from_none() -> None:
    assert reason_of(option("250"), at=NOON - 5 * MINUTE) == "stale_underlying"


def test_the_last_minute_before_expiry_still_has_numbers() -> None:
    at = close_of(EXPIRY) - MINUTE
    assert reason_of(option("50.40", at=at), at=at) is None
    assert reason_of(option("50.40", at=close_of(EXPIRY)), at=at) == "expired"


@given(
    st.lists(
        st.tuples(
            st.decimals("0.05", "60000", places=2),
            st.sampled_from([20_000.0, 24_000.0, 24_600.0, 24_650.0, 30_000.0]),
            st.booleans(),
            st.booleans(),
            st.integers(-2, 40_000),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_no_number_is_ever_invented(rows: list[tuple[Decimal, float, bool, bool, int]]) -> None:
    bars = [
        option(
            str(price),
            strike=strike,
            is_call=is_call,
            is_traded=is_traded,
            expiry_instant=NOON + minutes * MINUTE,
            instrument_id=number,
        )
        for number, (price, strike, is_call, is_traded, minutes) in enumerate(rows)
    ]
    found = computed(*bars)
    numbers = found.filter(pl.col("reason").is_null())

    assert found.height == len(rows)
    assert set(found["reason"].drop_nulls()) <= set(REASONS)
    for name in NUMBERS:
        assert found[name].is_null().to_list() == found["reason"].is_not_null().to_list()
        assert numbers[name].is_finite().all()
    assert numbers.filter(~pl.col("is_traded")).is_empty()
    # Every volatility there is gives the price that was paid.
    contracts = black.Contracts(
        *(numbers[name].to_numpy() for name in ("forward", "strike", "time_to_expiry_years", "rate", "is_call"))
    )
    again = black.price(contracts, numbers["implied_volatility"].to_numpy())
    np.testing.assert_allclose(again, numbers["price"].cast(pl.Float64()).to_numpy(), rtol=1e-10, atol=1e-9)


def test_an_empty_frame_stays_empty() -> None:
    bars = options(option("250")).clear()
    rated = options(option("250"))
    whole = with_greeks(with_forwards(rated, priced(underlying("24650")), BOOK, FUTURE), FUTURE)

    assert bars.is_empty()
    assert with_greeks(whole.clear().drop(*NUMBERS, "reason"), FUTURE).is_empty()


def test_the_spot_s_greeks_are_by_the_spot() -> None:
    spot = GreeksParameters(forward_method="spot")
    bars = with_forwards(options(option("250")), priced(underlying("24600", expiry=None)), BOOK, spot)
    (row,) = with_greeks(bars, spot).to_dicts()
    numbers = [row[name] for name in ("forward", "strike", "time_to_expiry_years", "rate")]
    contracts = contract(*numbers, is_call=True)
    bump = 0.5

    def value(by: float) -> float:
        moved = black.Contracts(
            (contracts.forward * (24600 + by) / 24600), contracts.strike, contracts.years, contracts.rate,
            contracts.is_call,
        )  # fmt: skip
        return float(black.price(moved, np.array([row["implied_volatility"]]))[0])

    assert row["delta"] == pytest.approx((value(bump) - value(-bump)) / (2 * bump), rel=1e-5)
    assert value(0.0) == pytest.approx(250.0, rel=1e-12)
