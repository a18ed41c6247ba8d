from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_defs.markets.market import market
from pipeline_defs.sources.asking.questions import ANSWER_SCHEMA
from pipeline_defs.sources.zerodha.candles import rows_of

NSE = market("NSE")
STAMPS = st.datetimes(dt.datetime(2015, 1, 1), dt.datetime(2026, 12, 31)).map(  # noqa: DTZ001 -- hypothesis wants them so
    lambda at: f"{at:%Y-%m-%dT%H:%M:%S}+0530"
)
PRICES = st.integers(1, 10**9).map(lambda paise: Decimal(paise) / 100)
ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.integers(), max_size=2)
)


@given(st.lists(st.tuples(STAMPS, PRICES, PRICES, PRICES, PRICES, st.integers(0, 10**12)), min_size=1, max_size=20))
@settings(deadline=None, max_examples=50)
def test_what_kite_wrote_is_what_is_stored_to_the_last_paisa(candles: list[tuple[object, ...]]) -> None:
    text = json.dumps([[float(v) if isinstance(v, Decimal) else v for v in candle] for candle in candles])
    rows = rows_of(json.loads(text), 60, NSE, with_interest=False, has_volume=True)
    assert rows["reason"].null_count() == rows.height
    assert rows.select("open", "high", "low", "close", "volume").rows() == [candle[1:] for candle in candles]
    begins = [dt.datetime.strptime(str(candle[0]), "%Y-%m-%dT%H:%M:%S%z") for candle in candles]
    assert rows["timestamp"].to_list() == [at + dt.timedelta(minutes=1) for at in begins]


@given(st.lists(st.lists(ANYTHING, min_size=7, max_size=7), max_size=12), st.sampled_from([60, 3_600, 86_400]))
@settings(deadline=None, max_examples=100)
def test_any_seven_values_are_a_row_or_a_reason_and_never_a_crash(candles: list[list[object]], seconds: int) -> None:
    rows = rows_of(candles, seconds, NSE, with_interest=True, has_volume=True)
    assert rows.schema == pl.Schema(ANSWER_SCHEMA)
    assert rows.height == len(candles)
    good = rows.filter(pl.col("reason").is_null() & pl.col("timestamp").is_not_null())
    assert good.select("open", "high", "low", "close").null_count().sum_horizontal().item() == 0
    refused = rows.filter(pl.col("reason").is_not_null() | pl.col("timestamp").is_null())
    assert refused["text"].null_count() == 0


def test_large_and_mixed_numbers_keep_their_digits() -> None:
    stamp = "2025-08-20T09:15:00+0530"
    rows = rows_of(
        [[stamp, 1, 1.05, 0.0005, 99999999.95, 9_007_199_254_740_993], [stamp, 1, 2, 1, 1, 2]],
        60,
        NSE,
        with_interest=False,
        has_volume=True,
    )
    assert rows.row(0)[1:6] == (
        Decimal(1),
        Decimal("1.05"),
        Decimal("0.0005"),
        Decimal("99999999.95"),
        Decimal(9_007_199_254_740_993),
    )


def test_a_daily_bar_is_complete_when_its_session_closes_also_on_a_special_saturday() -> None:
    candles = [[f"{day}T00:00:00+0530", 1, 1, 1, 1, 1] for day in ("2025-02-01", "2025-08-20", "2025-10-21")]
    rows = rows_of(candles, 86_400, NSE, with_interest=False, has_volume=True)
    assert rows["timestamp"].to_list() == [NSE.close(dt.date.fromisoformat(str(candle[0])[:10])) for candle in candles]


def test_no_candles_are_no_rows() -> None:
    assert rows_of([], 60, NSE, with_interest=True, has_volume=True).height == 0
