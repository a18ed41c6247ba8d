"""What bars must be before they are written: in a session, unmistakable, and within what rustybt's columns hold.

Refusals name the instrument and the time. Nothing is mended, rounded or left out here. Polars only.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import ExportError

if TYPE_CHECKING:
    from pipeline_defs.schema.exports import MarketSlice

PRICES: Final = ("open", "high", "low", "close")
VALUES: Final = (*PRICES, "volume")

EXACT: Final = pl.Decimal(18, 8)
"""Type of every value in a decimal bundle: ten digits before the point, eight after it."""

MINUTE: Final = 60
DAY: Final = 86_400

_TOO_LARGE: Final = 10**10


def epoch_seconds(date: dt.date) -> int:
    """Give midnight UTC of a date in seconds since 1970, as rustybt's databases have dates.

    Parameters
    ----------
    date : datetime.date
        The date.

    Returns
    -------
    int

    """
    return (date - dt.date(1970, 1, 1)).days * DAY


def refuse_resolutions(market: MarketSlice) -> None:
    """Refuse bar lengths that rustybt has no folder for.

    Parameters
    ----------
    market : MarketSlice
        What is exported.

    Raises
    ------
    ExportError
        If a bar length is neither a minute nor a day.

    """
    for part in market.every_resolution:
        if part.bar_seconds not in {MINUTE, DAY}:
            raise ExportError(
                f"bars of {part.bar_seconds} seconds have no place in rustybt, which keeps minutes and days",
                where=market.underlying,
                next_step="export with --bars 1m,1d",
            )


def with_sessions(bars: pl.DataFrame, part: MarketSlice) -> pl.DataFrame:
    """Give every bar the date of its session, after looking at everything that rustybt would not look at.

    Parameters
    ----------
    bars : polars.DataFrame
        The slice's `bar_schema`.
    part : MarketSlice
        The slice of that resolution.

    Returns
    -------
    polars.DataFrame
        With `session_date`; the order is kept.

    Raises
    ------
    ExportError
        If columns or types are others; a value is null, a price not positive or a volume negative; high or low do not
        enclose the other prices; rows are not strictly ascending by instrument and time; a value needs more than ten
        digits before the point; a bar lies in no session; minutes are not whole, or a session has two daily bars.

    """
    if dict(bars.schema) != part.bar_schema:
        raise ExportError(f"bars came with the columns {dict(bars.schema)}, expected {part.bar_schema}")
    sessions = part.sessions.select("session_date", "open", "close").sort("close")
    dated = (
        bars.with_row_index("row")
        .sort("timestamp")
        .join_asof(
            sessions.rename({"open": "session_open", "close": "session_close"}),
            left_on="timestamp",
            right_on="session_close",
            strategy="forward",
        )
        .sort("row")
    )
    same = pl.col("instrument_id") == pl.col("instrument_id").shift()
    ascending = (pl.col("instrument_id") > pl.col("instrument_id").shift()) | (
        same & (pl.col("timestamp") > pl.col("timestamp").shift())
    )
    rules = {
        "a value is missing": pl.any_horizontal(pl.col("timestamp", *VALUES).is_null()),
        "a price is not above zero": pl.any_horizontal(pl.col(name) <= 0 for name in PRICES),
        "the volume is below zero": pl.col("volume") < 0,
        "high and low do not enclose the prices": (pl.col("high") < pl.max_horizontal("open", "low", "close"))
        | (pl.col("low") > pl.min_horizontal("open", "close")),
        "a value has more than ten digits before the point, which Decimal(18, 8) cannot hold": pl.any_horizontal(
            pl.col(name) >= _TOO_LARGE for name in VALUES
        ),
        "bars are not sorted by instrument and time, or one is there twice": ~ascending.fill_null(value=True),
        "the bar lies in no session": pl.col("session_open").is_null()
        | (pl.col("timestamp") <= pl.col("session_open")),
        "the close of a minute is not a whole minute": pl.lit(part.bar_seconds == MINUTE)
        & (pl.col("timestamp").dt.truncate("1m") != pl.col("timestamp")),
        "the session has two daily bars": pl.lit(part.bar_seconds == DAY)
        & same.fill_null(value=False)
        & (pl.col("session_date") == pl.col("session_date").shift()).fill_null(value=False),
    }
    verdicts = dated.select(is_bad.any().alias(what) for what, is_bad in rules.items())
    for what, is_bad in rules.items():
        if verdicts.item(0, what):
            _refuse(dated.filter(is_bad), what, part)
    return dated.select(*bars.columns, "session_date")


def _refuse(bad: pl.DataFrame, what: str, part: MarketSlice) -> None:
    row = bad.row(0, named=True)
    symbols = part.instruments.filter(pl.col("instrument_id") == row["instrument_id"])["symbol"]
    values = ", ".join(f"{name} {row[name]}" for name in VALUES)
    raise ExportError(
        f"{what}: {values}",
        where=f"{symbols[0] if len(symbols) else 'instrument'} ({row['instrument_id']}) at {row['timestamp']}",
        next_step="correct the import of that day, then export again",
    )
