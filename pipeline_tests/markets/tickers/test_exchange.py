"""The exchange's names read back exactly, in one way, and nothing else reads."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.errors import TickerError
from pipeline_defs.markets.expiries import monthly_expiry
from pipeline_defs.markets.tickers.contract import Contract, OptionType
from pipeline_defs.markets.tickers.grammars import parse_ticker
from pipeline_defs.markets.tickers.lexicon import MONTHS, venue_of
from pipeline_tests.markets.tickers.contracts import (
    DECLARED_UNDERLYINGS,
    OPTION_TYPES,
    STRIKES,
    UNDERLYINGS,
    dates,
    weekly_code,
    written,
)

D = dt.date
DAY = D(2025, 8, 20)


@given(UNDERLYINGS, dates(), STRIKES, OPTION_TYPES)
def test_monthly_options_and_futures_read_back(
    underlying: str, days: tuple[dt.date, dt.date], strike: Decimal, option_type: OptionType
) -> None:
    trade_date, month_of = days
    expiry = monthly_expiry(underlying, month_of.year, month_of.month, trade_date)
    if expiry < trade_date:
        trade_date = expiry
        expiry = monthly_expiry(underlying, month_of.year, month_of.month, trade_date)
    stem = f"{underlying}{month_of:%y}{MONTHS[month_of.month - 1]}"
    option, future = f"{stem}{written(strike)}{option_type}", f"{stem}FUT"
    venue = venue_of(underlying)
    assert parse_ticker(option, "exchange", trade_date) == Contract(
        option, "OPT", underlying, expiry, strike, option_type, None, None, venue
    )
    assert parse_ticker(future, "exchange", trade_date) == Contract(
        future, "FUT", underlying, expiry, None, None, None, None, venue
    )


@given(DECLARED_UNDERLYINGS, dates(), STRIKES, OPTION_TYPES)
def test_weekly_options_read_back(
    underlying: str, days: tuple[dt.date, dt.date], strike: Decimal, option_type: OptionType
) -> None:
    trade_date, expiry = days
    ticker = f"{underlying}{weekly_code(expiry)}{written(strike)}{option_type}"
    assert parse_ticker(ticker, "exchange", trade_date) == Contract(
        ticker, "OPT", underlying, expiry, strike, option_type, None, None, venue_of(underlying)
    )


@given(UNDERLYINGS, dates(), STRIKES, OPTION_TYPES)
def test_weekly_options_of_the_last_three_months_read_back_whatever_the_underlying_ends_in(
    underlying: str, days: tuple[dt.date, dt.date], strike: Decimal, option_type: OptionType
) -> None:
    trade_date = days[0].replace(month=9, day=1)
    expiry = D(trade_date.year, 10 + days[1].month % 3, days[1].day if days[1].day < 31 else 30)
    ticker = f"{underlying}{weekly_code(expiry)}{written(strike)}{option_type}"
    contract = parse_ticker(ticker, "exchange", trade_date)
    assert (contract.underlying, contract.expiry, contract.strike) == (underlying, expiry, strike)


@pytest.mark.parametrize(
    ("ticker", "trade_date", "underlying", "expiry", "strike"),
    [
        ("NIFTY2590924100PE", D(2025, 9, 2), "NIFTY", D(2025, 9, 9), "24100"),
        ("NIFTY25O0724500CE", DAY, "NIFTY", D(2025, 10, 7), "24500"),
        ("BANKNIFTY24N1351000PE", D(2024, 11, 4), "BANKNIFTY", D(2024, 11, 13), "51000"),
        ("NIFTY25D0226000CE", DAY, "NIFTY", D(2025, 12, 2), "26000"),
        ("SENSEX2590280000CE", DAY, "SENSEX", D(2025, 9, 2), "80000"),
        ("SENSEX502151418000CE", D(2021, 5, 3), "SENSEX50", D(2021, 5, 14), "18000"),
        ("NIFTYNXT5025AUG66000CE", DAY, "NIFTYNXT50", D(2025, 8, 28), "66000"),
        ("NIFTYNXT5025D0266000CE", DAY, "NIFTYNXT50", D(2025, 12, 2), "66000"),
        ("360ONE25AUG1050CE", DAY, "360ONE", D(2025, 8, 28), "1050"),
        ("3MINDIA25AUG29000PE", DAY, "3MINDIA", D(2025, 8, 28), "29000"),
        ("ASHOKLEY25AUG122.5CE", DAY, "ASHOKLEY", D(2025, 8, 28), "122.5"),
        ("BANKBARODA25JUN256.65PE", D(2025, 6, 2), "BANKBARODA", D(2025, 6, 26), "256.65"),
        ("M&M25AUG3200PE", DAY, "M&M", D(2025, 8, 28), "3200"),
        ("M&MFIN25AUG260CE", DAY, "M&MFIN", D(2025, 8, 28), "260"),
        ("BAJAJ-AUTO25AUG9000CE", DAY, "BAJAJ-AUTO", D(2025, 8, 28), "9000"),
        ("ABCAPITAL25OCT290CE", D(2025, 9, 2), "ABCAPITAL", D(2025, 10, 28), "290"),
        ("BANKNIFTY25NOV50000PE", D(2025, 9, 2), "BANKNIFTY", D(2025, 11, 25), "50000"),
        ("NIFTY25SEP24500CE", D(2025, 8, 29), "NIFTY", D(2025, 9, 25), "24500"),
        ("NIFTY25SEP24500CE", D(2025, 9, 1), "NIFTY", D(2025, 9, 30), "24500"),
        ("MRF25AUG152500CE", DAY, "MRF", D(2025, 8, 28), "152500"),
        ("NIFTY25AUG2524500CE", DAY, "NIFTY", D(2025, 8, 28), "2524500"),
    ],
)
def test_names_seen_in_real_files(
    ticker: str, trade_date: dt.date, underlying: str, expiry: dt.date, strike: str
) -> None:
    contract = parse_ticker(ticker, "exchange", trade_date)
    assert (contract.underlying, contract.expiry, contract.strike) == (underlying, expiry, Decimal(strike))


@pytest.mark.parametrize(
    ("ticker", "trade_date", "underlying", "expiry"),
    [
        ("NIFTY26NOVFUT", D(2026, 11, 20), "NIFTY", D(2026, 11, 23)),
        ("NIFTY25SEPFUT", D(2025, 8, 29), "NIFTY", D(2025, 9, 25)),
        ("NIFTY25SEPFUT", D(2025, 9, 1), "NIFTY", D(2025, 9, 30)),
        ("BAJAJ-AUTO25AUGFUT", DAY, "BAJAJ-AUTO", D(2025, 8, 28)),
        ("ABCAPITAL25SEPFUT", D(2025, 9, 2), "ABCAPITAL", D(2025, 9, 30)),
    ],
)
def test_futures_seen_in_real_files(ticker: str, trade_date: dt.date, underlying: str, expiry: dt.date) -> None:
    contract = parse_ticker(ticker, "exchange", trade_date)
    assert (contract.kind, contract.underlying, contract.expiry) == ("FUT", underlying, expiry)


def test_an_underlying_that_ends_in_digits_is_refused_when_both_readings_hold() -> None:
    # Ten years before 2050, and only then, SENSEX50 of 2040 may be SENSEX of 2050.
    with pytest.raises(TickerError, match="reads two ways") as refused:
        parse_ticker("SENSEX504051418000CE", "exchange", D(2040, 5, 1))
    assert "SENSEX option expiring 2050-04-05, strike 1418000 CE" in str(refused.value)
    assert "SENSEX50 option expiring 2040-05-14, strike 18000 CE" in str(refused.value)


@pytest.mark.parametrize(
    ("ticker", "message"),
    [
        ("", "expected CE, PE or FUT at position 1"),
        ("NIFTY", "expected CE, PE or FUT up to position 5"),
        ("NIFTY25AUX24500CE", "expected a month JAN to DEC, or a weekly expiry .* up to position 10"),
        ("NIFTY25AUGCE", "expected a strike of 1 to 7 digits up to position 10"),
        ("25AUG24500CE", "expected an underlying .* at position 1"),
        ("AUGFUT", "expected a two-digit year at position 1"),
        ("NIFTYFUT", "expected a month JAN to DEC up to position 5"),
        ("NIFTY25AUG24500CE.NFO", "expected CE, PE or FUT up to position 21"),
        ("NIFTY2513224500CE", "25132 is no weekly expiry"),
        ("NIFTY2500724500CE", "no exchange name"),
        ("NIFTY25N3124500CE", "25N31 is no weekly expiry"),
        ("NIFTY25AUG0CE", r"the strike 0 is not positive \(> 0\)"),
        ("NIFTY25JUL24500CE", "read as exchange, expires on 2025-07-31, before the trade date 2025-08-20"),
        ("NIFTY2581424500CE", "expires on 2025-08-14"),
        ("12325AUG100CE", "'123' is no symbol of an underlying"),
        ("X25AUG25SEP100CE", "'X25AUG' at position 1 is no underlying"),
        ("S&P50025AUGFUT", "by no weekday rule"),
        ("ABCDEFGHIJKLMNOPQRSTU25AUGFUT", "is no symbol of an underlying"),
    ],
)
def test_what_does_not_follow_the_grammar_is_refused_with_the_place(ticker: str, message: str) -> None:
    with pytest.raises(TickerError, match=message) as refused:
        parse_ticker(ticker, "exchange", DAY)
    assert repr(ticker) in str(refused.value)


@given(st.text(max_size=40))
def test_random_text_is_refused_and_never_crashes(text: str) -> None:
    try:
        contract = parse_ticker(text, "exchange", DAY)
    except TickerError:
        return
    assert contract.ticker == text


@given(st.from_regex(r"[A-Z0-9&-]{1,8}\d\d([A-Z]{3}|[0-9OND]\d\d)[0-9.]{0,9}(CE|PE|FUT|)", fullmatch=True))
def test_near_misses_are_read_or_refused_and_never_crash(text: str) -> None:
    try:
        contract = parse_ticker(text, "exchange", DAY)
    except TickerError:
        return
    assert contract.expiry is not None
    assert contract.expiry >= DAY
