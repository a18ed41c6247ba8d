"""Which backtest is tried on a catalog before it is published, and what must come of it. Polars only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from pipeline_defs.backtests.result import STALE_AFTER
from pipeline_defs.exports.nautilus import naming
from pipeline_defs.exports.nautilus.settlement import settlements

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
        Of the finest bars: `instrument_id`, `engine_id`, `rows`, `first_timestamp`, `first_close`, and
        `traded_timestamp` and `traded_close` of the first with a volume.
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
    return _hold(terms, underlying, end, specification) or _replay(terms, specification)


def _hold(terms: pl.DataFrame, underlying: pl.DataFrame, end: dt.datetime, specification: str) -> dict[str, Any] | None:
    """Choose the option nearest to the money that expires within the slice, and work out its outcome."""
    options = terms.filter(pl.col("kind") == "OPT")
    prices = settlements(options, underlying, end).filter(pl.col("expiry_close") - pl.col("timestamp") <= STALE_AFTER)
    direction = pl.when(pl.col("option_type") == "CE").then(1).otherwise(-1)
    distance = (pl.col("close") - pl.col("strike")) * direction
    candidates = (
        options.join(prices.select("expiry", "expiry_close", "close"), on=["expiry", "expiry_close"])
        .with_columns(distance=distance)
        .sort(pl.col("distance") <= 0, pl.col("distance").abs(), "engine_id")
    )
    if candidates.is_empty():
        return None
    option = candidates.row(0, named=True)
    quantity = option["lot_size"] or 1
    settlement = max(option["distance"], option["distance"] * 0)
    return {
        "kind": "hold",
        "instrument": option["engine_id"],
        "bar_specification": specification,
        "quantity": quantity,
        "is_delivered": not terms.filter(pl.col("kind") == "EQ").is_empty(),
        "entry_price": str(option["first_close"]),
        "entry_time": option["first_timestamp"].isoformat(),
        "traded_price": None if option["traded_close"] is None else str(option["traded_close"]),
        "traded_time": None if option["traded_close"] is None else option["traded_timestamp"].isoformat(),
        "settlement_price": str(settlement),
        "exit_time": option["expiry_close"].isoformat(),
        "gross_pnl": str((settlement - option["first_close"]) * quantity),
    }


def _replay(terms: pl.DataFrame, specification: str) -> dict[str, Any]:
    """Choose the instrument with the most bars, to be played without a strategy."""
    busiest = terms.sort(["rows", "engine_id"], descending=[True, False]).row(0, named=True)
    return {"kind": "replay", "bar_type": f"{busiest['engine_id']}-{specification}", "rows": busiest["rows"]}
