"""At which price the engine will settle the options of a slice, worked out from the slice itself.

Nautilus settles an option on the last price of its underlying before `expiration_ns`, however old,
and leaves the position open when there is none. Both are worth knowing before a backtest, so the
export says them and the verification expects them. Polars only; Nautilus is not imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    import datetime as dt

IS_UNDERLYING: Final = (pl.col("kind").is_in(["SPOT", "EQ"])) & (
    pl.col("engine_id") == pl.concat_str("root", pl.lit("."), "venue")
)
"""Selects the instruments that options can be settled on."""


def settlements(options: pl.DataFrame, underlying_bars: pl.DataFrame, end: dt.datetime) -> pl.DataFrame:
    """Find the price on which each expiry inside a partition will be settled.

    Parameters
    ----------
    options : polars.DataFrame
        `expiry` and `expiry_close` of the options.
    underlying_bars : polars.DataFrame
        `timestamp` and `close` of the underlying, sorted by time; may be empty.
    end : datetime.datetime
        End of the partition, UTC: later expiries are left out.

    Returns
    -------
    polars.DataFrame
        `expiry`, `expiry_close`, and `timestamp` and `close` of the underlying's last bar up to then,
        null where there is none; sorted by expiry.

    """
    expiries = options.filter(pl.col("expiry_close") <= end).select("expiry", "expiry_close").unique()
    prices = underlying_bars.select("timestamp", "close")
    return (
        expiries.sort("expiry_close")
        .join_asof(
            prices.with_columns(priced_at="timestamp").sort("timestamp"),
            left_on="expiry_close",
            right_on="timestamp",
            strategy="backward",
        )
        .select("expiry", "expiry_close", timestamp="priced_at", close="close")
        .sort("expiry")
    )


def settlement_notes(expiries: pl.DataFrame, underlying: str, bar_seconds: int) -> list[str]:
    """Warn of expiries that the engine cannot settle, or only on an old price.

    Parameters
    ----------
    expiries : polars.DataFrame
        What `settlements` returned.
    underlying : str
        Nautilus id of the underlying.
    bar_seconds : int
        Resolution; a price may be so much older than the close.

    Returns
    -------
    list of str
        One sentence per kind of trouble; empty when there is none.

    """
    unpriced = expiries.filter(pl.col("close").is_null())
    age = pl.col("expiry_close") - pl.col("timestamp")
    stale = expiries.filter(age > pl.duration(seconds=bar_seconds))
    notes = []
    if unpriced.height > 0:
        notes.append(
            f"no bar of {underlying} before the expiries {_dates(unpriced)}: the engine will not settle these options"
        )
    if stale.height > 0:
        notes.append(
            f"the last bar of {underlying} is older than {bar_seconds} s at the expiries {_dates(stale)}: "
            "the engine will settle these options on it"
        )
    return notes


def _dates(expiries: pl.DataFrame) -> str:
    return ", ".join(expiries["expiry"].cast(pl.String).to_list())
