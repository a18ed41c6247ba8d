"""What the underlying is worth at an option's expiry, from what was known when the option's bar was complete.

Each method fills the same columns. A price of the underlying is the close of its last bar that was complete by the
close of the option's bar, and no older than the parameters allow; nothing later is ever looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from pipeline_defs.greeks.black import Floats
    from pipeline_defs.greeks.parameters import GreeksParameters
    from pipeline_defs.greeks.rates import RateBook

SECONDS_A_YEAR: Final = 365 * 86_400

_EXPIRY_KEY: Final = ("underlying", "expiry")


def with_forwards(
    options: pl.DataFrame, underlyings: pl.DataFrame, book: RateBook, parameters: GreeksParameters
) -> pl.DataFrame:
    """Add time to expiry, rates and the forward to bars of options.

    Parameters
    ----------
    options : polars.DataFrame
        From `inputs.read_options`.
    underlyings : polars.DataFrame
        From `inputs.read_futures` for the method ``future``, from `inputs.read_spots` for ``spot``; ``parity`` looks at
        the options alone.
    book : RateBook
        What rates count.
    parameters : GreeksParameters
        Which method, and how old a price may be.

    Returns
    -------
    polars.DataFrame
        Besides, `time_to_expiry_years`, `rate`, `dividend_yield` (null where none was needed), `underlying_price`,
        `underlying_timestamp`, `underlying_id`, `underlying_load_id`, `forward` (null where there is none), `is_stale`:
        whether the last price was there but too old.

    Raises
    ------
    ConfigurationError
        If a rate or yield that is needed does not count on the date.

    """
    rated = _with_rates(options, book)
    if parameters.forward_method == "parity":
        return _by_parity(rated)
    chosen = _choose(rated, underlyings)
    priced = _with_prices(chosen, underlyings, parameters.max_underlying_age_seconds)
    return _carried(priced, book)


def _with_rates(options: pl.DataFrame, book: RateBook) -> pl.DataFrame:
    expiries = options.select("currency", "expiry").unique().sort("currency", "expiry")
    rated = [
        group.with_columns(rate=pl.Series(book.rates(str(currency), _days(group["expiry"], book)), dtype=pl.Float64()))
        for (currency,), group in expiries.partition_by("currency", as_dict=True).items()
    ]
    years = (pl.col("expiry_instant") - pl.col("timestamp")).dt.total_microseconds() / (SECONDS_A_YEAR * 1e6)
    return options.with_columns(time_to_expiry_years=years).join(
        pl.concat(rated), on=["currency", "expiry"], how="left", maintain_order="left"
    )


def _days(expiries: pl.Series, book: RateBook) -> Floats:
    days = expiries.to_numpy() - np.datetime64(book.trade_date, "D")
    return np.maximum(days.astype(np.float64), 0.0)


def _choose(options: pl.DataFrame, underlyings: pl.DataFrame) -> pl.DataFrame:
    """Name one instrument for each expiry of an underlying: the spot, or the future that expires with it or next."""
    listed = underlyings.select("underlying", "underlying_id", "expiry", "expiry_instant").unique("underlying_id")
    listed = listed.rename({"expiry": "underlying_expiry", "expiry_instant": "underlying_expiry_instant"})
    listed = listed.sort("underlying_expiry", "underlying_id")
    wanted = options.select(_EXPIRY_KEY).unique().sort("expiry", "underlying")
    spots = wanted.join(listed.filter(pl.col("underlying_expiry").is_null()), on="underlying", how="inner")
    futures = listed.filter(pl.col("underlying_expiry").is_not_null())
    ahead = _nearest(wanted, futures, "forward")
    # An option that outlives every future takes the longest one.
    behind = _nearest(wanted.join(ahead, on=_EXPIRY_KEY, how="anti"), futures, "backward")
    chosen = pl.concat([part.select(ahead.columns) for part in (spots, ahead, behind)])
    return options.join(chosen, on=_EXPIRY_KEY, how="left", maintain_order="left")


def _nearest(wanted: pl.DataFrame, futures: pl.DataFrame, strategy: str) -> pl.DataFrame:
    found = wanted.sort("expiry").join_asof(
        futures,
        left_on="expiry",
        right_on="underlying_expiry",
        by="underlying",
        strategy="forward" if strategy == "forward" else "backward",
        check_sortedness=False,
        coalesce=False,
    )
    columns = [*_EXPIRY_KEY, "underlying_id", "underlying_expiry", "underlying_expiry_instant"]
    return found.filter(pl.col("underlying_id").is_not_null()).select(columns)


def _with_prices(options: pl.DataFrame, underlyings: pl.DataFrame, max_age_seconds: int) -> pl.DataFrame:
    """Look back, never ahead: the last bar of the underlying that closed by the close of the option's."""
    prices = underlyings.select(
        "underlying_id",
        underlying_timestamp=pl.col("timestamp"),
        underlying_price=pl.col("price"),
        underlying_load_id=pl.col("load_id"),
    ).sort("underlying_timestamp")
    matched = options.sort("timestamp", "instrument_id").join_asof(
        prices,
        left_on="timestamp",
        right_on="underlying_timestamp",
        by="underlying_id",
        strategy="backward",
        check_sortedness=False,
        coalesce=False,
    )
    is_stale = (pl.col("timestamp") - pl.col("underlying_timestamp")) > pl.duration(seconds=max_age_seconds)
    known = ("underlying_price", "underlying_timestamp", "underlying_load_id")
    return matched.with_columns(is_stale=is_stale.fill_null(value=False)).with_columns(
        *(pl.when(~pl.col("is_stale")).then(pl.col(name)).alias(name) for name in known),
        underlying_id=pl.when(~pl.col("is_stale") & pl.col("underlying_price").is_not_null()).then("underlying_id"),
    )


