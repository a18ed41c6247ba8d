"""Which backtest is tried on a catalog before it is published, and what must come of it. Polars only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from pipeline_defs.backtests.result import STALE_AFTER
from pipeline_defs.exports.nautilus import naming
from pipeline_defs.exports.nautilus.settlement import settlements
from pipeline_defs.exports.trials import choose_option
from pipeline_defs.schema.columns import PRICE
from pipeline_defs.schema.exports import SETTLEMENT_SCHEMA

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.schema.exports import MarketSlice


def choose_trial(
    market: MarketSlice, named: pl.DataFrame, sums: pl.DataFrame, underlying: pl.DataFrame
) -> dict[str, Any]:
    """Choose an option to hold to expiry, or else an instrument to replay.

    Parameters
    ----------
    market : MarketSlice
        What was exported.
    named : polars.DataFrame
        From `naming.with_identifiers`.
    sums : polars.DataFrame
        Of the finest bars: `instrument_id`, `engine_id`, `rows`, `first_timestamp`, `last_timestamp`, `first_close`,
        and `traded_timestamp` and `traded_close` of the first with a volume.
    underlying : polars.DataFrame
        Bars of the underlying.

    Returns
    -------
    dict
        A JSON object: `kind` (``hold`` or ``replay``), what to run and its outcome.

    """
    end: dt.datetime = market.sessions.select(pl.col("close").max()).item()
    terms = named.drop("first_timestamp", "last_timestamp", "engine_id").join(sums, on="instrument_id")
    specification = naming.bar_specification(market.bar_seconds)
    # An option on a share is delivered.
    is_delivered = pl.lit("EQ" in terms["kind"].to_list())
    contracts = terms.filter(pl.col("kind") == "OPT").with_columns(is_delivered=is_delivered)
    options = _settled(contracts, market, underlying, end)
    return _hold(options, specification) or _replay(terms, specification)


def _settled(options: pl.DataFrame, market: MarketSlice, underlying: pl.DataFrame, end: dt.datetime) -> pl.DataFrame:
    """Add what options are worth over the underlying's last price, and the exchange's word, which goes before it."""
    prices = settlements(options, underlying, end).filter(pl.col("expiry_close") - pl.col("timestamp") <= STALE_AFTER)
    direction = pl.when(pl.col("option_type") == "CE").then(1).otherwise(-1)
    worth = pl.max_horizontal((pl.col("close") - pl.col("strike")) * direction, pl.lit(0)).cast(PRICE)
    official = pl.DataFrame(schema=SETTLEMENT_SCHEMA) if market.settlements is None else market.settlements
    return (
        options.join(prices.select("expiry", "expiry_close", "close"), on=["expiry", "expiry_close"])
        .with_columns(worth=worth)
        .join(official.select("instrument_id", official="settlement_price"), on="instrument_id", how="left")
        .with_columns(settlement_price=pl.coalesce("official", "worth"))
    )


def _hold(options: pl.DataFrame, specification: str) -> dict[str, Any] | None:
    """Choose an option that expires within the slice, and work out its outcome."""
    option = choose_option(options)
    if option is None:
        return None
    quantity, settlement = option["lot_size"] or 1, option["settlement_price"]
    return {
        "kind": "hold",
        "instrument_id": option["instrument_id"],
        "instrument": option["engine_id"],
        "bar_specification": specification,
        "quantity": quantity,
        "is_delivered": option["is_delivered"],
        "entry_price": str(option["first_close"]),
        "entry_time": option["first_timestamp"].isoformat(),
        "traded_price": None if option["traded_close"] is None else str(option["traded_close"]),
        "traded_time": None if option["traded_close"] is None else option["traded_timestamp"].isoformat(),
        "settlement_price": str(settlement),
        "official": None if option["official"] is None else str(option["official"]),
        "worth_over_underlying": str(option["worth"]),
        "exit_time": option["expiry_close"].isoformat(),
        "gross_pnl": str((settlement - option["first_close"]) * quantity),
    }


def _replay(terms: pl.DataFrame, specification: str) -> dict[str, Any]:
    """Choose the instrument with the most bars, to be played without a strategy."""
    busiest = terms.sort(["rows", "engine_id"], descending=[True, False]).row(0, named=True)
    return {"kind": "replay", "bar_type": f"{busiest['engine_id']}-{specification}", "rows": busiest["rows"]}
