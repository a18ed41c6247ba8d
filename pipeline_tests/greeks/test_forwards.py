from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.greeks.forwards import SECONDS_A_YEAR, with_forwards
from pipeline_defs.greeks.parameters import GreeksParameters
from pipeline_tests.greeks.frames import BOOK, EXPIRY, MINUTE, NOON, close_of, option, options, underlying, underlyings

FUTURE, SPOT, PARITY = (GreeksParameters(forward_method=name) for name in ("future", "spot", "parity"))
NO_YIELDS = replace(BOOK, yields={})
WEEK_BEFORE = EXPIRY - dt.timedelta(days=7)


def test_the_future_of_the_same_expiry_is_the_forward_and_needs_no_yield() -> None:
    found = with_forwards(options(option("250")), underlyings(underlying("24650.05")), NO_YIELDS, FUTURE)
    (row,) = found.to_dicts()

    assert row["underlying_price"] == Decimal("24650.05")
    assert row["forward"] == 24650.05
    assert row["dividend_yield"] is None
    assert row["rate"] == 0.065
    assert row["underlying_load_id"] == 8
    assert row["time_to_expiry_years"] == (close_of(EXPIRY) - NOON).total_seconds() / SECONDS_A_YEAR


def test_a_weekly_option_takes_the_next_future_carried_back_to_its_own_expiry() -> None:
    later = underlying("24900", underlying_id=91, expiry=EXPIRY + dt.timedelta(days=28))
    bars = options(option("250", expiry=WEEK_BEFORE))
    (row,) = with_forwards(bars, underlyings(underlying("24650"), later), BOOK, FUTURE).to_dicts()

    assert row["underlying_id"] == 90
    assert row["dividend_yield"] == 0.0125
    assert row["forward"] == pytest.approx(24650 * np.exp(-(0.065 - 0.0125) * 7 / 365), rel=1e-14)


def test_an_option_that_outlives_every_future_takes_the_longest_one() -> None:
    bars = options(option("250", expiry=EXPIRY + dt.timedelta(days=365)))
    near = underlying("24500", underlying_id=89, expiry=WEEK_BEFORE)
    (row,) = with_forwards(bars, underlyings(near, underlying("24650")), BOOK, FUTURE).to_dicts()

    assert row["underlying_id"] == 90
    assert row["forward"] == pytest.approx(24650 * np.exp((0.065 - 0.0125) * 1.0), rel=1e-14)


def test_the_spot_is_carried_to_expiry_at_rate_less_yield() -> None:
    (row,) = with_forwards(options(option("250")), underlyings(underlying("24600", expiry=None)), BOOK, SPOT).to_dicts()
    years = (close_of(EXPIRY) - NOON).total_seconds() / SECONDS_A_YEAR

    assert row["forward"] == pytest.approx(24600 * np.exp((0.065 - 0.0125) * years), rel=1e-14)


def test_parity_takes_the_pair_of_the_bar_that_differs_least() -> None:
    bars = options(
        option("310", strike=24_500.0, instrument_id=1),
        option("190", strike=24_500.0, instrument_id=2, is_call=False),
        option("255", strike=24_600.0, instrument_id=3),
        option("235", strike=24_600.0, instrument_id=4, is_call=False),
        option("1", strike=24_700.0, instrument_id=5),
        option("1", strike=24_700.0, instrument_id=6, is_call=False, is_traded=False),
        option("5", strike=24_700.0, instrument_id=5, at=NOON + MINUTE),
    )
    found = with_forwards(bars, underlyings(), NO_YIELDS, PARITY)
    years = (close_of(EXPIRY) - NOON).total_seconds() / SECONDS_A_YEAR

    assert found["underlying_price"].null_count() == 7
    assert found["forward"][:6].to_list() == pytest.approx([24_600 + np.exp(0.065 * years) * 20] * 6, rel=1e-14)
    assert found["forward"][6] is None  # no put in its bar


def test_an_older_price_than_allowed_is_none_and_said_to_be_stale() -> None:
    early = underlying("24650", at=NOON - 2 * MINUTE)
    patient = replace(FUTURE, max_underlying_age_seconds=120)
    (stale,) = with_forwards(options(option("250")), underlyings(early), BOOK, FUTURE).to_dicts()
    (fresh,) = with_forwards(options(option("250")), underlyings(early), BOOK, patient).to_dicts()

    assert (stale["forward"], stale["underlying_price"], stale["underlying_id"], stale["is_stale"]) == (
        *(None, None, None, True),
    )
    assert (fresh["forward"], fresh["underlying_timestamp"], fresh["is_stale"]) == (24650.0, NOON - 2 * MINUTE, False)


def test_another_underlying_s_price_is_never_taken() -> None:
    other = underlying("51000", underlying="BANKNIFTY")
    (row,) = with_forwards(options(option("250")), underlyings(other), BOOK, FUTURE).to_dicts()

    assert row["forward"] is None
    assert not row["is_stale"]


@given(st.lists(st.tuples(st.integers(-10, 10), st.integers(20_000, 30_000)), unique_by=lambda pair: pair[0]))
def test_nothing_after_the_bar_is_ever_looked_at(prices: list[tuple[int, int]]) -> None:
    bars = underlyings(*(underlying(str(price), at=NOON + minute * MINUTE) for minute, price in prices))
    patient = replace(FUTURE, max_underlying_age_seconds=3600)
    (row,) = with_forwards(options(option("250")), bars, BOOK, patient).to_dicts()
    known = [(minute, price) for minute, price in prices if minute <= 0]

    assert row["forward"] == (max(known)[1] if known else None)


def test_without_a_rate_nothing_is_assumed() -> None:
    bare = replace(BOOK, curves={})
    with pytest.raises(ConfigurationError, match=r"no interest rate of INR counts on 2025-08-13\nNext: load a file"):
        with_forwards(options(option("250")), underlyings(underlying("24650")), bare, FUTURE)
    own = replace(bare, parameters=GreeksParameters(rate=0.07))
    (row,) = with_forwards(options(option("250")), underlyings(underlying("24650")), own, FUTURE).to_dicts()

    assert row["rate"] == 0.07


def test_without_a_yield_that_is_needed_nothing_is_assumed() -> None:
    spot = underlyings(underlying("24600", expiry=None))
    with pytest.raises(ConfigurationError, match="no dividend yield of NIFTY counts on 2025-08-13"):
        with_forwards(options(option("250")), spot, NO_YIELDS, SPOT)
    own = replace(NO_YIELDS, parameters=GreeksParameters(dividend_yield=0.0))
    (row,) = with_forwards(options(option("250")), spot, own, SPOT).to_dicts()

    assert row["dividend_yield"] == 0.0


def test_rates_are_interpolated_by_tenor_and_level_beyond_the_ends() -> None:
    curve = replace(BOOK, curves={"INR": (np.array([7.0, 91.0]), np.array([0.06, 0.07]))})

    assert curve.rates("INR", np.array([0.0, 7.0, 49.0, 91.0, 900.0])).tolist() == pytest.approx(
        [0.06, 0.06, 0.065, 0.07, 0.07]
    )


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"forward_method": "magic"}, "no forward method 'magic', expected one of future, parity, spot"),
        ({"max_underlying_age_seconds": -1}, "expected 0 or more"),
        ({"rate": 6.5}, "expected a fraction a year between -1 and 1\nNext: write 6.5 percent as 0.065"),
        ({"dividend_yield": float("nan")}, "dividend_yield is nan"),
    ],
)
def test_a_choice_that_cannot_be_meant_is_refused(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        GreeksParameters(**wrong)  # type: ignore[arg-type]
