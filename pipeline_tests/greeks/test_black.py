from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.greeks import black
from pipeline_defs.greeks.implied import implied_volatility
from pipeline_tests.greeks.frames import contract
from pipeline_tests.greeks.grid import errors, full_grid

BOUNDS = {
    "price": 2e-15,
    **{f"future_{name}": bound for name, bound in {"delta": 2e-11, "gamma": 3e-11, "vega": 2e-14}.items()},
    **{f"spot_{name}": bound for name, bound in {"delta": 2e-11, "gamma": 3e-11, "vega": 2e-14}.items()},
    "future_theta": 5e-11,
    "future_rho": 5e-15,
    "spot_theta": 3e-10,
    "spot_rho": 3e-14,
    "implied_volatility_times_vega": 2e-15,
    "implied_volatility": 4e-9,
    "repriced": 2e-15,
}
"""What docs/greeks.md states, with a little room for another libm."""

prices = st.floats(0.05, 1e6, allow_nan=False)
options = st.tuples(
    st.floats(1.0, 1e6),  # strike
    st.floats(0.5, 2.0),  # forward by strike
    st.floats(2e-6, 3.0),  # years
    st.floats(-0.01, 0.15),  # rate
    st.floats(0.01, 3.0),  # volatility
    st.booleans(),
)


def one(strike: float, moneyness: float, years: float, rate: float, *, is_call: bool) -> black.Contracts:
    return contract(strike * moneyness, strike, years, rate, is_call=is_call)


@pytest.fixture(scope="module")
def found() -> dict[str, float]:
    return errors(full_grid())


@pytest.mark.parametrize("name", BOUNDS)
def test_the_model_agrees_with_quantlib_on_the_whole_grid(name: str, found: dict[str, float]) -> None:
    assert found[name] <= BOUNDS[name]


def test_the_grid_holds_what_is_compared(found: dict[str, float]) -> None:
    assert found["solved"] > 10_000
    assert found["well_told"] > 9_000
    assert found["unsolved_with_time_value"] == 0


@given(options)
def test_a_volatility_found_from_a_price_gives_that_price(
    option: tuple[float, float, float, float, float, bool],
) -> None:
    strike, moneyness, years, rate, volatility, is_call = option
    contracts = one(strike, moneyness, years, rate, is_call=is_call)
    price = black.price(contracts, np.array([volatility]))
    implied = implied_volatility(contracts, price)
    time_value = price / contracts.discount - contracts.intrinsic

    if np.isfinite(implied[0]):
        assert black.price(contracts, implied)[0] == pytest.approx(price[0], rel=1e-12, abs=1e-14 * strike)
    else:
        # Only where the double has no digit left for what the option is worth beside its intrinsic value.
        assert time_value[0] <= 1e-15 * (contracts.forward[0] + strike)


@given(options)
def test_call_less_put_is_the_discounted_forward_less_the_strike(
    option: tuple[float, float, float, float, float, bool],
) -> None:
    strike, moneyness, years, rate, volatility, _ = option
    call, put = (one(strike, moneyness, years, rate, is_call=is_call) for is_call in (True, False))
    sigma = np.array([volatility])
    difference = black.price(call, sigma) - black.price(put, sigma)
    greeks, others = black.futures_greeks(call, sigma), black.futures_greeks(put, sigma)

    assert difference[0] == pytest.approx((call.discount * (call.forward - strike))[0], abs=1e-13 * 3 * strike)
    assert greeks.delta[0] - others.delta[0] == pytest.approx(call.discount[0], rel=1e-12)
    assert greeks.gamma[0] == others.gamma[0]
    assert greeks.vega[0] == others.vega[0]


@given(options, st.floats(1.0001, 3.0))
def test_a_higher_volatility_never_costs_less(
    option: tuple[float, float, float, float, float, bool], factor: float
) -> None:
    strike, moneyness, years, rate, volatility, is_call = option
    contracts = one(strike, moneyness, years, rate, is_call=is_call)
    lower, higher = (black.price(contracts, np.array([sigma]))[0] for sigma in (volatility, volatility * factor))

    assert higher >= lower * (1 - 1e-14)


@given(options)
def test_greeks_stay_within_their_bounds(option: tuple[float, float, float, float, float, bool]) -> None:
    strike, moneyness, years, rate, volatility, is_call = option
    contracts = one(strike, moneyness, years, rate, is_call=is_call)
    greeks = black.futures_greeks(contracts, np.array([volatility]))
    low, high = (0.0, contracts.discount[0]) if is_call else (-contracts.discount[0], 0.0)

    assert low <= greeks.delta[0] <= high
    assert greeks.gamma[0] >= 0
    assert greeks.vega[0] >= 0


@given(prices, options)
def test_whatever_the_price_a_volatility_is_above_zero_or_absent(
    price: float, option: tuple[float, float, float, float, float, bool]
) -> None:
    strike, moneyness, years, rate, _, is_call = option
    contracts = one(strike, moneyness, years, rate, is_call=is_call)
    (found,) = implied_volatility(contracts, np.array([price]))
    bound = (contracts.forward if is_call else contracts.strike)[0]
    undiscounted = price / contracts.discount[0]

    if np.isnan(found):
        assert undiscounted <= contracts.intrinsic[0] * (1 + 1e-15) or undiscounted >= bound * (1 - 1e-15)
    else:
        assert found > 0
        assert contracts.intrinsic[0] < undiscounted < bound


@pytest.mark.parametrize(
    ("price", "forward", "years"),
    [(10.0, 110.0, 1.0), (9.0, 110.0, 1.0), (110.0, 110.0, 1.0), (5.0, 100.0, 0.0), (5.0, np.nan, 1.0), (0.0, 90.0, 1)],
)
def test_a_price_that_no_volatility_gives_has_none(price: float, forward: float, years: float) -> None:
    contracts = contract(forward, 100.0, years, 0.0, is_call=True)

    assert np.isnan(implied_volatility(contracts, np.array([price]))[0])


def test_many_rows_give_what_each_gives_alone() -> None:
    whole = full_grid().contracts
    price = black.price(whole, full_grid().volatility)
    together = implied_volatility(whole, price)
    some = np.arange(0, price.size, 997)
    columns = (whole.forward, whole.strike, whole.years, whole.rate)
    alone = []
    for row in some:
        numbers = [float(column[row]) for column in columns]
        alone.append(implied_volatility(contract(*numbers, is_call=bool(whole.is_call[row])), price[[row]])[0])

    np.testing.assert_array_equal(together[some], alone)
