"""The volatility that a price implies, for whole columns at once.

The problem is reduced to one of two numbers (Jäckel, Let's Be Rational, 2015): the log-moneyness and the normalised
price of the option that is out of the money. That price rises with volatility from 0 to its bound, steeply curved near
both. So the low branch, up to the point of inflection, is solved for ``1 / ln(price)``, and the high branch for the
logarithm of the distance to the bound; in these terms the curve is nearly straight in the squared volatility, and
Newton's method needs a few steps. Each step is kept inside a bracket, which the sign of the error narrows: whatever the
inputs, the root is found or shown not to be there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import erfcx, ndtri

from pipeline_defs.greeks.black import normalised_price

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.greeks.black import Contracts, Floats

    type _Error = Callable[[Floats, Floats, Floats], tuple[Floats, Floats]]

MAX_STEPS: Final = 100
"""A bisection alone would need some sixty; Newton's steps are seldom more than six."""

_SQRT_HALF: Final = np.sqrt(0.5)
_TWO_BY_ROOT: Final = 2 / np.sqrt(2 * np.pi)
_LAST_STEP: Final = 1e-9
"""A step of Newton's that is smaller, in proportion, leaves an error of its square."""
_ROWS_AT_A_TIME: Final = 16_384
"""The dozen columns of a step stay in the processor's cache: three times as fast as all rows at once."""
_HIGHEST: Final = 64.0
"""Total volatility above which no price is below its bound in double precision."""


def implied_volatility(contracts: Contracts, price: Floats) -> Floats:
    """Find the volatility at which Black's model gives a price.

    Parameters
    ----------
    contracts : Contracts
        Which.
    price : ndarray
        Today's value of an option on a unit of the underlying.

    Returns
    -------
    ndarray
        Per year; NaN where no volatility gives the price: at or below the discounted intrinsic value, at or above the
        bound (discounted forward of a call, discounted strike of a put), or where an input is not finite.

    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        moneyness = contracts.moneyness
        outside = price / contracts.discount - contracts.intrinsic
        normalised = outside / np.sqrt(contracts.forward * contracts.strike)
        bound = np.minimum(contracts.forward, contracts.strike)
        in_bounds = (outside > 0) & (outside < bound) & (normalised < np.exp(moneyness / 2))
        solvable = in_bounds & (contracts.years > 0) & np.isfinite(moneyness)
    total = np.full(price.shape, np.nan)
    rows = np.flatnonzero(solvable)
    for first in range(0, rows.size, _ROWS_AT_A_TIME):
        some = rows[first : first + _ROWS_AT_A_TIME]
        total[some] = _total_volatility(normalised[some], moneyness[some])
    return total / np.sqrt(np.where(solvable, contracts.years, np.nan))


def _total_volatility(target: Floats, moneyness: Floats) -> Floats:
    bound = np.exp(moneyness / 2)
    turning = np.sqrt(-2 * moneyness)
    at_turning = np.zeros_like(turning)
    at_turning[turning > 0] = normalised_price(moneyness[turning > 0], turning[turning > 0])
    is_low = target < at_turning
    root = np.empty_like(target)
    with np.errstate(divide="ignore", invalid="ignore"):
        guess = turning * np.sqrt(np.log(at_turning) / np.log(target))
        root[is_low] = _solve(_low_error, target[is_low], moneyness[is_low], guess[is_low], (0.0, turning[is_low]))
        is_high = ~is_low
        guess = -2 * ndtri((bound - target) / (bound + 1 / bound))
        root[is_high] = _solve(
            _high_error, target[is_high], moneyness[is_high], guess[is_high], (turning[is_high], _HIGHEST)
        )
    return root


def _solve(
    error_of: _Error,
    target: Floats,
    moneyness: Floats,
    guess: Floats,
    bounds: tuple[Floats | float, Floats | float],
) -> Floats:
    """Find the roots of one branch, each between its bounds; rows that are done are left out of the next step."""
    low, high = (np.broadcast_to(bound, target.shape) for bound in bounds)
    guess = np.where((guess > low) & (guess < high), guess, (low + np.minimum(high, low + 1)) / 2)
    root = np.full(target.shape, np.nan)
    active = np.arange(target.size)
    for _ in range(MAX_STEPS):
        if not active.size:
            break
        error, slope = error_of(guess, target, moneyness)
        low, high = np.where(error <= 0, guess, low), np.where(error >= 0, guess, high)
        better = guess - error / slope
        better = np.where((better >= low) & (better <= high), better, (low + high) / 2)
        done = np.abs(better - guess) <= _LAST_STEP * guess
        root[active[done]] = better[done]
        going = ~done
        active, guess, low, high = active[going], better[going], low[going], high[going]
        target, moneyness = target[going], moneyness[going]
    return root


def _low_error(guess: Floats, target: Floats, moneyness: Floats) -> tuple[Floats, Floats]:
    """Compare ``1 / ln(price)``, made of the logarithm's parts, so that no price is too small for it."""
    distance, half = moneyness / guess, guess / 2
    tails = erfcx(-(distance + half) * _SQRT_HALF) - erfcx((half - distance) * _SQRT_HALF)
    log_price = np.log(tails / 2) - 0.5 * (distance * distance + half * half)
    slope = _TWO_BY_ROOT / tails / (log_price * log_price)
    return 1 / np.log(target) - 1 / log_price, slope


def _high_error(guess: Floats, target: Floats, moneyness: Floats) -> tuple[Floats, Floats]:
    """Compare the logarithms of the distances to the bound."""
    distance, half = moneyness / guess, guess / 2
    scale = 0.5 * np.exp(-0.5 * (distance * distance + half * half))
    rest = scale * (erfcx((distance + half) * _SQRT_HALF) + erfcx((half - distance) * _SQRT_HALF))
    return np.log((np.exp(moneyness / 2) - target) / rest), _TWO_BY_ROOT * scale / rest
