"""What a frame of bars must be before a byte of it is written: what LEAN would misread in silence is refused.

LEAN skips a line it cannot parse, takes unsorted lines as they come, and cuts decimals that a scaled price has no place
for. Where stamps must lie is decided in `grid`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.lean.kinds import SCALE
from pipeline_defs.schema.columns import PRICE_SCALE

if TYPE_CHECKING:
    from collections.abc import Mapping

PRICES: Final = ("open", "high", "low", "close")

MINOR_UNITS: Final = 10**PRICE_SCALE // SCALE
"""Units of the last decimal of a price in one unit of a scaled file."""

_REQUIRED: Final = ("instrument_id", "timestamp", *PRICES)


def check_bars(bars: pl.DataFrame, schema: Mapping[str, pl.DataType], named: pl.DataFrame) -> None:
    """Refuse a frame that LEAN would misread.

    Parameters
    ----------
    bars : polars.DataFrame
        As a slice's reader gave it.
    schema : dict
        `MarketSlice.bar_schema`.
    named : polars.DataFrame
        Of `pipeline_defs.exports.lean.symbols.with_symbols`; for messages.

    Raises
    ------
    ExportError
        If columns or types differ from `schema`; a required value is null; rows are not strictly ascending by
        instrument and time; a high or low does not enclose the other prices; a volume or open interest is negative; a
        bar lies after its contract expired; or the reader gives an instrument that the slice does not announce.

    """
    if dict(bars.schema) != dict(schema):
        raise ExportError(f"bars came with the columns {dict(bars.schema)}, expected {dict(schema)}")
    terms = named.select("instrument_id", "expiry_close", "engine_id")
    known = bars.join(terms, on="instrument_id", how="left", maintain_order="left")
    instrument, time = pl.col("instrument_id"), pl.col("timestamp")
    ascends = (instrument > instrument.shift()) | ((instrument == instrument.shift()) & (time > time.shift()))
    encloses = (pl.col("high") >= pl.max_horizontal("open", "low", "close")) & (
        pl.col("low") <= pl.min_horizontal("open", "close")
    )
    rules = {
        "the reader gave bars of an instrument that the slice does not announce": pl.col("engine_id").is_null(),
        "a required value is missing": pl.any_horizontal(pl.col(_REQUIRED).is_null()),
        "bars are not sorted by instrument and time, or one is there twice": ~ascends,
        "high and low do not enclose the prices": ~encloses,
        "volume or open interest is negative": pl.any_horizontal(pl.col("volume", "open_interest") < 0),
        "the bar lies after its contract expired": time > pl.col("expiry_close"),
    }
    _refuse_first(known, rules, PRICES)


def check_decimals(bars: pl.DataFrame, named: pl.DataFrame, prices: tuple[str, ...] = PRICES) -> None:
    """Refuse prices that a scaled file cannot hold; they are never rounded.

    Parameters
    ----------
    bars : polars.DataFrame
        Rows of security types with scaled prices.
    named : polars.DataFrame
        For messages.
    prices : tuple of str, default PRICES
        Columns to look at.

    Raises
    ------
    ExportError
        If a price has more than four decimals.

    """
    rule = pl.any_horizontal(pl.col(name).to_physical() % MINOR_UNITS != 0 for name in prices)
    what = "a price has more than the four decimals that LEAN's files of this security type hold"
    if bars.select(rule.any()).item():
        terms = named.select("instrument_id", "engine_id")
        _refuse_first(bars.join(terms, on="instrument_id", how="left", maintain_order="left"), {what: rule}, prices)


def _refuse_first(bars: pl.DataFrame, rules: Mapping[str, pl.Expr], prices: tuple[str, ...]) -> None:
    verdicts = bars.select(is_bad.any().alias(what) for what, is_bad in rules.items())
    for what, is_bad in rules.items():
        if not verdicts.item(0, what):
            continue
        row = bars.filter(is_bad).row(0, named=True)
        values = ", ".join(f"{name} {row[name]}" for name in prices)
        raise ExportError(
            f"{what}: {values}",
            where=f"{row['engine_id'] or 'instrument'} ({row['instrument_id']}) at {row['timestamp']}",
            next_step="correct the import of that day, then export again",
        )
