"""A grid of options, and what QuantLib says of each: the oracle of the model's tests and of the figures in the docs.

Run it to print the largest errors: ``python -m pipeline_tests.greeks.grid``.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import QuantLib

from pipeline_defs.greeks import black
from pipeline_defs.greeks.implied import implied_volatility

if TYPE_CHECKING:
    from pipeline_defs.greeks.black import Floats

MINUTE, HOUR, DAY = 1 / (365 * 1440), 1 / (365 * 24), 1 / 365

MONEYNESS = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 1.0, 1.001, 1.01, 1.02, 1.05, 1.1, 1.25, 1.5, 1.75, 2.0]
YEARS = [MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, DAY, 7 * DAY, 30 * DAY, 90 * DAY, 1.0, 2.0]
VOLATILITIES = [0.01, 0.03, 0.08, 0.15, 0.3, 0.6, 1.0, 2.0, 3.0]
RATES = [-0.01, 0.0, 0.03, 0.065, 0.15]
YIELD = 0.0125
STRIKE = 100.0

UNITS = {"delta": 1.0, "gamma": 1 / STRIKE, "vega": STRIKE, "theta": STRIKE, "rho": STRIKE}
"""An error counts in proportion to the number, or to this where the number is smaller."""


@dataclass(frozen=True)
class Grid:
    """Options with their volatility; spot, and forward at rate less yield."""

    contracts: black.Contracts
    volatility: Floats
    spot: Floats

    @property
    def dividend_yield(self) -> Floats:
        return np.full(self.spot.shape, YIELD)

    def quantlib(self) -> dict[str, Floats]:
        """Ask QuantLib's BlackCalculator, row by row."""
        c = self.contracts
        columns = (c.forward, c.strike, c.years, c.rate, c.is_call, self.volatility, self.spot)
        rows = [_ask(row) for row in zip(*(column.tolist() for column in columns), strict=True)]
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def full_grid() -> Grid:
    """Every combination."""
    points = np.array(list(itertools.product(MONEYNESS, YEARS, VOLATILITIES, RATES, [True, False])), dtype=float)
    moneyness, years, volatility, rate, is_call = points.T
    spot = moneyness * STRIKE
    forward = spot * np.exp((rate - YIELD) * years)
    contracts = black.Contracts(forward, np.full(spot.shape, STRIKE), years, rate, is_call.astype(bool))
    return Grid(contracts, volatility, spot)


def _ask(row: tuple[float, ...]) -> dict[str, float]:
    forward, strike, years, rate, is_call, volatility, spot = row
    payoff = QuantLib.PlainVanillaPayoff(QuantLib.Option.Call if is_call else QuantLib.Option.Put, strike)
    told = QuantLib.BlackCalculator(payoff, forward, volatility * math.sqrt(years), math.exp(-rate * years))
    value = told.value()
    return {
        "price": value,
        "future_delta": told.deltaForward(),
        "future_gamma": told.gammaForward(),
        "future_vega": told.vega(years),
        "future_theta": told.theta(forward, years),
        "future_rho": -years * value,
        "spot_delta": told.delta(spot),
        "spot_gamma": told.gamma(spot),
        "spot_vega": told.vega(years),
        "spot_theta": told.theta(spot, years),
        "spot_rho": told.rho(years),
    }


def errors(grid: Grid) -> dict[str, float]:
    """Largest error of everything the model gives, against QuantLib.

    Prices in units of the strike; Greeks in proportion to `UNITS`. Implied volatility is asked of QuantLib's price: its
    error times vega says how far the price is missed, and where a price tells the volatility to eight digits, the
    error itself is given in proportion.
    """
    with np.errstate(all="ignore"):
        return _errors(grid)


def _errors(grid: Grid) -> dict[str, float]:
    said: dict[str, Any] = grid.quantlib()
    c = grid.contracts
    found = {"price": float(np.max(np.abs(black.price(c, grid.volatility) - said["price"])) / STRIKE)}
    future = black.futures_greeks(c, grid.volatility)
    spot = black.spot_greeks(c, grid.volatility, grid.spot, grid.dividend_yield)
    for kind, greeks in (("future", future), ("spot", spot)):
        for name, unit in UNITS.items():
            reference = said[f"{kind}_{name}"]
            error = np.abs(getattr(greeks, name) - reference) / np.maximum(np.abs(reference), unit)
            found[f"{kind}_{name}"] = float(np.max(error))
    volatility = implied_volatility(c, said["price"])
    solved = np.isfinite(volatility)
    missed = np.abs(volatility - grid.volatility) * future.vega / STRIKE
    found["solved"] = int(solved.sum())
    found["implied_volatility_times_vega"] = float(np.max(missed[solved]))
    sure = solved & (future.vega * grid.volatility > 1e-7 * STRIKE)
    found["well_told"] = int(sure.sum())
    found["implied_volatility"] = float(np.max(np.abs(volatility - grid.volatility)[sure] / grid.volatility[sure]))
    time_value = said["price"] / c.discount - c.intrinsic
    found["unsolved_with_time_value"] = int((~solved & (time_value > 1e-12 * (c.forward + c.strike))).sum())
    repriced = black.price(c, np.where(solved, volatility, grid.volatility))
    found["repriced"] = float(np.max(np.abs(repriced - said["price"])[solved]) / STRIKE)
    return found


if __name__ == "__main__":
    whole = full_grid()
    print(f"{whole.spot.size} options")  # noqa: T201 -- that is what it is for
    for name, error in errors(whole).items():
        print(f"{name:32} {error:.3g}" if isinstance(error, float) else f"{name:32} {error}")  # noqa: T201
