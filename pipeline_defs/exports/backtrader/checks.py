"""What a frame of bars must be before a byte of it is written.

Backtrader accepts unsorted rows, rows that are there twice and bars whose high lies below their low,
and holds every number as a binary double. So everything that would be misread in silence is refused
here, once, for whole frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.schema.columns import PRICE_SCALE

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from pipeline_defs.schema.exports import MarketSlice

PRICES: Final = ("open", "high", "low", "close")

_REQUIRED: Final = ("instrument_id", "timestamp", *PRICES)
_EXACT_DIGITS: Final = 15
"""Significant decimal digits that every binary double gives back unchanged (IEEE 754)."""
_EXACT_INTEGER: Final = 2**53


def check_bars(bars: pl.DataFrame, schema: dict[str, pl.DataType], start: dt.datetime, end: dt.datetime) -> None:
    """Refuse a frame that Backtrader would misread.

    Parameters
    ----------
    bars : polars.DataFrame
        Of one resolution of the slice.
    schema : dict
        `MarketSlice.bar_schema`.
    start, end : datetime.datetime
        Bounds of the export: the first open and the last close, UTC.

    Raises
    ------
    ExportError
        If columns or types differ from `schema`; a required value is null; rows are not strictly
        ascending by instrument and time; a high or low does not enclose the other prices; a volume
        or open interest is negative; a price has more digits than a double holds; a stamp has a
        fraction of a second or lies outside the bounds.

    """
    if dict(bars.schema) != schema:
        raise ExportError(f"bars came with the columns {dict(bars.schema)}, expected {schema}")
    instrument, time = pl.col("instrument_id"), pl.col("timestamp")
    ascends = (instrument > instrument.shift()) | ((instrument == instrument.shift()) & (time > time.shift()))
    encloses = (pl.col("high") >= pl.max_horizontal("open", "low", "close")) & (
        pl.col("low") <= pl.min_horizontal("open", "close")
    )
    counted = pl.col("volume", "open_interest").is_between(0, _EXACT_INTEGER)
    rules = {
        "a required value is missing": pl.any_horizontal(pl.col(_REQUIRED).is_null()),
        "bars are not sorted by instrument and time, or one is there twice": ~ascends,
        "high and low do not enclose the prices": ~encloses,
        f"volume and open interest are not between 0 and {_EXACT_INTEGER}": ~pl.all_horizontal(counted),
        f"a price has more than the {_EXACT_DIGITS} digits that Backtrader's floats hold": _is_blurred(bars, PRICES),
        "the stamp has a fraction of a second, which the files cannot hold": time.dt.microsecond() != 0,
        f"the close stamp lies outside the sessions, {start.isoformat()} to {end.isoformat()}": (
            (time <= start) | (time > end)
        ),
    }
    verdicts = bars.select(is_bad.any().alias(what) for what, is_bad in rules.items())
    for what, is_bad in rules.items():
        if verdicts.item(0, what):
            _refuse(bars, what, is_bad)


def check_expiries(bars: pl.DataFrame, terms: pl.DataFrame) -> None:
    """Refuse bars of a contract after its expiry, by which time it has been settled.

    Parameters
    ----------
    bars : polars.DataFrame
        Of one resolution of the slice.
    terms : polars.DataFrame
        `instrument_id` and `expiry_close` of the frame's instruments.

    Raises
    ------
    ExportError
        If a bar's stamp lies after the close of the contract's last session.

    """
    closes = terms.select("instrument_id", "expiry_close").drop_nulls()
    late = bars.join(closes, on="instrument_id").filter(pl.col("timestamp") > pl.col("expiry_close"))
    if late.height > 0:
        _refuse(late, f"the bar lies after its contract expired at {late.item(0, 'expiry_close')}", pl.lit(value=True))


def refuse_repeated_hours(market: MarketSlice) -> None:
    """Refuse sessions in which the exchange's clock is put back or forward: files hold its time without a zone.

    Parameters
    ----------
    market : MarketSlice
        What is exported.

    Raises
    ------
    ExportError
        If the clock changes between the open and the close of a session.

    """
    offsets = (
        pl.col(name).dt.convert_time_zone(market.timezone).dt.dst_offset()
        + pl.col(name).dt.convert_time_zone(market.timezone).dt.base_utc_offset()
        for name in ("open", "close")
    )
    first, last = offsets
    for row in market.sessions.filter(first != last).head(1).iter_rows(named=True):
        raise ExportError(
            f"the clock of {market.timezone} is changed within the session of {row['session_date']}, from "
            f"{row['open']} to {row['close']}: times without a zone would be there twice",
            where=market.underlying,
            next_step="give the market the zone UTC, or export the days before and after apart",
        )


def is_volume_blurred(bars: pl.DataFrame) -> pl.Expr:
    """Tell whether a volume has more digits than Backtrader's floats hold, which is noted and not refused.

    Parameters
    ----------
    bars : polars.DataFrame
        Checked.

    Returns
    -------
    polars.Expr
        Of each row; false for volumes that count whole units, which `check_bars` bounds.

    """
    return _is_blurred(bars, ("volume",)) if bars.schema["volume"].is_decimal() else pl.lit(value=False)


def _is_blurred(bars: pl.DataFrame, decimals: Sequence[str]) -> pl.Expr:
    """Tell whether a decimal of a row has more digits than a float holds; zeros at the end do not count."""
    limit = 10**_EXACT_DIGITS
    minor_units = [pl.col(name).to_physical().fill_null(0).abs() for name in decimals]
    # Below ten million, a decimal fits whatever its decimals: one look tells that nothing else needs to be computed.
    if not bars.select(pl.any_horizontal(minor >= limit for minor in minor_units).any()).item():
        return pl.lit(value=False)
    return ~pl.all_horizontal(
        (minor < limit)
        | pl.any_horizontal(
            (minor % 10**zeros == 0) & (minor // 10**zeros < limit) for zeros in range(1, PRICE_SCALE + 1)
        )
        for minor in minor_units
    )


def _refuse(bars: pl.DataFrame, what: str, is_bad: pl.Expr) -> None:
    """Raise for the first bad bar."""
    row = bars.filter(is_bad).row(0, named=True)
    values = ", ".join(f"{name} {row[name]}" for name in (*PRICES, "volume", "open_interest"))
    raise ExportError(
        f"{what}: {values}",
        where=f"instrument {row['instrument_id']} at {row['timestamp']}",
        next_step="correct the import of that day, then export again",
    )
