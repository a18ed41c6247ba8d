"""What a contract that expires within an export is worth at its expiry, worked out from the slice itself.

Cash settlement on the underlying's last exported close up to the close of the contract's last session:
an option gives its intrinsic value, a future that close. The exchange's own settlement price is an
average over the last half hour and differs; see ``docs/exports/backtrader.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.exports.backtrader.text import EXCHANGE_ZONE
from pipeline_defs.schema.columns import PRICE

if TYPE_CHECKING:
    import datetime as dt

EXPIRING: Final = pl.col("kind").is_in(["OPT", "FUT"])
"""Selects the instruments that have an expiry."""


def with_settlements(named: pl.DataFrame, underlying_bars: pl.DataFrame, end: dt.datetime) -> pl.DataFrame:
    """Find at which price each contract is settled.

    Parameters
    ----------
    named : polars.DataFrame
        Instruments, as `naming.with_names` returned them.
    underlying_bars : polars.DataFrame
        `timestamp` and `close` of the underlying; empty if the slice does not hold it.
    end : datetime.datetime
        Last close of the export, UTC: contracts that expire later are not settled within it.

    Returns
    -------
    polars.DataFrame
        With `settlement_price`, `underlying_close` and `underlying_timestamp` added; all null for what
        does not expire within the export, and for what has no close of its underlying on the day of
        expiry: an older one would settle it at a wrong price.

    """
    closes = underlying_bars.select(underlying_timestamp="timestamp", underlying_close="close")
    settled = (
        named.filter(EXPIRING & (pl.col("expiry_close") <= end))
        .select("instrument_id", "kind", "strike", "option_type", "expiry_close")
        .sort("expiry_close")
        .join_asof(
            closes.sort("underlying_timestamp"),
            left_on="expiry_close",
            right_on="underlying_timestamp",
            strategy="backward",
            coalesce=False,
        )
        .filter(_exchange_date("underlying_timestamp") == _exchange_date("expiry_close"))
    )
    direction = pl.when(pl.col("option_type") == "CE").then(1).otherwise(-1)
    intrinsic = pl.max_horizontal((pl.col("underlying_close") - pl.col("strike")) * direction, pl.lit(0, PRICE))
    price = pl.when(pl.col("kind") == "FUT").then("underlying_close").otherwise(intrinsic)
    return named.join(
        settled.select("instrument_id", "underlying_timestamp", "underlying_close", settlement_price=price.cast(PRICE)),
        on="instrument_id",
        how="left",
        maintain_order="left",
    )


def settlement_notes(settled: pl.DataFrame, end: dt.datetime, bar_seconds: int) -> list[str]:
    """Warn of contracts that cannot be settled, or only on an old price.

    Parameters
    ----------
    settled : polars.DataFrame
        What `with_settlements` returned.
    end : datetime.datetime
        Last close of the export, UTC.
    bar_seconds : int
        Resolution; a price may be so much older than the close.

    Returns
    -------
    list of str
        One sentence per kind of trouble; empty when there is none.

    """
    expired = settled.filter(EXPIRING & (pl.col("expiry_close") <= end))
    unpriced = expired.filter(pl.col("settlement_price").is_null())
    stale = expired.filter(pl.col("expiry_close") - pl.col("underlying_timestamp") > pl.duration(seconds=bar_seconds))
    undated = settled.filter(EXPIRING & pl.col("expiry_close").is_null())
    notes = []
    if unpriced.height > 0:
        notes.append(
            f"{unpriced.height} contracts expire on {_dates(unpriced)} without a bar of their underlying on that day: "
            "a position in them cannot be settled, and holding one to expiry is an error"
        )
    if stale.height > 0:
        notes.append(
            f"the underlying's last bar is more than {bar_seconds} s older than the close on {_dates(stale)}: "
            f"{stale.height} contracts are settled on it"
        )
    if undated.height > 0:
        notes.append(
            f"the session of expiry is not known on {_dates(undated)}: {undated.height} contracts never expire"
        )
    return notes


def _dates(contracts: pl.DataFrame) -> str:
    return ", ".join(contracts["expiry"].unique().sort().cast(pl.String).to_list())


def _exchange_date(column: str) -> pl.Expr:
    return pl.col(column).dt.convert_time_zone(EXCHANGE_ZONE).dt.date()
