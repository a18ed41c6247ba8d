"""Candles become exact rows, and terms exact steps."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline_defs.errors import SourceError
from pipeline_defs.sources.asking.universe import Named
from pipeline_defs.sources.ccxt.client import Reply
from pipeline_defs.sources.ccxt.pairs import list_pair, tick_size
from pipeline_defs.sources.ccxt.rows import bar_rows, candle_texts, plain_texts

PRICES = st.decimals(Decimal("0.00000001"), Decimal(999999999999), places=8)
MINUTES = st.integers(25_000_000, 35_000_000)


@settings(deadline=None)
@given(candles=st.lists(st.tuples(MINUTES, PRICES, PRICES, PRICES, PRICES, PRICES), max_size=5))
def test_decimals_in_text_arrive_as_they_were_written(candles: list[tuple[Any, ...]]) -> None:
    rows = bar_rows(candle_texts([[one[0] * 60_000, *map(str, one[1:])] for one in candles]), 60)

    values = rows.select("open", "high", "low", "close", "volume").rows()
    assert values == [one[1:] for one in candles]
    assert [stamp.timestamp() for stamp in rows["timestamp"]] == [(one[0] + 1) * 60 for one in candles]
    assert rows["reason"].is_null().all()


@settings(deadline=None)
@given(price=st.decimals(Decimal("0.00000001"), Decimal(9_999_999), places=8))
def test_decimals_in_floats_arrive_as_they_were_meant(price: Decimal) -> None:
    (row,) = bar_rows(candle_texts([[0, *[float(price)] * 5]]), 60).select("open", "volume").rows()

    assert row == (price, price)


@settings(deadline=None)
@given(text=st.text("0123456789.,eE+- x", max_size=8))
@example(".E0")
@example("1.2.3e4")
def test_text_that_is_no_number_refuses_its_row_alone(text: str) -> None:
    rows = bar_rows(candle_texts([[0, text, "1", "1", "1", "1"], [60_000, "1", "1", "1", "1", "1"]]), 60)

    assert rows["open"][0] is not None or rows["reason"][0] == "bad_price"
    assert rows["reason"][1] is None


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("1e-05", "0.00001"),
        ("1.5E+3", "1500"),
        ("0.0100000000", "0.01"),
        ("100", "100"),
        ("100.000", "100"),
        ("5.", "5"),
        (" 7 ", "7"),
        ("0.0000000012", "0.0000000012"),
        ("1e999", "1e999"),
        ("", ""),
        (None, None),
    ],
)
def test_decimals_are_spelled_plainly(text: str | None, plain: str | None) -> None:
    assert plain_texts(pl.Series([text], dtype=pl.String)).to_list() == [plain]


def test_more_than_eight_decimals_are_not_rounded_but_refused() -> None:
    (row,) = bar_rows(candle_texts([[0, "0.0000000012", "1", "1", "1", "1"]]), 60).select("open", "reason").rows()

    assert row == (None, "bad_price")


def test_a_bar_still_runs_while_the_exchanges_clock_says_so() -> None:
    rows = bar_rows(candle_texts([[0, *"11111"], [60_000, *"11111"]]), 60, server_ms=60_000)

    assert rows["reason"].to_list() == [None, "running_bar"]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"Date": "Tue, 13 Dec 2022 00:00:01 GMT"}, dt.datetime(2022, 12, 13, 0, 0, 1, tzinfo=dt.UTC)),
        ({"Date": "yesterday"}, None),
        ({}, None),
    ],
)
def test_the_exchanges_clock_is_read_from_its_reply(header: dict[str, str], expected: dt.datetime | None) -> None:
    assert Reply(200, header).server_ms == (None if expected is None else expected.timestamp() * 1000)


@pytest.mark.parametrize(
    ("precision", "mode", "expected"),
    [
        ("0.01000000", 4, "0.01"),
        (1e-05, 4, "0.00001"),
        ("1E-8", 4, "0.00000001"),
        ("5", 4, "5"),
        ("10", 4, "10"),
        ("1e-9", 4, None),
        ("0", 4, None),
        ("nan", 4, None),
        (2, 2, "0.01"),
        (0, 2, "1"),
        (5, 3, None),
        (None, 4, None),
    ],
)
def test_the_smallest_step_of_a_price_is_exact(precision: object, mode: int, expected: str | None) -> None:
    step = tick_size(precision, mode)

    assert (None if step is None else f"{step:f}") == expected


def test_what_is_no_spot_pair_is_refused() -> None:
    markets: dict[str, dict[str, Any]] = {"BTC/USDT:USDT": {"spot": False, "type": "swap"}, "BTC/USDT": {"spot": True}}

    with pytest.raises(SourceError) as caught:
        list_pair("binance", markets, 4, Named(symbol="BTC/USDT:USDT"))

    assert str(caught.value) == (
        "ccxt BTC/USDT:USDT: is a swap, not a spot pair, at binance, which lists 1 spot pairs\n"
        "Next: correct it in the universe file; near names: BTC/USDT"
    )


def test_a_pair_whose_name_no_underlying_can_have_needs_another() -> None:
    markets = {"$X/USDT": {"spot": True, "base": "$X", "quote": "USDT"}}
    named = Named.model_construct(symbol="$X/USDT", underlying=None)

    with pytest.raises(SourceError, match="'\\$XUSDT' cannot be the name of an underlying"):
        list_pair("binance", markets, 4, named)


@pytest.mark.parametrize("time", [-(2**63), 10**18, -1])
def test_a_time_that_no_calendar_has_refuses_its_row_alone(time: int) -> None:
    rows = bar_rows(candle_texts([[time, "1", "1", "1", "1", "1"], [60_000, "1", "1", "1", "1", "1"]]), 60)

    assert rows["reason"].to_list() == ["bad_time", None]


@pytest.mark.parametrize("precision", ["1e99999999", "-1e99999999", 10**13])
@pytest.mark.parametrize("mode", [2, 4])
def test_a_precision_beyond_all_measure_is_not_known(precision: object, mode: int) -> None:
    assert tick_size(precision, mode) is None or mode == 4
