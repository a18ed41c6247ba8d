"""What is stored of a session: its size and content, its smile, and whether it holds what it promises. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from pipeline_defs.greeks import black
from pipeline_defs.schema.columns import TIMESTAMP
from pipeline_defs.warehouse.days import day_bounds
from pipeline_defs.warehouse.transport import copy_out

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.greeks.inputs import Session
    from pipeline_defs.warehouse.connection import Warehouse

REPRICE_TOLERANCE: Final = 1e-6
"""Currency a unit by which the model may miss the price of the bar: a ten-thousandth of a paisa."""

ROWS_SHOWN: Final = 10
"""Rows that a finding names."""

_EXPIRIES_SHOWN: Final = 4

# Everything but loads and the time of the computation: same inputs and numbers, same hash, whoever wrote them.
_STATE: Final = """
SELECT count(*), count(DISTINCT instrument_id),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY implied_volatility),
       to_hex(coalesce(bit_xor(hash_record_extended(
           ROW("timestamp", instrument_id, bar_seconds, source, price, underlying_price, underlying_timestamp, forward,
               rate, dividend_yield, time_to_expiry_years, implied_volatility, delta, gamma, vega, theta, rho, reason,
               model, forward_method), 0)), 0))
FROM option_greeks
WHERE "timestamp" >= %(start)s AND "timestamp" < %(end)s AND source = %(source)s AND bar_seconds = %(bar_seconds)s
"""

_TERMS: Final = """
LEFT JOIN instrument_merges_as_of('infinity') AS m ON m.duplicate_id = g.instrument_id
JOIN instrument_terms AS t ON t.instrument_id = coalesce(m.instrument_id, g.instrument_id)
    AND t.valid_from <= %(trade_date)s AND t.valid_to > %(trade_date)s
"""

_SMILE: Final = f"""
SELECT DISTINCT ON (t.underlying, t.expiry, t.strike)
       t.underlying, t.expiry, t.strike::float8 AS strike, g.implied_volatility
FROM option_greeks AS g {_TERMS}
WHERE g."timestamp" >= %(start)s AND g."timestamp" < %(end)s AND g.source = %(source)s
  AND g.bar_seconds = %(bar_seconds)s AND g.implied_volatility IS NOT NULL
  AND (t.option_type = 'CE') = (t.strike >= g.forward)
ORDER BY t.underlying, t.expiry, t.strike, g."timestamp" DESC
"""

_ROWS: Final = f"""
SELECT g."timestamp", g.instrument_id, g.bar_seconds, g.source, t.symbol, t.strike::float8 AS strike,
       (t.option_type = 'CE')::text AS is_call, g.forward, g.rate, g.time_to_expiry_years, g.implied_volatility,
       g.delta, g.gamma, g.vega, o.close::float8 AS close
FROM option_greeks AS g {_TERMS}
LEFT JOIN options_ticks AS o ON o."timestamp" = g."timestamp" AND o.instrument_id = g.instrument_id
    AND o.bar_seconds = g.bar_seconds AND o.sequence = 0 AND o.source = g.source
    AND o."timestamp" >= %(start)s AND o."timestamp" < %(end)s
WHERE g."timestamp" >= %(start)s AND g."timestamp" < %(end)s AND g.implied_volatility IS NOT NULL
"""

_ROWS_SCHEMA: Final[dict[str, pl.DataType]] = {
    "timestamp": TIMESTAMP,
    "instrument_id": pl.Int32(),
    "bar_seconds": pl.Int32(),
    "source": pl.String(),
    "symbol": pl.String(),
    "strike": pl.Float64(),
    "is_call": pl.Boolean(),
    **dict.fromkeys(
        ("forward", "rate", "time_to_expiry_years", "implied_volatility", "delta", "gamma", "vega", "close"),
        pl.Float64(),
    ),
}


@dataclass(frozen=True, slots=True)
class State:
    """What a session holds.

    Parameters
    ----------
    rows, instruments : int
        How many.
    median_volatility : float or None
        Of the rows that have any.
    content_hash : str
        Same inputs and numbers, same hash.

    """

    rows: int
    instruments: int
    median_volatility: float | None
    content_hash: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look at the stored rows gave.

    Parameters
    ----------
    examined, failing : int
        Rows with numbers, and those of them that are wrong.
    worst : float
        Largest deviation.
    shown : tuple of str
        The first failing rows.

    """

    examined: int
    failing: int
    worst: float
    shown: tuple[str, ...]


