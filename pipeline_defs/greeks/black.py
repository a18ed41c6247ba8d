"""Black's model, for whole columns at once: the price of a European option and its derivatives.

Two sets of Greeks: `futures_greeks` (Black 1976) differentiates by the forward, for whoever hedges with the future;
`spot_greeks` (Black, Scholes and Merton 1973) by the spot, at a fixed rate and dividend yield. Formulas as in Haug, The
Complete Guide to Option Pricing Formulas, 2nd ed., chapters 1 and 2.

The price of the option that is out of the money is computed by the scaled complementary error function, so that a
price of 1e-200 still has its digits (Jäckel, Let's Be Rational, 2015, section 6); the other follows by parity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import erfcx, ndtr

if TYPE_CHECKING:
    from numpy.typing import NDArray

    type Floats = NDArray[np.float64]
    type Flags = NDArray[np.bool_]

_SQRT_HALF: Final = np.sqrt(0.5)
_SQRT_TWO_PI: Final = np.sqrt(2 * np.pi)


@dataclass(frozen=True, slots=True)
class Contracts:
    """European options with what their underlying will be worth, a row each.

    Parameters
    ----------
    forward, strike : ndarray
        Price of the underlying for the day of expiry, and of the contract; above 0.
    years : ndarray
        Time to expiry, above 0.
    rate : ndarray
        Interest rate to expiry, per year, continuously compounded.
    is_call : ndarray of bool
        Call or put.

    """

    forward: Floats
    strike: Floats
    years: Floats
    rate: Floats
    is_call: Flags

    @property
    def moneyness(self) -> Floats:
        """``-|ln(forward / strike)|``: how far the option that is out of the money is from it; at most 0."""
        return -np.abs(np.log(self.forward / self.strike))

    @property
    def intrinsic(self) -> Floats:
        """What exercising at the forward would bring, undiscounted; at least 0."""
        gain = self.forward - self.strike
        return np.maximum(np.where(self.is_call, gain, -gain), 0.0)

    @property
    def discount(self) -> Floats:
        """Today's value of a unit of money at expiry."""
        return np.exp(-self.rate * self.years)


@dataclass(frozen=True, slots=True)
class Greeks:
    """Derivatives of a price, a row per option.

    Parameters
    ----------
    delta, gamma
        By the underlying's price, once and twice.
    vega
        By volatility, per 1.00.
    theta
        By the passing of time, per year of 365 days.
    rho
        By the interest rate, per 1.00.

    """

    delta: Floats
    gamma: Floats
    vega: Floats
    theta: Floats
    rho: Floats


def normalised_price(moneyness: Floats, total_volatility: Floats) -> Floats:
    """Price the option that is out of the money, in units of the geometric mean of forward and strike, undiscounted.

    Parameters
    ----------
    moneyness : ndarray
        ``-|ln(forward / strike)|``, at most 0.
    total_volatility : ndarray
        Volatility times the root of time, above 0.

    Returns
    -------
    ndarray
        Between 0 and ``exp(moneyness / 2)``.

    """
    distance, half = moneyness / total_volatility, total_volatility / 2
    # Where a term of the difference overflows, the factor in front has long been 0.
    with np.errstate(over="ignore", invalid="ignore"):
        scale = 0.5 * np.exp(-0.5 * (distance * distance + half * half))
        tails = erfcx(-(distance + half) * _SQRT_HALF) - erfcx(-(distance - half) * _SQRT_HALF)
        return np.where(scale > 0, scale * tails, np.where(half > -distance, np.exp(moneyness / 2), 0.0))


def price(contracts: Contracts, volatility: Floats) -> Floats:
    """Price options.

    Parameters
    ----------
    contracts : Contracts
        Which.
    volatility : ndarray
        Per year, above 0.

    Returns
    -------
    ndarray
        Today's value of an option on a unit of the underlying.

    """
    outside = normalised_price(contracts.moneyness, volatility * np.sqrt(contracts.years))
    undiscounted = np.sqrt(contracts.forward * contracts.strike) * outside + contracts.intrinsic
    return contracts.discount * undiscounted


def futures_greeks(contracts: Contracts, volatility: Floats) -> Greeks:
    """Differentiate by the forward (Black 1976); theta and rho hold the forward fixed.

    Parameters
    ----------
    contracts, volatility
        As for `price`.

    Returns
    -------
    Greeks

    """
    sign, d1, density = _terms(contracts, volatility)
    root, discount, value = np.sqrt(contracts.years), contracts.discount, price(contracts, volatility)
    vega = discount * contracts.forward * density * root
    return Greeks(
        delta=sign * discount * ndtr(sign * d1),
        gamma=discount * density / (contracts.forward * volatility * root),
        vega=vega,
        theta=contracts.rate * value - vega * volatility / (2 * contracts.years),
        rho=-contracts.years * value,
    )


def spot_greeks(contracts: Contracts, volatility: Floats, spot: Floats, dividend_yield: Floats) -> Greeks:
    """Differentiate by the spot (Black, Scholes and Merton 1973), at a fixed dividend yield.

    Parameters
    ----------
    contracts, volatility
        As for `price`; the forward is ``spot * exp((rate - dividend_yield) * years)``.
    spot : ndarray
        Price of the underlying now, above 0.
    dividend_yield : ndarray
        Continuous, per year.

    Returns
    -------
    Greeks

    """
    sign, d1, density = _terms(contracts, volatility)
    years, root = contracts.years, np.sqrt(contracts.years)
    carried = np.exp(-dividend_yield * years)
    delta = sign * carried * ndtr(sign * d1)
    exercised = sign * contracts.strike * contracts.discount * ndtr(sign * (d1 - volatility * root))
    vega = carried * spot * density * root
    return Greeks(
        delta=delta,
        gamma=carried * density / (spot * volatility * root),
        vega=vega,
        theta=dividend_yield * spot * delta - contracts.rate * exercised - vega * volatility / (2 * years),
        rho=years * exercised,
    )


def _terms(contracts: Contracts, volatility: Floats) -> tuple[Floats, Floats, Floats]:
    """Give the sign of the option, d1, and the normal density there."""
    total = volatility * np.sqrt(contracts.years)
    d1 = np.log(contracts.forward / contracts.strike) / total + total / 2
    return np.where(contracts.is_call, 1.0, -1.0), d1, np.exp(-0.5 * d1 * d1) / _SQRT_TWO_PI
