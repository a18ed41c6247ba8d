"""What a contract that expires within an export is worth at its expiry.

The exchange's own settlement price where the slice has it. Otherwise cash settlement on the underlying's last exported
close up to the close of the contract's last session: an option gives its intrinsic value, a future that close. The two
differ, since exchanges average over the last half hour or so; see ``docs/exports/backtrader.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.schema.columns import PRICE

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.schema.exports import MarketSlice

EXPIRING: Final = pl.col("kind").is_in(["OPT", "FUT"])
"""Selects the instruments that have an expiry."""

BY_EXCHANGE: Final = "exchange"
BY_LAST_BAR: Final = "last underlying bar"


def with_settlements(named: pl.DataFrame, underlying_bars: pl.DataFrame, market: MarketSlice) -> pl.DataFrame:
    """Find at which price each contract is settled.

    Parameters
    ----------
    named : polars.DataFrame
        Instruments, as `naming.with_names` returned them.
    underlying_bars : polars.DataFrame
        `timestamp` and `close` of the underlying; empty if the slice does not hold it.
    market : MarketSlice
        Gives the official settlements, the zone, and the last close: what expires later is not settled.

    Returns
    -------
    polars.DataFrame
        With `settlement_price`, `settlement_basis`, `underlying_close` and `underlying_timestamp` added; all null for
        what does not expire within the export, and for what has neither an official price nor a close of its underlying
        on the day of expiry: an older one would settle it at a wrong price.

    """
    expired = named.filter(EXPIRING & (pl.col("expiry_close") <= last_close(market)))
    official = _official(expired, market.settlements)
    rest = expired.join(official, on="instrument_id", how="anti")
    return named.join(
        pl.concat([official, _on_last_bars(rest, underlying_bars, market.timezone)]),
        on="instrument_id",
        how="left",
        maintain_order="left",
    )


def last_close(market: MarketSlice) -> dt.datetime:
    """Give the last close of a slice, UTC."""
    end: dt.datetime = market.sessions.select(pl.col("close").max()).item()
    return end


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


def _official(expired: pl.DataFrame, settlements: pl.DataFrame | None) -> pl.DataFrame:
    schema = {
        "instrument_id": expired.schema["instrument_id"],
        "settlement_price": PRICE,
        "settlement_basis": pl.String(),
        "underlying_close": PRICE,
        "underlying_timestamp": expired.schema["expiry_close"],
    }
    if settlements is None:
        return pl.DataFrame(schema=schema)
    return (
        settlements.filter(pl.col("settlement_price").is_not_null())
        .join(expired, on="instrument_id", how="semi")
        .select(
            "instrument_id",
            "settlement_price",
            settlement_basis=pl.lit(BY_EXCHANGE),
            underlying_close="underlying_price",
            underlying_timestamp=pl.lit(None, schema["underlying_timestamp"]),
        )
    )


def _on_last_bars(expired: pl.DataFrame, underlying_bars: pl.DataFrame, zone: str) -> pl.DataFrame:
    closes = underlying_bars.select(underlying_timestamp="timestamp", underlying_close="close")
    settled = (
        expired.select("instrument_id", "kind", "strike", "option_type", "expiry_close")
        .sort("expiry_close")
        .join_asof(
            closes.sort("underlying_timestamp"),
            left_on="expiry_close",
            right_on="underlying_timestamp",
            strategy="backward",
            coalesce=False,
        )
        .filter(_trade_date("underlying_timestamp", zone) == _trade_date("expiry_close", zone))
    )
    direction = pl.when(pl.col("option_type") == "CE").then(1).otherwise(-1)
    intrinsic = pl.max_horizontal((pl.col("underlying_close") - pl.col("strike")) * direction, pl.lit(0, PRICE))
    price = pl.when(pl.col("kind") == "FUT").then("underlying_close").otherwise(intrinsic)
    return settled.select(
        "instrument_id",
        settlement_price=price.cast(PRICE),
        settlement_basis=pl.lit(BY_LAST_BAR),
        underlying_close="underlying_close",
        underlying_timestamp="underlying_timestamp",
    )


def _dates(contracts: pl.DataFrame) -> str:
    return ", ".join(contracts["expiry"].unique().sort().cast(pl.String).to_list())


def _trade_date(column: str, zone: str) -> pl.Expr:
    """Give the day of a close; one at midnight ends the day before."""
    return pl.col(column).dt.offset_by("-1us").dt.convert_time_zone(zone).dt.date()
