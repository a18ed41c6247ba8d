"""Which bars have no implied volatility, and why: the first reason that holds.

What cannot be computed is left empty. Nothing is clipped, floored or carried forward.
"""

from __future__ import annotations

from typing import Final

import polars as pl

RESOLUTION: Final = 1e-12
"""Time value below this part of forward and strike is rounding error of the doubles, not a price."""

REASONS: Final = {
    "expired": "the bar closed at or after the contract's expiry",
    "no_trade": "no unit was traded in the bar, or its volume is not known: the price is an older one",
    "no_underlying": "no price of the underlying was known by then",
    "stale_underlying": "the last price of the underlying was older than allowed",
    "below_intrinsic": "the price is at or below the discounted intrinsic value",
    "above_bound": "the price is at or above the discounted forward (call) or strike (put)",
    "unsolved": "no volatility was found that gives the price, or a Greek is not finite",
}
"""Every reason, in the order in which they are looked for."""


def with_reasons(options: pl.DataFrame) -> pl.DataFrame:
    """Add the reason for which a bar can have no implied volatility.

    Parameters
    ----------
    options : polars.DataFrame
        From `forwards.with_forwards`.

    Returns
    -------
    polars.DataFrame
        With `reason`: of `REASONS`, or null where the price lies strictly between its bounds.

    """
    forward, strike = pl.col("forward"), pl.col("strike")
    undiscounted = pl.col("price").cast(pl.Float64()) * (pl.col("rate") * pl.col("time_to_expiry_years")).exp()
    intrinsic = pl.when("is_call").then(forward - strike).otherwise(strike - forward).clip(lower_bound=0.0)
    bound = pl.when("is_call").then(forward).otherwise(strike)
    smallest = RESOLUTION * (forward + strike)
    verdicts = {
        "expired": pl.col("time_to_expiry_years") <= 0,
        "no_trade": ~pl.col("is_traded"),
        "stale_underlying": pl.col("is_stale"),
        "no_underlying": forward.is_null(),
        "below_intrinsic": undiscounted - intrinsic <= smallest,
        "above_bound": bound - undiscounted <= smallest,
    }
    return options.with_columns(
        reason=pl.coalesce(pl.when(holds).then(pl.lit(reason)) for reason, holds in verdicts.items())
    )
