"""The same trading as one-second snapshots: up to four rows a second, trades and quote updates.

Folding the snapshots by minute gives the minute bars back: open, high, low, close and volume.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from pipeline_defs.samples.prices import TICK_E4, Integers

MOST_ROWS_A_SECOND: Final = 4
_FEWEST_TRADES, _MOST_TRADES = 4, 6
_MOST_QUOTES: Final = 3
_DEEPEST_QUEUE_LOTS: Final = 40


def snapshots(bars: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Break minute bars up into snapshots.

    Parameters
    ----------
    bars : polars.DataFrame
        `contract`, `minute`, `open`, `high`, `low`, `close`, `volume`, `open_interest`, `lot_size`, as
        `market.MarketDay.bars` has them.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    polars.DataFrame
        `contract`, `second` (from the open of the session), `last_price`, `bid_price`, `ask_price`
        (1/10,000 rupee), `bid_size`, `ask_size`, `last_size`, `open_interest` (units), in file order.
        A `last_size` of 0 is a quote update that repeats the last price.

    """
    count = bars.height
    lot_sizes = bars["lot_size"].to_numpy()
    lots = bars["volume"].to_numpy() // lot_sizes
    trades = np.minimum(lots, rng.integers(_FEWEST_TRADES, _MOST_TRADES + 1, count))
    rows = trades + rng.integers(1, _MOST_QUOTES + 1, count)
    bar_of_row = np.repeat(np.arange(count), rows)
    starts = np.cumsum(rows) - rows
    position = np.arange(len(bar_of_row)) - starts[bar_of_row]

    # Which rows are trades: the first one always, so that no quote carries the minute before.
    lottery = np.where(position == 0, -1.0, rng.random(len(position)))
    order = np.lexsort((lottery, bar_of_row))
    is_trade = np.empty(len(position), dtype=bool)
    is_trade[order] = position < trades[bar_of_row]
    trade_number = np.cumsum(is_trade) - 1
    trade_in_bar = trade_number - trade_number[starts][bar_of_row]

    last_price = _trade_prices(bars, bar_of_row, trade_in_bar, trades, rng)
    share, rest = np.divmod(lots, np.maximum(trades, 1))
    trade_lots = share[bar_of_row] + (trade_in_bar < rest[bar_of_row])
    lot_size = lot_sizes[bar_of_row]
    bid_price = np.maximum(last_price - rng.integers(0, 3, len(position)) * TICK_E4, TICK_E4)
    return pl.DataFrame(
        {
            "contract": bars["contract"].to_numpy()[bar_of_row],
            "second": bars["minute"].to_numpy()[bar_of_row] * 60 + _second_in_minute(rows, bar_of_row, position, rng),
            "last_price": last_price,
            "bid_price": bid_price,
            "bid_size": rng.integers(1, _DEEPEST_QUEUE_LOTS, len(position)) * lot_size,
            "ask_price": bid_price + rng.integers(1, 4, len(position)) * TICK_E4,
            "ask_size": rng.integers(1, _DEEPEST_QUEUE_LOTS, len(position)) * lot_size,
            "last_size": np.where(is_trade, trade_lots * lot_size, 0),
            "open_interest": bars["open_interest"].to_numpy()[bar_of_row],
        }
    )


def _trade_prices(
    bars: pl.DataFrame, bar_of_row: Integers, trade_in_bar: Integers, trades: Integers, rng: np.random.Generator
) -> Integers:
    """Price each row: open first, close last, the extremes second and third, a straight way between."""
    opens, highs, lows, closes = (bars[name].to_numpy()[bar_of_row] for name in ("open", "high", "low", "close"))
    last_trade = trades[bar_of_row] - 1
    way = opens + (closes - opens) * trade_in_bar / np.maximum(last_trade, 1)
    between = np.clip(np.rint(way / TICK_E4).astype(np.int64) * TICK_E4, lows, highs)
    high_first = rng.integers(0, 2, bars.height).astype(bool)[bar_of_row]
    # Three trades leave room for one extreme besides open and close, which `fit_to_trades` made the high.
    high_at = np.where(high_first | (last_trade == 2), 1, 2)  # noqa: PLR2004  # the third trade is the last
    low_at = 3 - high_at
    inner = (trade_in_bar > 0) & (trade_in_bar < last_trade)
    return np.select(
        [trade_in_bar == last_trade, inner & (trade_in_bar == high_at), inner & (trade_in_bar == low_at), inner],
        [closes, highs, lows, between],
        default=opens,
    )


def _second_in_minute(rows: Integers, bar_of_row: Integers, position: Integers, rng: np.random.Generator) -> Integers:
    """Place rows in bursts of one to four, each burst in a second of its own, in file order."""
    burst_size = rng.integers(1, MOST_ROWS_A_SECOND + 1, len(rows))
    bursts = -(-rows // burst_size)
    slot_width = 60 // bursts
    burst = position // burst_size[bar_of_row]
    starts = np.cumsum(rows) - rows
    jitter = rng.random(len(position))[starts[bar_of_row] + burst * burst_size[bar_of_row]]
    width = slot_width[bar_of_row]
    return np.asarray(burst * width + jitter * width, dtype=np.int64)
