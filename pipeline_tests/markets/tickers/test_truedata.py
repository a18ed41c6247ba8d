"""Names with a six-digit expiry read back exactly, and a misspelt contract is never an index."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.errors import TickerError
from pipeline_defs.markets.expiries import nth_monthly_expiry
from pipeline_defs.markets.tickers.contract import Contract, OptionType
from pipeline_defs.markets.tickers.filenames import ticker_from_filename
from pipeline_defs.markets.tickers.grammars import parse_ticker
from pipeline_defs.markets.tickers.lexicon import venue_of
from pipeline_tests.markets.tickers.contracts import (
    DECLARED_UNDERLYINGS,
    OPTION_TYPES,
    STRIKES,
    UNDERLYINGS,
    dates,
    written,
)

D = dt.date
DAY = D(2025, 6, 2)


@given(DECLARED_UNDERLYINGS, dates(), STRIKES, OPTION_TYPES)
def test_options_read_back(
    underlying: str, days: tuple[dt.date, dt.date], strike: Decimal, option_type: OptionType
) -> None:
    trade_date, expiry = days
    ticker = f"{underlying}{expiry:%y%m%d}{written(strike)}{option_type}"
    assert parse_ticker(ticker, "truedata", trade_date) == Contract(
        ticker, "OPT", underlying, expiry, strike, option_type, None, None, venue_of(underlying)
    )


@given(UNDERLYINGS, dates())
def test_futures_read_back(underlying: str, days: tuple[dt.date, dt.date]) -> None:
    trade_date, expiry = days
    ticker = f"{underlying}{expiry:%y%m%d}FUT"
    assert parse_ticker(ticker, "truedata", trade_date) == Contract(
        ticker, "FUT", underlying, expiry, None, None, None, None, venue_of(underlying)
    )


@given(UNDERLYINGS, dates(), st.integers(1, 3))
def test_rolling_futures_read_back(underlying: str, days: tuple[dt.date, dt.date], rank: int) -> None:
    ticker = f"{underlying}-{'I' * rank}"
    expiry = nth_monthly_expiry(underlying, days[0], rank)
    assert parse_ticker(ticker, "truedata", days[0]) == Contract(
        ticker, "CONT", underlying, expiry, None, None, rank, None, venue_of(underlying)
    )


def test_the_name_inside_a_file_name_reads() -> None:
    contract = parse_ticker(ticker_from_filename("BANKBARODA250626256.65CE.csv"), "truedata", DAY)
    assert (contract.underlying, contract.expiry, contract.strike) == ("BANKBARODA", D(2025, 6, 26), Decimal("256.65"))


@pytest.mark.parametrize(
    ("ticker", "underlying", "venue"),
    [
        ("NIFTY 50", "NIFTY", "NSE"),
        ("NIFTY BANK", "BANKNIFTY", "NSE"),
        ("INDIA VIX", "INDIAVIX", "NSE"),
        ("NIFTY INDIA DEFENCE", "NIFTY INDIA DEFENCE", "NSE"),
        ("BANKNIFTY", "BANKNIFTY", "NSE"),
        ("SENSEX", "SENSEX", "BSE"),
    ],
)
def test_bare_index_names_are_indices(ticker: str, underlying: str, venue: str) -> None:
    expected = Contract(ticker, "SPOT", underlying, None, None, None, None, None, venue)
    assert parse_ticker(ticker, "truedata", DAY) == expected


@pytest.mark.parametrize(
    ("ticker", "message"),
    [
        ("", "expected CE, PE, FUT or an index name at position 1"),
        ("TCS", "expected CE, PE, FUT or an index name up to position 3"),
        ("NIFTY250626245O0CE", "expected an expiry YYMMDD and a strike"),
        ("NIFTY25062624500C", "expected CE, PE, FUT or an index name"),
        ("250626100CE", "expected an underlying .* at position 1"),
        ("NIFTY25JUNFUT", "expected an expiry YYMMDD up to position 10"),
        ("NIFTY25133124500CE", "251331 is no date YYMMDD"),
        ("NIFTY251331FUT", "251331 is no date YYMMDD"),
        ("NIFTY2506260CE", r"the strike 0 is not positive \(> 0\)"),
        ("NIFTY25052924500CE", "read as truedata, expires on 2025-05-29, before the trade date 2025-06-02"),
        ("NIFTY250529FUT", "expires on 2025-05-29"),
        ("NIFTY25062624500CE.NFO", "no truedata name"),
    ],
)
def test_what_does_not_follow_the_grammar_is_refused_with_the_place(ticker: str, message: str) -> None:
    with pytest.raises(TickerError, match=message) as refused:
        parse_ticker(ticker, "truedata", DAY)
    assert repr(ticker) in str(refused.value)


@given(st.one_of(st.text(max_size=40), st.from_regex(r"[A-Z0-9&-]{1,8}[0-9. ]{0,14}(CE|PE|FUT|-I|)", fullmatch=True)))
def test_random_text_is_refused_and_never_crashes(text: str) -> None:
    try:
        contract = parse_ticker(text, "truedata", DAY)
    except TickerError:
        return
    assert contract.ticker == text
