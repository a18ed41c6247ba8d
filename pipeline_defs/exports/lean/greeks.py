"""Greeks of a universe: those of the last bar of the day that has any, in LEAN's units.

LEAN's own universes of SPX give vega and rho per percentage point and theta per day of a year of 365; volatility is a
fraction. Ten decimals: the gamma of an index option has but two digits before the seventh.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from pipeline_defs.schema.exports import MarketSlice

_POINT: Final = 100
_DAYS_A_YEAR: Final = 365
_DECIMALS: Final = pl.Decimal(38, 10)
_INSTANT: Final = dt.timedelta(microseconds=1)

_CONVERTED: Final = {
    "implied_volatility": pl.col("implied_volatility"),
    "delta": pl.col("delta"),
    "gamma": pl.col("gamma"),
    "vega": pl.col("vega") / _POINT,
    "theta": pl.col("theta") / _DAYS_A_YEAR,
    "rho": pl.col("rho") / _POINT,
}

GREEKS_COLUMNS: Final = tuple(_CONVERTED)
"""In the order of the file."""


def with_greeks(daily: pl.DataFrame, market: MarketSlice) -> pl.DataFrame:
    """Add the day's last Greeks to daily bars.

    Parameters
    ----------
    daily : polars.DataFrame
        Of `universes.daily_bars`.
    market : MarketSlice
        The slice.

    Returns
    -------
    polars.DataFrame
        With `GREEKS_COLUMNS`, null for what has none; as it came when the slice is without Greeks.

    """
    if market.read_greeks is None:
        return daily
    day = (pl.col("timestamp") - _INSTANT).dt.convert_time_zone(market.timezone).dt.date()
    parts = [
        part.group_by("instrument_id", session_date=day, maintain_order=True)
        .last()
        .select("instrument_id", "session_date", **_CONVERTED)
        for part in market.read_greeks()
    ]
    nothing = {"instrument_id": pl.Int32(), "session_date": pl.Date(), **dict.fromkeys(GREEKS_COLUMNS, pl.Float64())}
    greeks = pl.concat([pl.DataFrame(schema=nothing), *parts]).with_columns(
        pl.col(GREEKS_COLUMNS).round(_DECIMALS.scale).cast(_DECIMALS)
    )
    return daily.join(greeks, on=["instrument_id", "session_date"], how="left", maintain_order="left")
