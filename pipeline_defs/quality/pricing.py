"""Prices of options against what no price can be: below exercise, or above all it can bring; and put against call.

With interest between none and `MOST_INTEREST` and dividends up to `MOST_DIVIDENDS`, both a year, and the underlying
anywhere between its lowest and highest price of the minutes around the print:

    call  >=  S_low exp(-q T) - K           call  <=  S_high
    put   >=  K exp(-r T) - S_high          put   <=  K

(Merton 1973, *Theory of rational option pricing*.) The underlying's price is that of its index or share, else its
nearest future. Prints of an illiquid strike are not simultaneous with the index, which `TOLERANCE` allows for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.quality.day import IN_DAY
from pipeline_defs.quality.rows import describe_rows, first_of
from pipeline_defs.quality.specs import FUTURES, SPOT, Outcome
from pipeline_defs.schema.columns import TIMESTAMP

if TYPE_CHECKING:
    from pipeline_defs.quality.day import Day

MOST_INTEREST: Final = 0.10
MOST_DIVIDENDS: Final = 0.03
TOLERANCE: Final = 0.005
"""Part of the underlying's price."""

_LONGEST_BAR_SECONDS: Final = 3_600
_MINUTE: Final = 60_000_000
"""Microseconds."""

_DAYS_A_YEAR: Final = 365.0

# The underlying's minutes from the options' own source, else from any: another vendor's index is the same index.
_REFERENCE: Final = f"""
SELECT t.underlying, o."timestamp", min(o.low) AS low, max(o.high) AS high, t.expiry, o.source = %(source)s AS own
FROM __TABLE__ AS o
JOIN instrument_terms AS t ON t.instrument_id = o.instrument_id AND t.kind = ANY (%(kinds)s)
    AND t.valid_from <= %(trade_date)s AND t.valid_to > %(trade_date)s AND t.underlying = ANY (%(underlyings)s)
WHERE {IN_DAY.replace("o.source = %(source)s", "o.bar_seconds = 60")} AND o.open IS NOT NULL
GROUP BY t.underlying, o."timestamp", t.expiry, o.source
"""

_REFERENCE_SCHEMA: Final[dict[str, pl.DataType]] = {
    "underlying": pl.String(),
    "timestamp": TIMESTAMP,
    "low": pl.Float64(),
    "high": pl.Float64(),
    "expiry": pl.Date(),
    "own": pl.String(),
}


