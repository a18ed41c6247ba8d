"""At which price the engine will settle the options of a slice, worked out from the slice itself.

Nautilus settles an option on the last price of its underlying before `expiration_ns`, however old,
and leaves the position open when there is none. Both are worth knowing before a backtest, so the
export says them and the verification expects them. Polars only; Nautilus is not imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.schema.exports import SETTLEMENT_SCHEMA

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.schema.exports import MarketSlice

SETTLEMENT_FILE: Final = "settlement_prices.json"
"""Beside the manifest: the exchange's own settlement prices by id. `reading.Months.settlement_prices` gives them as
`BacktestVenueConfig(settlement_prices=...)` takes them."""

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


def official_settlements(market: MarketSlice, terms: pl.DataFrame, end: dt.datetime) -> pl.DataFrame:
    """Find the exchange's settlement of every contract that expires inside a partition.

    Parameters
    ----------
    market : MarketSlice
        What is exported.
    terms : polars.DataFrame
        The exported instruments with `engine_id`, `kind`, `root`, `venue` and `expiry_close`.
    end : datetime.datetime
        End of the partition, UTC.

    Returns
    -------
    polars.DataFrame
        `engine_id`, `is_delivered` (an option on a share) and `settlement_price` (null where no source gave it), sorted
        by id.

    """
    shares = terms.filter(IS_UNDERLYING & (pl.col("kind") == "EQ")).select("root", "venue", is_share=pl.lit(value=True))
    known = (pl.DataFrame(schema=SETTLEMENT_SCHEMA) if market.settlements is None else market.settlements).select(
        "instrument_id", "settlement_price"
    )
    return (
        terms.filter(pl.col("expiry_close") <= end)
        .join(known, on="instrument_id", how="left")
        .join(shares, on=["root", "venue"], how="left")
        .select(
            "engine_id",
            "settlement_price",
            is_delivered=(pl.col("kind") == "OPT") & pl.col("is_share").fill_null(value=False),
        )
        .sort("engine_id")
    )


def settlement_file(official: pl.DataFrame) -> str:
    """Write the prices that the engine may settle on as a JSON object, ids to exact numbers.

    Options on a share are left out: the engine delivers the shares at the strike, and would pay the option's value on
    top.

    Parameters
    ----------
    official : polars.DataFrame
        What `official_settlements` returned.

    Returns
    -------
    str

    """
    usable = official.filter(~pl.col("is_delivered") & pl.col("settlement_price").is_not_null())
    number = pl.col("settlement_price").cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
    lines = usable.select(pl.format(' "{}": {}', "engine_id", number))[:, 0].to_list()
    return "{\n" + ",\n".join(lines) + "\n}\n" if lines else "{}\n"


def official_notes(official: pl.DataFrame) -> list[str]:
    """Say for which contracts no settlement price is known, and which are delivered.

    Parameters
    ----------
    official : polars.DataFrame
        What `official_settlements` returned.

    Returns
    -------
    list of str
        At most one sentence of each kind.

    """
    in_cash = official.filter(~pl.col("is_delivered"))
    unknown = in_cash["settlement_price"].null_count()
    notes = []
    if unknown > 0:
        notes.append(
            f"the exchange's settlement price of {unknown} of {in_cash.height} contracts that expire is not known: "
            "the engine settles them on the last price it saw"
        )
    delivered = official.height - in_cash.height
    if delivered > 0:
        notes.append(
            f"{delivered} options on a share expire: the engine delivers, closing the option at 0 and booking the "
            f"shares at the strike, so {SETTLEMENT_FILE} leaves them out"
        )
    return notes


def _dates(expiries: pl.DataFrame) -> str:
    return ", ".join(expiries["expiry"].cast(pl.String).to_list())