def _carried(options: pl.DataFrame, book: RateBook) -> pl.DataFrame:
    """Carry the price from the date it is for to the option's expiry, at rate less yield."""
    is_spot = pl.col("underlying_expiry_instant").is_null()
    since = pl.when(is_spot).then(pl.col("timestamp")).otherwise(pl.col("underlying_expiry_instant"))
    carried_years = (pl.col("expiry_instant") - since).dt.total_microseconds() / (SECONDS_A_YEAR * 1e6)
    needs_yield = pl.col("underlying_price").is_not_null() & (is_spot | (carried_years != 0))
    marked = options.with_columns(carried_years=carried_years, needs_yield=needs_yield)
    names = marked.filter("needs_yield")["underlying"].unique().sort().to_list()
    yields = pl.DataFrame(
        {"underlying": names, "found_yield": [book.dividend_yield(name) for name in names]},
        schema={"underlying": pl.String(), "found_yield": pl.Float64()},
    )
    dividend_yield = pl.when("needs_yield").then("found_yield")
    price = pl.col("underlying_price").cast(pl.Float64())
    growth = ((pl.col("rate") - pl.col("dividend_yield")) * pl.col("carried_years")).exp()
    return (
        marked.join(yields, on="underlying", how="left", maintain_order="left")
        .with_columns(dividend_yield=dividend_yield)
        .with_columns(forward=pl.when("needs_yield").then(price * growth).otherwise(price))
    )


def _by_parity(options: pl.DataFrame) -> pl.DataFrame:
    """Take the pair whose call and put differ least: there an error of either matters least."""
    traded = options.filter("is_traded").with_columns(value=pl.col("price").cast(pl.Float64()))
    instant = ["timestamp", *_EXPIRY_KEY]
    calls = traded.filter("is_call").select(*instant, "strike", "value", "rate", "time_to_expiry_years")
    puts = traded.filter(~pl.col("is_call")).select(*instant, "strike", put="value")
    pairs = calls.join(puts, on=[*instant, "strike"], how="inner").with_columns(
        difference=pl.col("value") - pl.col("put")
    )
    growth = (pl.col("rate") * pl.col("time_to_expiry_years")).exp()
    implied = (
        pairs.with_columns(
            distance=pl.col("difference").abs(), forward=pl.col("strike") + growth * pl.col("difference")
        )
        .filter(pl.col("forward") > 0)
        .sort("distance", "strike")
        .unique(instant, keep="first", maintain_order=True)
        .select(*instant, "forward")
    )
    return options.join(implied, on=instant, how="left", maintain_order="left").with_columns(
        underlying_price=pl.lit(None, pl.Decimal(20, 8)),
        underlying_timestamp=pl.lit(None, pl.Datetime("us", "UTC")),
        underlying_id=pl.lit(None, pl.Int32()),
        underlying_load_id=pl.lit(None, pl.Int64()),
        dividend_yield=pl.lit(None, pl.Float64()),
        is_stale=pl.lit(value=False),
    )
