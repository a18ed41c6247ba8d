from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.samples.ticks import snapshots
from pipeline_defs.samples.trading import fit_to_trades

LOT = 75


def make_bars(ohlc_and_lots: list[tuple[list[int], int]]) -> pl.DataFrame:
    numbers = np.array([[max(1, tick) * 500 for tick in ohlc] for ohlc, _ in ohlc_and_lots])
    lots = np.array([lots for _, lots in ohlc_and_lots])
    bars = np.stack([numbers[:, 0], numbers.max(axis=1), numbers.min(axis=1), numbers[:, 1]], axis=1)
    fitted = fit_to_trades(bars, lots)
    return pl.DataFrame(
        {
            "contract": np.zeros(len(lots), dtype=np.uint32),
            "minute": np.arange(len(lots)),
            **{name: fitted[:, column] for column, name in enumerate(("open", "high", "low", "close"))},
            "volume": lots * LOT,
            "open_interest": np.arange(len(lots)) * LOT,
            "lot_size": np.full(len(lots), LOT),
        }
    )


BARS = st.lists(
    st.tuples(st.lists(st.integers(1, 400), min_size=4, max_size=4), st.integers(1, 30)), min_size=1, max_size=40
)


@given(BARS, st.integers(0, 2**32))
def test_snapshots_fold_back_into_their_bars(specification: list[tuple[list[int], int]], seed: int) -> None:
    bars = make_bars(specification)
    ticks = snapshots(bars, np.random.default_rng(seed)).with_columns(minute=pl.col("second") // 60)
    folded = ticks.group_by("minute", maintain_order=True).agg(
        open=pl.col("last_price").first(),
        high=pl.col("last_price").max(),
        low=pl.col("last_price").min(),
        close=pl.col("last_price").last(),
        volume=pl.col("last_size").sum(),
        open_interest=pl.col("open_interest").last(),
    )
    assert folded.rows() == bars.select(folded.columns).rows()


@given(BARS, st.integers(0, 2**32))
def test_snapshots_come_in_order_with_at_most_four_in_a_second(
    specification: list[tuple[list[int], int]], seed: int
) -> None:
    ticks = snapshots(make_bars(specification), np.random.default_rng(seed))
    assert ticks["second"].is_sorted()
    assert ticks.group_by("second").len()["len"].max() <= 4  # type: ignore[operator]  # there are rows


@pytest.fixture(scope="module")
def many() -> pl.DataFrame:
    rng = np.random.default_rng(1)
    return snapshots(make_bars([(rng.integers(1, 400, 4).tolist(), 12) for _ in range(300)]), rng)


def test_some_seconds_hold_four_snapshots_and_some_one(many: pl.DataFrame) -> None:
    assert set(many.group_by("second").len()["len"]) == {1, 2, 3, 4}


def test_quotes_repeat_the_last_price_and_trade_nothing(many: pl.DataFrame) -> None:
    quotes = many.with_columns(before=pl.col("last_price").shift()).filter(pl.col("last_size") == 0)
    assert quotes.height > 300
    assert quotes.filter(pl.col("last_price") != pl.col("before")).is_empty()


def test_the_ask_lies_above_the_bid_and_both_are_on_the_tick(many: pl.DataFrame) -> None:
    assert many.filter((pl.col("ask_price") <= pl.col("bid_price")) | (pl.col("bid_price") < 500)).is_empty()
    assert many.filter(pl.col("bid_price") % 500 + pl.col("ask_price") % 500 != 0).is_empty()
    assert many.filter(
        (pl.col("bid_size") % LOT + pl.col("ask_size") % LOT + pl.col("last_size") % LOT) != 0
    ).is_empty()
