"""The entrance: a declared grammar, many names at once, and names that read two ways."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.errors import ConfigurationError, TickerError
from pipeline_defs.markets.tickers.contract import Contract
from pipeline_defs.markets.tickers.grammars import parse_auto, parse_many, parse_ticker
from pipeline_tests.markets.tickers.contracts import UNDERLYINGS, dates, day_first

if TYPE_CHECKING:
    from pipeline_defs.markets.tickers.grammars import Grammar

D = dt.date
DAY = D(2025, 8, 20)


def test_many_names_keep_their_order_and_a_bad_one_stops_nothing() -> None:
    names = ["NIFTY28AUG2524500CE.NFO", "garbage", "NIFTY-I.NFO", "NIFTY14AUG2524500CE.NFO"]
    results = parse_many(names, "gdfl", DAY)
    assert [type(result) for result in results] == [Contract, TickerError, Contract, TickerError]
    assert results[0] == parse_ticker(names[0], "gdfl", DAY)
    assert "'garbage'" in str(results[1])


@given(st.lists(st.text(max_size=12), max_size=5))
def test_one_name_and_many_agree(names: list[str]) -> None:
    for name, result in zip(names, parse_many(names, "gdfl", DAY), strict=True):
        if isinstance(result, Contract):
            assert parse_ticker(name, "gdfl", DAY) == result
        else:
            with pytest.raises(TickerError):
                parse_ticker(name, "gdfl", DAY)


@pytest.mark.parametrize(
    ("grammar", "expiry", "suffix"),
    [("gdfl", "28AUG25", ".NFO"), ("exchange", "25AUG", ""), ("exchange", "25828", ""), ("truedata", "250828", "")],
)
def test_a_hundred_thousand_names_take_seconds_not_minutes(grammar: Grammar, expiry: str, suffix: str) -> None:
    names = [
        f"{underlying}{expiry}{strike}{option_type}{suffix}"
        for underlying in ("NIFTY", "BANKNIFTY", "RELIANCE", "M&M", "360ONE")
        for strike in range(10_000, 20_000)
        for option_type in ("CE", "PE")
    ]
    started = time.process_time()
    results = parse_many(names, grammar, DAY)
    elapsed = time.process_time() - started
    assert all(isinstance(result, Contract) for result in results)
    assert elapsed < 20


def test_an_unknown_grammar_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no ticker grammar 'nse', expected one of gdfl, exchange, truedata"):
        parse_ticker("NIFTY25AUG24500CE", cast("Grammar", "nse"), DAY)


def test_a_name_that_reads_two_ways_is_refused_and_both_readings_are_shown() -> None:
    with pytest.raises(TickerError) as refused:
        parse_auto("NIFTY25AUG2524500CE", DAY)
    message = str(refused.value)
    assert "reads 2 ways on 2025-08-20" in message
    assert "as gdfl, NIFTY option expiring 2025-08-25, strike 24500 CE" in message
    assert "as exchange, NIFTY option expiring 2025-08-28, strike 2524500 CE" in message


@pytest.mark.parametrize(
    ("ticker", "grammar"),
    [
        ("NIFTY25AUG2524500CE.NFO", "gdfl"),
        ("SENSEX28AUG2580000CE.BFO", "gdfl"),
        ("NIFTY 50.NSE_IDX", "gdfl"),
        ("SENSEX.BSE_IDX", "gdfl"),
        ("RELIANCE.NSE", "gdfl"),
        ("NIFTY-I", "gdfl"),
        ("NIFTY28AUG25FUT", "gdfl"),
        ("NIFTYFUT28AUG25", "gdfl"),
        ("OPTIDX_NIFTY_28AUG2025_PE_23700", "gdfl"),
        ("NIFTY22SEP2524500.5CE", "gdfl"),
        ("NIFTY25AUG24500CE", "exchange"),
        ("NIFTY25AUGFUT", "exchange"),
        ("NIFTY2590224100PE", "exchange"),
        ("NIFTYNXT5025AUG66000CE", "exchange"),
        ("BAJAJ-AUTO25AUGFUT", "exchange"),
    ],
)
def test_a_name_that_reads_one_way_needs_no_declaration(ticker: str, grammar: Grammar) -> None:
    assert parse_auto(ticker, DAY) == parse_ticker(ticker, grammar, DAY)


def test_a_reading_that_expired_is_none() -> None:
    # As an exchange name this is an option of August 2014.
    assert parse_auto("NIFTY14AUG2524500CE", D(2025, 8, 4)) == parse_ticker(
        "NIFTY14AUG2524500CE", "gdfl", D(2025, 8, 4)
    )
    # As a day-first name this one expired five days ago.
    assert parse_auto("NIFTY25AUG2024500CE", DAY) == parse_ticker("NIFTY25AUG2024500CE", "exchange", DAY)


def test_a_name_that_no_grammar_reads_says_why_for_each() -> None:
    with pytest.raises(TickerError) as refused:
        parse_auto("NIFTY14AUG2524500CE", DAY)
    assert "read as gdfl, expires on 2025-08-14" in str(refused.value)
    assert "read as exchange, expires on 2014-08-28" in str(refused.value)
    with pytest.raises(TickerError, match=r"no gdfl name: .*; no exchange name: "):
        parse_auto("garbage", DAY)


def test_a_suffix_decides_even_when_the_name_is_wrong() -> None:
    with pytest.raises(TickerError, match="read as gdfl, expires on 2024-08-25") as refused:
        parse_auto("NIFTY25AUG24500CE.NFO", DAY)
    assert "exchange" not in str(refused.value)


@given(UNDERLYINGS, dates(), st.integers(1, 99_999))
def test_a_day_first_name_is_never_read_as_anything_else(
    underlying: str, days: tuple[dt.date, dt.date], strike: int
) -> None:
    trade_date, expiry = days
    ticker = f"{underlying}{day_first(expiry)}{strike}CE"
    try:
        contract = parse_auto(ticker, trade_date)
    except TickerError as refused:
        assert "ways" in str(refused)  # noqa: PT017 -- reading it is as good an outcome
        return
    assert contract == parse_ticker(ticker, "gdfl", trade_date)


@given(st.text(max_size=40))
def test_random_text_is_refused_and_never_crashes(text: str) -> None:
    try:
        contract = parse_auto(text, DAY)
    except TickerError:
        return
    assert contract.ticker == text
