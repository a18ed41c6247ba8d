"""Greeks in Nautilus' units, at the bars of options.

Nautilus' own calculator gives vega per percentage point of volatility and theta per day of a year of 365.25; volatility
is a fraction. Rho follows vega. Polars only; no encoding here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.exports.joined_greeks import join_greeks

if TYPE_CHECKING:
    from pipeline_defs.schema.exports import GreeksReader

_POINT: Final = 100
_DAYS_A_YEAR: Final = 365.25

_CONVERTED: Final = {
    "delta": pl.col("delta"),
    "gamma": pl.col("gamma"),
    "vega": pl.col("vega") / _POINT,
    "theta": pl.col("theta") / _DAYS_A_YEAR,
    "rho": pl.col("rho") / _POINT,
    "mark_iv": pl.col("implied_volatility"),
    "underlying_price": pl.coalesce(pl.col("underlying_price").cast(pl.Float64()), "forward"),
}

GREEKS_COLUMNS: Final = tuple(_CONVERTED)
"""Columns of Nautilus' ``OptionGreeks`` that are filled besides open interest."""

GREEKS_HASH: Final = "hash of "
"""Prefix of a column's hash, by which written and read floats are compared bit by bit."""

_SEED: Final = 20_250_814


def option_rows(bars: pl.DataFrame, read_greeks: GreeksReader | None) -> pl.DataFrame:
    """Select the bars of options of which there is something to say besides prices.

    Parameters
    ----------
    bars : polars.DataFrame
        `BAR_SCHEMA`, of options alone.
    read_greeks : GreeksReader or None
        The slice's; None when Greeks are not wanted.

    Returns
    -------
    polars.DataFrame
        Rows with `open_interest` (Float64), or with `GREEKS_COLUMNS`, or both; sorted as `bars`.

    """
    told = bars.with_columns(pl.col("open_interest").cast(pl.Float64()))
    has_interest = pl.col("open_interest").is_not_null()
    if read_greeks is None:
        return told.filter(has_interest)
    joined = join_greeks(told, read_greeks, _CONVERTED)
    return joined.filter(has_interest | pl.col("delta").is_not_null())


def hashes(frame_columns: list[str]) -> list[pl.Expr]:
    """Digest every column of Greeks that a frame has; NaN stands for absent where a column cannot be null."""
    return [
        pl.col(name).fill_nan(None).hash(seed=_SEED).sum().alias(f"{GREEKS_HASH}{name}")
        for name in GREEKS_COLUMNS
        if name in frame_columns
    ]