def priced_options(day: Day, series: pl.DataFrame) -> pl.DataFrame:
    """Put beside each price of an option what its underlying cost at that time.

    Parameters
    ----------
    day : Day
        The partition.
    series : polars.DataFrame
        Its prices, as `pipeline_defs.quality.series.read_series` gives them.

    Returns
    -------
    polars.DataFrame
        Rows of `series` with the option's terms, ``spot_low`` and ``spot_high`` of the minutes around, and ``years`` to
        expiry; those without an underlying's price are left out.

    """
    reference = _reference(day)
    terms = day.instruments.select(
        "instrument_id",
        "underlying",
        "expiry",
        "strike",
        is_call=pl.col("option_type") == "CE",
        years=(pl.col("expiry") - day.trade_date).dt.total_days().clip(0) / _DAYS_A_YEAR,
    ).join(reference.select("underlying").unique(), on="underlying", how="semi")
    minute = ((pl.col("timestamp").to_physical() + _MINUTE - 1) // _MINUTE * _MINUTE).cast(TIMESTAMP)
    return (
        series.filter(pl.col("bar_seconds") <= _LONGEST_BAR_SECONDS)
        .join(terms, on="instrument_id", how="inner")
        .with_columns(minute=minute)
        .join(reference, left_on=["underlying", "minute"], right_on=["underlying", "timestamp"], how="inner")
        .with_columns(tolerance=TOLERANCE * pl.col("spot_high") + pl.col("tick_size"))
    )


def judge_bounds(day: Day, priced: pl.DataFrame) -> Outcome:
    """Hold option prices against their bounds.

    Parameters
    ----------
    day : Day
        The partition.
    priced : polars.DataFrame
        As `priced_options` gives it.

    Returns
    -------
    Outcome

    """
    is_call = pl.col("is_call")
    low, high, strike, years = pl.col("spot_low"), pl.col("spot_high"), pl.col("strike"), pl.col("years")
    least = (
        pl.when(is_call)
        .then(low * (-MOST_DIVIDENDS * years).exp() - strike)
        .otherwise(strike * (-MOST_INTEREST * years).exp() - high)
        .clip(0.0)
    )
    bounded = priced.with_columns(least=least, most=pl.when(is_call).then(high).otherwise(strike))
    close, tolerance = pl.col("close"), pl.col("tolerance")
    outside = bounded.filter((close < pl.col("least") - tolerance) | (close > pl.col("most") + tolerance))
    shown = first_of(outside)
    notes = [
        f"expected {least:.2f} to {most:.2f}, the underlying being {low:.10g} to {high:.10g}"
        for least, most, low, high in shown.select("least", "most", "spot_low", "spot_high").iter_rows()
    ]
    return Outcome(
        priced.height,
        outside.height,
        f"prices between exercise and the most they can bring, give or take {TOLERANCE:.1%} of the underlying",
        _found(priced, f"{outside.height} of {priced.height} prices outside"),
        failures=describe_rows(day, shown, notes),
    )


def judge_parity(day: Day, priced: pl.DataFrame) -> Outcome:
    """Hold calls against puts of the same strike, expiry and time.

    Parameters
    ----------
    day : Day
        The partition.
    priced : polars.DataFrame
        As `priced_options` gives it.

    Returns
    -------
    Outcome
        `examined` counts pairs.

    """
    contract = ["bar_seconds", "timestamp", "underlying", "expiry", "strike"]
    bars = priced.filter(pl.col("bar_seconds") > 0)
    calls = bars.filter("is_call")
    puts = bars.filter(~pl.col("is_call")).select(*contract, put="close", put_id="instrument_id")
    pairs = calls.join(puts, on=contract, how="inner")
    carried = (MOST_INTEREST * pl.col("strike") + MOST_DIVIDENDS * pl.col("spot_high")) * pl.col("years")
    deviation = pl.col("close") - pl.col("put") - (pl.col("spot_low") + pl.col("spot_high")) / 2 + pl.col("strike")
    allowed = carried + pl.col("spot_high") - pl.col("spot_low") + 2 * pl.col("tolerance")
    off = pairs.with_columns(deviation=deviation).filter(deviation.abs() > allowed)
    shown = first_of(off)
    notes = [
        f"with a put at {put:.10g} it is {off_by:+.2f} off"
        for put, off_by in shown.select("put", "deviation").iter_rows()
    ]
    return Outcome(
        pairs.height,
        off.height,
        "call less put is the underlying less the strike, give or take interest and dividends",
        _found(pairs, f"{off.height} of {pairs.height} pairs off"),
        failures=describe_rows(day, shown, notes),
    )


def _found(examined: pl.DataFrame, found: str) -> str:
    return found if examined.height else "no price of the underlying to compare with"


def _reference(day: Day) -> pl.DataFrame:
    """Lowest and highest price of each underlying in the minute of a print and those beside it."""
    wanted = day.instruments["underlying"].unique().to_list()
    spot = _read_reference(day, SPOT, ["SPOT", "EQ"], wanted)
    missing = sorted(set(wanted) - set(spot["underlying"]))
    futures = _read_reference(day, FUTURES, ["FUT"], missing)
    years = (pl.col("expiry") - day.trade_date).dt.total_days() / _DAYS_A_YEAR
    futures = futures.with_columns(low=pl.col("low") * (-MOST_INTEREST * years).exp())
    return (
        pl.concat([spot, futures])
        .sort("underlying", "timestamp")
        .with_columns(
            spot_low=pl.min_horizontal("low", *(pl.col("low").shift(step).over("underlying") for step in (-1, 1))),
            spot_high=pl.max_horizontal("high", *(pl.col("high").shift(step).over("underlying") for step in (-1, 1))),
        )
        .select("underlying", "timestamp", "spot_low", "spot_high")
    )


def _read_reference(day: Day, table: str, kinds: list[str], underlyings: list[str]) -> pl.DataFrame:
    if not underlyings:
        return pl.DataFrame(schema=_REFERENCE_SCHEMA)
    query = _REFERENCE.replace("__TABLE__", table)
    found = day.read(query, _REFERENCE_SCHEMA, kinds=kinds, underlyings=underlyings)
    # One series an underlying: its own source before others, the nearest expiry before later ones.
    best = (
        found.select("underlying", "own", "expiry")
        .unique()
        .sort(["underlying", "own", "expiry"], descending=[False, True, False], nulls_last=True)
        .unique("underlying", keep="first", maintain_order=True)
    )
    return (
        found.join(best, on=["underlying", "own", "expiry"], how="semi", nulls_equal=True)
        .group_by("underlying", "timestamp", "expiry", "own")
        .agg(pl.col("low").min(), pl.col("high").max())
        .select(list(_REFERENCE_SCHEMA))
    )
