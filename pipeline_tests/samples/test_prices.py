from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.samples import prices

SPOT_E4 = np.array([245_000_000])


def premium(strike: float, days: float, volatility: float = 0.12) -> float:
    strikes = np.array([round(strike * prices.PRICE_SCALE)])
    years = np.array([days / 365])
    return float(prices.out_of_the_money_premiums(SPOT_E4, strikes, years, volatility)[0, 0]) / prices.PRICE_SCALE


def test_premium_at_the_money_is_black_scholes() -> None:
    deviation = 0.12 * math.sqrt(7 / 365)
    exact = 24_500 * (2 * statistics.NormalDist().cdf(deviation / 2) - 1)
    assert premium(24_500, 7) == pytest.approx(exact, abs=0.03)


@given(
    strike=st.integers(20_000, 29_000),
    days=st.floats(0.01, 90),
    later=st.floats(0.01, 30),
    volatility=st.floats(0.05, 0.6),
)
def test_premium_is_on_the_tick_and_grows_with_time(strike: int, days: float, later: float, volatility: float) -> None:
    now, then = premium(strike, days, volatility), premium(strike, days + later, volatility)
    assert round(now * prices.PRICE_SCALE) % prices.TICK_E4 == 0
    assert 0.05 <= now <= then


@given(days=st.floats(0.01, 90), volatility=st.floats(0.08, 0.5))
def test_premiums_fall_with_the_distance_of_the_strike(days: float, volatility: float) -> None:
    strikes = np.arange(18_000, 31_001, 50) * prices.PRICE_SCALE
    premiums = prices.out_of_the_money_premiums(SPOT_E4, strikes, np.array([days / 365]), volatility)[:, 0]
    steps = np.diff(premiums)
    assert (steps[strikes[1:] <= SPOT_E4[0]] >= 0).all()
    assert (steps[strikes[:-1] >= SPOT_E4[0]] <= 0).all()


def test_premium_at_expiry_is_one_tick() -> None:
    assert premium(24_500, 0) == premium(24_000, 0) == 0.05


def test_path_opens_with_a_gap_only_after_a_night() -> None:
    overnight = prices.session_path(np.random.default_rng(1), 100.0, 600, 0.2, nights=1)
    unbroken = prices.session_path(np.random.default_rng(1), 100.0, 600, 0.2, nights=0)
    assert abs(math.log(overnight[0] / 100)) > 10 * abs(math.log(unbroken[0] / 100))


def test_path_has_the_volatility_asked_for() -> None:
    rng = np.random.default_rng(5)
    returns = [math.log(prices.session_path(rng, 100.0, 900, 0.2, nights=1)[-1] / 100) for _ in range(2_000)]
    assert statistics.pstdev(returns) * math.sqrt(prices.TRADING_DAYS_PER_YEAR) == pytest.approx(0.2, rel=0.05)


def test_path_is_livelier_at_the_open_than_at_noon() -> None:
    path = prices.session_path(np.random.default_rng(2), 24_500.0, 22_500, 0.12, nights=0)
    steps = np.abs(np.diff(np.log(path)))
    assert steps[:1_800].mean() > 1.3 * steps[10_000:13_000].mean()
    assert steps[-900:].mean() > steps[10_000:13_000].mean()


def test_minutes_hold_the_extremes_of_their_seconds() -> None:
    path = np.arange(120)[::-1] * 500 + 500
    assert prices.bars_by_minute(path).tolist() == [[60_000, 60_000, 30_500, 30_500], [30_000, 30_000, 500, 500]]


def test_future_costs_its_carry() -> None:
    bars = np.full((1, 4), 245_000_000)
    future = prices.future_bars(bars, np.full((1, 4), 30 / 365), np.zeros(1))
    assert future[0, 0] / prices.PRICE_SCALE == pytest.approx(24_500 * math.exp(0.065 * 30 / 365), abs=0.03)


@given(st.floats(0, 1e6), st.sampled_from([25, 500, 1_000]))
def test_rounding_goes_to_the_nearest_tick_and_never_to_nothing(price: float, tick_e4: int) -> None:
    rounded = int(prices.round_to_tick(np.array([price]), tick_e4)[0])
    assert rounded % tick_e4 == 0
    assert rounded >= tick_e4
    assert rounded == tick_e4 or abs(rounded - price * prices.PRICE_SCALE) <= tick_e4 / 2 + 1e-3
