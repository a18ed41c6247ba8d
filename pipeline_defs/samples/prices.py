"""What things cost: the path of an underlying by the second, futures and options on it.

Only price models belong here: no contracts, no volumes, no text. Models compute in floats;
whatever leaves this module as a price is an integer count of 1/10,000 rupee on the tick.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

type Floats = npt.NDArray[np.float64]
type Integers = npt.NDArray[np.int64]

PRICE_SCALE: Final = 10_000
"""Prices are integers of 1/10,000 rupee (suffix ``_e4``): INDIA VIX prints four decimals."""

TICK_E4: Final = 500
"""0.05 rupee, the tick of options, and a multiple of the tick of everything else written here."""

SECONDS_PER_YEAR: Final = 365 * 86_400
TRADING_DAYS_PER_YEAR: Final = 252
CARRY_RATE: Final = 0.065
"""Yearly premium of a future over its underlying."""

_OVERNIGHT_VARIANCE_SHARE: Final = 0.2
_TAIL_DEGREES: Final = 6


def round_to_tick(prices: Floats, tick_e4: int = TICK_E4) -> Integers:
    """Round model prices to the nearest tick, never below one tick.

    Parameters
    ----------
    prices : numpy.ndarray of float64
        In rupees.
    tick_e4 : int, default 500
        Tick in 1/10,000 rupee.

    Returns
    -------
    numpy.ndarray of int64
        In 1/10,000 rupee.

    """
    ticks = np.rint(prices * (PRICE_SCALE / tick_e4)).astype(np.int64)
    return np.maximum(ticks, 1) * tick_e4


def session_path(
    rng: np.random.Generator, previous_close: float, seconds: int, annual_volatility: float, nights: int
) -> Floats:
    """Draw one session of an underlying at one-second resolution, opening with an overnight gap.

    The variance is high after the open, low at noon and rises again into the close; steps have
    fat tails.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    previous_close : float
        Last price of the session before, in rupees.
    seconds : int
        Length of the session.
    annual_volatility : float
        Yearly standard deviation of log returns.
    nights : int
        Calendar days since the session before; 0 leaves out the gap.

    Returns
    -------
    numpy.ndarray of float64
        Prices in rupees, one for each second.

    """
    position = np.linspace(0.0, 1.0, seconds)
    shape = 0.75 + 1.1 * np.exp(-position / 0.06) + 0.4 * np.exp((position - 1.0) / 0.08)
    shape /= np.sqrt(np.mean(shape**2))
    daily = annual_volatility / np.sqrt(TRADING_DAYS_PER_YEAR)
    unit_steps = rng.standard_t(_TAIL_DEGREES, seconds) * np.sqrt((_TAIL_DEGREES - 2) / _TAIL_DEGREES)
    steps = unit_steps * shape * daily * np.sqrt((1 - _OVERNIGHT_VARIANCE_SHARE) / seconds)
    # A weekend moves prices more than one night, but not three times as much.
    steps[0] += rng.standard_normal() * daily * np.sqrt(_OVERNIGHT_VARIANCE_SHARE) * nights**0.25 * (nights > 0)
    return np.asarray(previous_close * np.exp(np.cumsum(steps)), dtype=np.float64)


def bars_by_minute(path_e4: Integers) -> Integers:
    """Fold a one-second path into open, high, low, close of each minute.

    Parameters
    ----------
    path_e4 : numpy.ndarray of int64
        One price a second; whole minutes.

    Returns
    -------
    numpy.ndarray of int64
        Shape (minutes, 4).

    """
    by_minute = path_e4.reshape(-1, 60)
    return np.stack([by_minute[:, 0], by_minute.max(axis=1), by_minute.min(axis=1), by_minute[:, -1]], axis=1)


def future_bars(spot_bars_e4: Integers, years: Floats, noise: Floats) -> Integers:
    """Price a future at the cost of carry over the bars of its underlying.

    Parameters
    ----------
    spot_bars_e4 : numpy.ndarray of int64
        Shape (minutes, 4).
    years : numpy.ndarray of float64
        Time to expiry at the points of `spot_bars_e4`, same shape.
    noise : numpy.ndarray of float64
        Relative basis noise by minute, shape (minutes,).

    Returns
    -------
    numpy.ndarray of int64
        Shape (minutes, 4), on the tick.

    """
    return enclose(
        round_to_tick(spot_bars_e4 / PRICE_SCALE * np.exp(CARRY_RATE * years) * (1.0 + noise[:, None])),
    )


def enclose(points_e4: Integers) -> Integers:
    """Make highs and lows of the extremes of four prices: time passes within a bar, too, not only the underlying.

    Parameters
    ----------
    points_e4 : numpy.ndarray of int64
        Prices at the open, high, low and close of the underlying, in the last axis.

    Returns
    -------
    numpy.ndarray of int64
        Same shape: open, high, low, close.

    """
    bars = points_e4.copy()
    bars[..., 1] = points_e4.max(axis=-1)
    bars[..., 2] = points_e4.min(axis=-1)
    return bars


def out_of_the_money_premiums(
    spot_e4: Integers, strikes_e4: Integers, years: Floats, at_the_money_volatility: float
) -> Integers:
    """Price the out-of-the-money option of each strike by Black-Scholes with a smile.

    The option on the other side of the strike costs this premium plus its intrinsic value: call/put
    parity then holds to the paisa and no option trades below intrinsic. Carry is left out of
    options (rate zero) so that both can be checked against the index printed beside them.

    Parameters
    ----------
    spot_e4 : numpy.ndarray of int64
        Underlying as printed, shape (points,).
    strikes_e4 : numpy.ndarray of int64
        Shape (strikes,).
    years : numpy.ndarray of float64
        Time to expiry at each point, shape (points,); 0 at expiry.
    at_the_money_volatility : float
        Yearly volatility where strike and underlying meet.

    Returns
    -------
    numpy.ndarray of int64
        Shape (strikes, points), on the tick and at least one tick.

    Notes
    -----
    Black and Scholes (1973); the smile is a parabola in standardised log-moneyness, steeper on the
    side of the puts, as seen in index options.

    """
    spot = spot_e4 / PRICE_SCALE
    strikes = strikes_e4[:, None] / PRICE_SCALE
    root = np.sqrt(np.maximum(years, 0.0))
    log_moneyness = np.log(strikes / spot)
    # A day's worth of time at least: the smile must not explode in the last minutes.
    scale = at_the_money_volatility * np.maximum(root, np.sqrt(1.0 / 365))
    distance = np.clip(log_moneyness / scale, -4.0, 4.0)
    deviation = at_the_money_volatility * (1.0 - 0.03 * distance + 0.015 * distance**2) * root
    side = np.where(strikes >= spot, 1.0, -1.0)
    safe = np.maximum(deviation, 1e-9)
    upper = -log_moneyness / safe + 0.5 * safe
    premium = side * (spot * _normal_cdf(side * upper) - strikes * _normal_cdf(side * (upper - safe)))
    return round_to_tick(np.maximum(premium, 0.0))


def _normal_cdf(x: Floats) -> Floats:
    """Cumulative normal distribution, absolute error below 7.5e-8 (Abramowitz and Stegun 26.2.17)."""
    t = 1.0 / (1.0 + 0.2316419 * np.abs(x))
    polynomial = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    tail = np.exp(-0.5 * x * x) * (1.0 / np.sqrt(2.0 * np.pi)) * polynomial
    return np.asarray(np.where(x >= 0.0, 1.0 - tail, tail), dtype=np.float64)