def read_state(warehouse: Warehouse, session: Session) -> State:
    """Count and digest what is stored of a session."""
    with warehouse.connect() as connection:
        row = connection.execute(_STATE, session.parameters()).fetchone()
    return State(*(row or (0, 0, None, "0")))


def read_smile(warehouse: Warehouse, session: Session) -> tuple[str, dict[str, list[tuple[float, float]]]]:
    """Read the last volatility of each strike's option out of the money, of the underlying that has most of them.

    Returns
    -------
    tuple of (str, dict)
        The underlying, empty if there is none; and strikes with volatilities by expiry, the nearest four.

    """
    schema = {
        "underlying": pl.String(),
        "expiry": pl.Date(),
        "strike": pl.Float64(),
        "implied_volatility": pl.Float64(),
    }
    with warehouse.connect() as connection:
        found = copy_out(connection, _SMILE, schema, session.parameters())
    if found.is_empty():
        return "", {}
    counted = found.group_by("underlying").len().sort("len", "underlying", descending=[True, False])
    most = str(counted.item(0, "underlying"))
    own = found.filter(pl.col("underlying") == most).sort("expiry", "strike")
    return most, {
        f"{expiry}": list(rows.select("strike", "implied_volatility").iter_rows())
        for (expiry,), rows in list(own.partition_by("expiry", as_dict=True, maintain_order=True).items())[
            :_EXPIRIES_SHOWN
        ]
    }


def find_out_of_bounds(warehouse: Warehouse, trade_date: dt.date) -> Finding:
    """Look for Greeks that no European option can have: delta beyond its bounds, gamma or vega below 0.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    trade_date : datetime.date
        Session, of all sources and resolutions.

    Returns
    -------
    Finding

    """
    rows = _rows(warehouse, trade_date)
    # At a negative rate the discounted unit is worth more than one.
    most = (-pl.col("rate").clip(upper_bound=0.0) * pl.col("time_to_expiry_years")).exp() * (1 + 1e-12)
    low, high = pl.when("is_call").then(0.0).otherwise(-most), pl.when("is_call").then(most).otherwise(0.0)
    beyond = pl.max_horizontal(low - pl.col("delta"), pl.col("delta") - high, -pl.col("gamma"), -pl.col("vega"))
    return _finding(rows.with_columns(deviation=beyond.clip(lower_bound=0.0)), 0.0)


def find_not_repriced(warehouse: Warehouse, trade_date: dt.date) -> Finding:
    """Price every bar at its implied volatility, and compare with the price that is stored now.

    A bar that was corrected since its Greeks were computed is found, too, and so is one that is not there any more.

    Parameters
    ----------
    warehouse, trade_date
        As for `find_out_of_bounds`.

    Returns
    -------
    Finding

    """
    rows = _rows(warehouse, trade_date)
    contracts = black.Contracts(
        *(rows[name].to_numpy() for name in ("forward", "strike", "time_to_expiry_years", "rate", "is_call"))
    )
    again = black.price(contracts, rows["implied_volatility"].to_numpy())
    missed = np.abs(again - rows["close"].fill_null(float("inf")).to_numpy())
    return _finding(rows.with_columns(deviation=pl.Series(missed)), REPRICE_TOLERANCE)


def _rows(warehouse: Warehouse, trade_date: dt.date) -> pl.DataFrame:
    start, end = day_bounds(trade_date, of_closes=True)
    with warehouse.connect() as connection:
        connection.execute("SET LOCAL enable_nestloop = off")
        return copy_out(connection, _ROWS, _ROWS_SCHEMA, {"trade_date": trade_date, "start": start, "end": end})


def _finding(rows: pl.DataFrame, allowed: float) -> Finding:
    failing = rows.filter(pl.col("deviation") > allowed).sort("timestamp", "instrument_id")
    shown = tuple(
        f"{row['symbol']} ({row['source']}, {row['bar_seconds']} s) at {row['timestamp']:%Y-%m-%d %H:%M:%SZ}:"
        f" price {row['close']}, volatility {row['implied_volatility']:.6g}, delta {row['delta']:.6g},"
        f" off by {row['deviation']:.3g}"
        for row in failing.head(ROWS_SHOWN).iter_rows(named=True)
    )
    worst = rows["deviation"].to_numpy().max(initial=0.0)
    return Finding(rows.height, failing.height, float(worst), shown)
