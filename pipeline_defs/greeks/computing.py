"""From bars with a forward to implied volatility and Greeks; whole columns, no database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from pipeline_defs.greeks import black
from pipeline_defs.greeks.implied import implied_volatility
from pipeline_defs.greeks.masking import with_reasons

if TYPE_CHECKING:
    from pipeline_defs.greeks.parameters import GreeksParameters

NUMBERS: Final = ("implied_volatility", "delta", "gamma", "vega", "theta", "rho")
"""What is computed; null together."""


def with_greeks(options: pl.DataFrame, parameters: GreeksParameters) -> pl.DataFrame:
    """Add implied volatility and Greeks, or the reason for having none.

    Parameters
    ----------
    options : polars.DataFrame
        From `forwards.with_forwards`.
    parameters : GreeksParameters
        Say which model's Greeks.

    Returns
    -------
    polars.DataFrame
        With `NUMBERS` and `reason`: a row has all of the first or the second, never both.

    """
    judged = with_reasons(options)
    is_possible = judged["reason"].is_null()
    possible = judged.filter(is_possible)
    columns = _compute(possible, parameters.model)
    finite = np.logical_and.reduce([np.isfinite(columns[name]) for name in NUMBERS])
    rows = np.flatnonzero(is_possible.to_numpy())
    filled = {}
    for name in NUMBERS:
        column = np.full(judged.height, np.nan)
        column[rows[finite]] = columns[name][finite]
        filled[name] = pl.Series(name, column).fill_nan(None)
    return judged.with_columns(**filled).with_columns(
        reason=pl.when(pl.col("reason").is_null() & pl.col("implied_volatility").is_null())
        .then(pl.lit("unsolved"))
        .otherwise("reason")
    )


def _compute(options: pl.DataFrame, model: str) -> dict[str, black.Floats]:
    contracts = black.Contracts(
        *(options[name].to_numpy() for name in ("forward", "strike", "time_to_expiry_years", "rate", "is_call"))
    )
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        volatility = implied_volatility(contracts, _floats(options["price"]))
        if model == "black_76":
            greeks = black.futures_greeks(contracts, volatility)
        else:
            spot, dividend_yield = _floats(options["underlying_price"]), _floats(options["dividend_yield"])
            greeks = black.spot_greeks(contracts, volatility, spot, dividend_yield)
    return {"implied_volatility": volatility, **{name: getattr(greeks, name) for name in NUMBERS[1:]}}


def _floats(column: pl.Series) -> black.Floats:
    return np.asarray(column.cast(pl.Float64()).to_numpy(), dtype=np.float64)
