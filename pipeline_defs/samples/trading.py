"""Who trades how much in which minute, and how much open interest that leaves.

Works on plain arrays of (contracts, minutes): prices come from ``prices``, days are put together in
``market``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.samples.underlyings import UNDERLYINGS

if TYPE_CHECKING:
    from pipeline_defs.samples.hours import Hours
    from pipeline_defs.samples.prices import Floats, Integers

OI_REFRESH_MINUTES: Final = 3
"""The exchange publishes open interest every three minutes; before the first time vendors write 0."""

_OPTION_LOTS_A_MINUTE: Final = 4_000.0
_FUTURE_LOTS_A_MINUTE: Final = 5_000.0
_EXPIRY_DECAY: Final = 0.35
_MONEYNESS_DECAY: Final = 3.0
_STEADY_SHARE: Final = 0.2
"""Part of trading that comes every minute: who trades much never misses one, who trades little often does."""


def draw_lots(
    contracts: pl.DataFrame, spot_paths: dict[str, Integers], hours: Hours, activity: float, rng: np.random.Generator
) -> Integers:
    """Draw the lots traded in every minute, many of them 0 where few trade.

    Parameters
    ----------
    contracts : polars.DataFrame
        `chain.CONTRACT_SCHEMA`.
    spot_paths : dict
        Prices of each underlying; the first one says how far a strike is from the money.
    hours : Hours
        The session.
    activity : float
        Trading relative to normal.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    numpy.ndarray of int64
        Shape (contracts, minutes).

    """
    terms = pl.DataFrame(
        [
            {
                "underlying": symbol,
                "spot_e4": int(path[0]),
                "volatility": UNDERLYINGS[symbol].annual_volatility,
                "relative_activity": UNDERLYINGS[symbol].activity,
            }
            for symbol, path in spot_paths.items()
        ]
    )
    days = (pl.col("expiry") - pl.lit(hours.trade_date)).dt.total_days().clip(lower_bound=1)
    distance = (pl.col("strike_e4") / pl.col("spot_e4")).log().abs() / (pl.col("volatility") * (days / 365).sqrt())
    rate = (
        pl.when(pl.col("kind") == "FUT")
        .then(_FUTURE_LOTS_A_MINUTE)
        .otherwise(_OPTION_LOTS_A_MINUTE * (-_MONEYNESS_DECAY * distance).exp())
    ) * (pl.col("relative_activity") * activity * (pl.lit(_EXPIRY_DECAY) ** (pl.col("rank") - 1)))
    rates = (
        contracts.join(terms, on="underlying", how="left", maintain_order="left").select(rate=rate)["rate"].to_numpy()
    )
    shape = busy_shape(hours.derivative_minutes)
    draws = rng.standard_exponential((len(rates), hours.derivative_minutes), dtype=np.float32)
    busyness = _STEADY_SHARE + (1 - _STEADY_SHARE) * draws
    lots = np.asarray(busyness * rates[:, None] * shape, dtype=np.int64)
    # Whoever still holds a contract on its last day closes out in the last minute.
    closing_out = (contracts["expiry"] == hours.trade_date).to_numpy() & lots.any(axis=1)
    lots[closing_out, -1] = np.maximum(lots[closing_out, -1], 1)
    return lots


def busy_shape(minutes: int) -> Floats:
    """Give relative trading by minute: busy after the open and into the close."""
    minute = np.arange(minutes)
    return np.asarray(0.6 + 1.6 * np.exp(-minute / 12) + 0.7 * np.exp((minute - minutes) / 12), dtype=np.float64)


def trade_exactly(lots: Integers, rows: int, rng: np.random.Generator) -> Integers:
    """Let exactly so many contract minutes trade, spread evenly over the contracts.

    Parameters
    ----------
    lots : numpy.ndarray of int64
        Shape (contracts, minutes); a minute without a trade that must have one gets one lot.
    rows : int
        How many minutes trade.
    rng : numpy.random.Generator
        Chooses the minutes.

    Returns
    -------
    numpy.ndarray of int64
        Same shape.

    Raises
    ------
    ConfigurationError
        If `rows` exceeds the minutes of all contracts.

    """
    contracts, minutes = lots.shape
    if rows > lots.size:
        raise ConfigurationError(
            f"{rows} rows were asked of {contracts} contracts, which have {lots.size} minutes",
            next_step="ask for fewer rows or list more contracts",
        )
    per_contract = np.full(contracts, rows // contracts)
    per_contract[: rows % contracts] += 1
    order = rng.random(lots.shape, dtype=np.float32).argsort(axis=1)
    trades = np.zeros(lots.shape, dtype=bool)
    np.put_along_axis(trades, order, np.arange(minutes) < per_contract[:, None], axis=1)
    return np.where(trades, np.maximum(lots, 1), 0)


def open_interest_by_minute(contracts: pl.DataFrame, lots: Integers, rng: np.random.Generator) -> Integers:
    """Let open interest move with trading, refreshed every three minutes and 0 before the first refresh.

    Parameters
    ----------
    contracts : polars.DataFrame
        With `lot_size` and `previous_open_interest`, where it goes on from; null starts anew.
    lots : numpy.ndarray of int64
        Lots traded, shape (contracts, minutes).
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    numpy.ndarray of int64
        Units, shape (contracts, minutes).

    """
    count, minutes = lots.shape
    lot_sizes = contracts["lot_size"].to_numpy()
    refreshes = minutes // OI_REFRESH_MINUTES + 1
    traded = lots.sum(axis=1, keepdims=True)
    invented = (traded[:, 0] * rng.uniform(0.2, 0.6, count)).astype(np.int64) + rng.integers(1, 40, count)
    carried = (contracts["previous_open_interest"] // contracts["lot_size"]).fill_null(pl.Series(invented)).to_numpy()
    changes = np.rint(rng.standard_normal((count, refreshes)) * (traded / refreshes * 0.15)).astype(np.int64)
    levels = np.maximum(carried[:, None] + np.cumsum(changes, axis=1), 1)
    first_refresh = rng.integers(1, OI_REFRESH_MINUTES + 1, (count, 1))
    refresh = (np.arange(minutes)[None] - first_refresh) // OI_REFRESH_MINUTES
    by_minute = np.take_along_axis(levels, np.maximum(refresh, 0), axis=1)
    return np.asarray(np.where(refresh >= 0, by_minute, 0) * lot_sizes[:, None], dtype=np.int64)


def traded_bars(contracts: pl.DataFrame, dense: Integers, lots: Integers, open_interest: Integers) -> pl.DataFrame:
    """Keep the minutes that traded.

    Parameters
    ----------
    contracts : polars.DataFrame
        With `lot_size`; row numbers are contract numbers.
    dense : numpy.ndarray of int64
        Prices of every minute, shape (contracts, minutes, 4).
    lots, open_interest : numpy.ndarray of int64
        Shape (contracts, minutes).

    Returns
    -------
    polars.DataFrame
        As `market.MarketDay.bars`.

    """
    contract, minute = np.nonzero(lots)
    traded_lots = lots[contract, minute]
    bars = fit_to_trades(dense[contract, minute], traded_lots)
    return pl.DataFrame(
        {
            "contract": contract.astype(np.uint32),
            "minute": minute,
            "open": bars[:, 0],
            "high": bars[:, 1],
            "low": bars[:, 2],
            "close": bars[:, 3],
            "volume": traded_lots * contracts["lot_size"].to_numpy()[contract],
            "open_interest": open_interest[contract, minute],
        }
    )


def fit_to_trades(bars: Integers, trades: Integers) -> Integers:
    """Make bars possible with few trades: one has one price, two have no other extremes, three one more.

    Parameters
    ----------
    bars : numpy.ndarray of int64
        Open, high, low, close; shape (bars, 4).
    trades : numpy.ndarray of int64
        Most trades each bar can have had.

    Returns
    -------
    numpy.ndarray of int64
        Same shape.

    """
    opens, highs, lows, closes = bars.T
    opens = np.where(trades == 1, closes, opens)
    lows = np.where(trades <= 3, np.minimum(opens, closes), lows)  # noqa: PLR2004  # see the docstring
    highs = np.where(trades <= 2, np.maximum(opens, closes), highs)  # noqa: PLR2004  # see the docstring
    return np.stack([opens, highs, lows, closes], axis=1)
