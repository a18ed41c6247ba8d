"""Bars: exact numbers, stamps of their close, units, and what cannot be read."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_defs.markets.market import market
from pipeline_defs.sources.asking.questions import Dataset, Listed, Question, Window
from pipeline_defs.sources.interactive_brokers import replies
from pipeline_defs.sources.interactive_brokers.bars import read_bars
from pipeline_tests.sources.interactive_brokers.offline import TRADE_DATE

if TYPE_CHECKING:
    import polars as pl

US = market("US")
BEGIN = int(US.open(TRADE_DATE).timestamp())


def asked(kind: str = "EQ", vendor_id: str = "101@SMART", seconds: int = 60) -> Question:
    begin, end = US.bounds(TRADE_DATE)
    listed = Listed(vendor_id, {"kind": kind, "symbol": "ACME"})
    of = Dataset("spot_prices", seconds, 1, (kind,))
    return Question("interactive_brokers", "1", of, listed, Window(TRADE_DATE, TRADE_DATE), begin, end)


def rows(*bars: tuple[str, ...]) -> pl.DataFrame:
    flat = [cell for bar in bars for cell in bar]
    return replies.read_bars(["17", "5", "", "", str(len(bars)), *flat]).rows


def bar(date: object = BEGIN, price: str = "1.5", volume: str = "10") -> tuple[str, ...]:
    return str(date), price, price, price, price, volume, price, "1"


@settings(max_examples=60, deadline=None)
@given(st.decimals(Decimal("0.00000001"), Decimal(999999999999), places=8, allow_nan=False))
def test_a_price_is_the_decimal_that_tws_wrote(price: Decimal) -> None:
    answer = read_bars(rows(bar(price=format(price, "f"))), asked(), US)
    assert answer.rows["close"][0] == price
    assert answer.rows["reason"][0] is None


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="0123456789.-eEN+ ,x", max_size=12))
def test_any_text_is_a_price_or_a_refused_row(text: str) -> None:
    (row,) = read_bars(
        rows(
            bar(price=text),
        ),
        asked(),
        US,
    ).rows.iter_rows(named=True)
    if row["reason"] is None:
        assert row["close"] == Decimal(text)
    else:
        assert row["reason"] == "bad_price"


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=11))
def test_any_text_is_a_date_or_a_refused_row(text: str) -> None:
    for seconds in (60, 86_400):
        found = read_bars(rows(bar(date=text.replace("\0", ""))), asked(seconds=seconds), US).rows
        assert all((row["timestamp"] is None) == (row["reason"] == "bad_time") for row in found.iter_rows(named=True))


@pytest.mark.parametrize("seconds", [60, 300, 3600])
def test_a_bar_is_stamped_when_it_was_complete(seconds: int) -> None:
    answer = read_bars(rows(bar()), asked(seconds=seconds), US)
    assert answer.rows["timestamp"][0] == US.open(TRADE_DATE) + dt.timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("kind", "vendor_id", "told", "stored"),
    [
        ("EQ", "101@SMART", "-1", None),  # quotes and midpoints have no volume
        ("EQ", "101@SMART", "", None),
        ("EQ", "101@SMART", "9223372036854775807", None),
        ("EQ", "101@SMART", "0", 0),
        ("EQ", "101@SMART", "1200.0", 1200),
        ("EQ", "101@SMART", "34906.45", None),  # lots of a hundred: nobody can tell them from parts of a share
        ("SPOT", "201@CBOE", "0", None),  # nobody trades an index
        ("OPT", "400@SMART*100", "3", 300),
        ("FUT", "301@CME*50", "7", 350),
        ("FUT", "301@CME*0.1", "7", None),
    ],
)
def test_volumes_are_units_and_null_when_unknown(kind: str, vendor_id: str, told: str, stored: Any) -> None:
    answer = read_bars(rows(bar(volume=told)), asked(kind, vendor_id), US)
    assert answer.rows["volume"].to_list() == [stored]
    assert answer.rows["reason"].to_list() == ["bad_quantity" if told == "34906.45" else None]


def test_a_daily_bar_of_a_day_without_trading_is_left_to_the_shared_rules() -> None:
    question = asked(seconds=86_400)
    wide = Question(
        question.source, question.version, question.dataset, question.listed,
        Window(dt.date(2026, 10, 12), dt.date(2026, 10, 18)), US.bounds(dt.date(2026, 10, 12))[0],
        US.bounds(dt.date(2026, 10, 18))[1],
    )  # fmt: skip
    answer = read_bars(rows(bar("20261016"), bar("20261017"), bar("99991231")), wide, US)
    stamps = answer.rows["timestamp"].to_list()
    assert stamps[0] == dt.datetime(2026, 10, 16, 20, tzinfo=dt.UTC)
    assert US.trade_date(stamps[1]) == dt.date(2026, 10, 17)
    assert stamps[2].year == 9999


def test_a_short_session_closes_a_daily_bar_early() -> None:
    day = dt.date(2025, 11, 28)
    question = Question(
        "interactive_brokers", "1", Dataset("equity_daily", 86_400, 365, ("EQ",)), asked().listed, Window(day, day),
        *US.bounds(day),
    )  # fmt: skip
    assert read_bars(rows(bar("20251128")), question, US).rows["timestamp"][0].hour == 18


def test_bars_before_the_window_are_left_out_and_counted() -> None:
    answer = read_bars(rows(bar(BEGIN - 86_400), bar()), asked(), US)
    assert answer.rows.height == 1
    assert answer.note == "1 bars before the window were left out"


def test_replies_keep_all_their_fields() -> None:
    told = replies.read_bars(["17", "5", "", "", "1", *bar()])
    assert (told.request, told.is_last) == (5, True)
    assert told.rows.columns == list(replies.BAR_FIELDS)
    assert replies.read_bars(["17", "5", "", "", "0"]).rows.is_empty()


@pytest.mark.parametrize(
    ("told", "price"),
    [("5.0E-4", "0.0005"), ("1.2345678E7", "12345678"), ("-2.5e-1", "-0.25"), ("1E+3", "1000"), ("7.0E-9", None)],
)
def test_numbers_with_an_exponent_are_read_exactly(told: str, price: str | None) -> None:
    answer = read_bars(rows(bar(price=told, volume="1.5E7"), bar(BEGIN + 60)), asked(), US)
    assert answer.rows["close"].to_list() == [None if price is None else Decimal(price), Decimal("1.5")]
    assert answer.rows["volume"].to_list() == [15_000_000, 10]
    assert answer.rows["reason"].to_list() == ["bad_price" if price is None else None, None]


@settings(max_examples=60, deadline=None)
@given(st.decimals(Decimal("0.00000001"), Decimal(999_999_999), places=8, allow_nan=False))
def test_an_exponent_changes_no_price(price: Decimal) -> None:
    assert read_bars(rows(bar(price=f"{price:E}")), asked(), US).rows["close"][0] == price
