"""The vendor's day-first names read back exactly, and nothing else reads."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.errors import TickerError
from pipeline_defs.markets.expiries import nth_monthly_expiry
from pipeline_defs.markets.tickers.contract import Contract, OptionType
from pipeline_defs.markets.tickers.grammars import parse_ticker
from pipeline_defs.markets.tickers.lexicon import venue_of
from pipeline_tests.markets.tickers.contracts import OPTION_TYPES, STRIKES, UNDERLYINGS, dates, day_first, written

D = dt.date
DAY = D(2025, 8, 20)
SUFFIXES = st.sampled_from(["", ".NFO", ".BFO"])


def venue(underlying: str, suffix: str) -> str:
    return {"": venue_of(underlying), ".NFO": "NSE", ".BFO": "BSE"}[suffix]


@given(UNDERLYINGS, dates(), STRIKES, OPTION_TYPES, SUFFIXES)
def test_options_read_back(
    underlying: str, days: tuple[dt.date, dt.date], strike: Decimal, option_type: OptionType, suffix: str
) -> None:
    trade_date, expiry = days
    ticker = f"{underlying}{day_first(expiry)}{written(strike)}{option_type}{suffix}"
    expected = Contract(ticker, "OPT", underlying, expiry, strike, option_type, None, None, venue(underlying, suffix))
    assert parse_ticker(ticker, "gdfl", trade_date) == expected


@given(UNDERLYINGS, dates(), st.sampled_from(["{}FUT", "FUT{}"]), SUFFIXES)
def test_futures_read_back_in_both_spellings(
    underlying: str, days: tuple[dt.date, dt.date], spelling: str, suffix: str
) -> None:
    trade_date, expiry = days
    ticker = f"{underlying}{spelling.format(day_first(expiry))}{suffix}"
    expected = Contract(ticker, "FUT", underlying, expiry, None, None, None, None, venue(underlying, suffix))
    assert parse_ticker(ticker, "gdfl", trade_date) == expected


@given(UNDERLYINGS, dates(), st.integers(1, 3), SUFFIXES)
def test_rolling_futures_read_back_with_the_contract_they_meant(
    underlying: str, days: tuple[dt.date, dt.date], rank: int, suffix: str
) -> None:
    ticker = f"{underlying}-{'I' * rank}{suffix}"
    expiry = nth_monthly_expiry(underlying, days[0], rank)
    expected = Contract(ticker, "CONT", underlying, expiry, None, None, rank, None, venue(underlying, suffix))
    assert parse_ticker(ticker, "gdfl", days[0]) == expected


@given(
    UNDERLYINGS,
    dates(),
    STRIKES,
    OPTION_TYPES,
    st.sampled_from([("OPTIDX", "NSE"), ("OPTSTK", "NSE"), ("IO", "BSE"), ("SO", "BSE")]),
)
def test_long_options_read_back(
    underlying: str,
    days: tuple[dt.date, dt.date],
    strike: Decimal,
    option_type: OptionType,
    product: tuple[str, str],
) -> None:
    trade_date, expiry = days
    text = f"{day_first(expiry)[:5]}{expiry.year}"
    ticker = f"{product[0]}_{underlying}_{text}_{option_type}_{written(strike)}"
    expected = Contract(ticker, "OPT", underlying, expiry, strike, option_type, None, None, product[1])
    assert parse_ticker(ticker, "gdfl", trade_date) == expected


@given(UNDERLYINGS, dates(), st.sampled_from([("FUTIDX", "NSE"), ("FUTSTK", "NSE"), ("IF", "BSE"), ("SF", "BSE")]))
def test_long_futures_read_back(underlying: str, days: tuple[dt.date, dt.date], product: tuple[str, str]) -> None:
    trade_date, expiry = days
    ticker = f"{product[0]}_{underlying}_{day_first(expiry)[:5]}{expiry.year}_XX_0"
    expected = Contract(ticker, "FUT", underlying, expiry, None, None, None, None, product[1])
    assert parse_ticker(ticker, "gdfl", trade_date) == expected


@pytest.mark.parametrize(
    ("ticker", "trade_date", "expected"),
    [
        ("NIFTY31JAN1910800CE.NFO", D(2019, 1, 1), ("OPT", "NIFTY", D(2019, 1, 31), Decimal(10800), "CE", "NSE")),
        (
            "ASHOKLEY25JUN25122.5CE.NFO",
            D(2025, 6, 2),
            ("OPT", "ASHOKLEY", D(2025, 6, 25), Decimal("122.5"), "CE", "NSE"),
        ),
        ("NIFTYNXT5028AUG2566000PE.NFO", DAY, ("OPT", "NIFTYNXT50", D(2025, 8, 28), Decimal(66000), "PE", "NSE")),
        ("360ONE28AUG251050CE.NFO", DAY, ("OPT", "360ONE", D(2025, 8, 28), Decimal(1050), "CE", "NSE")),
        (
            "OPTIDX_NIFTY_17APR2025_PE_23700",
            D(2025, 4, 1),
            ("OPT", "NIFTY", D(2025, 4, 17), Decimal(23700), "PE", "NSE"),
        ),
        ("FUTIDX_NIFTY_28NOV2024_XX_0", D(2024, 11, 1), ("FUT", "NIFTY", D(2024, 11, 28), None, None, "NSE")),
        ("IO_SENSEX_28JUN2024_PE_71800", D(2024, 6, 3), ("OPT", "SENSEX", D(2024, 6, 28), Decimal(71800), "PE", "BSE")),
        (
            "IO_SENSEX_28JUN2024_PE_71800.BFO",
            D(2024, 6, 3),
            ("OPT", "SENSEX", D(2024, 6, 28), Decimal(71800), "PE", "BSE"),
        ),
        ("SENSEX28AUG2580000CE", DAY, ("OPT", "SENSEX", D(2025, 8, 28), Decimal(80000), "CE", "BSE")),
        ("NIFTY28AUG2524500.00CE", DAY, ("OPT", "NIFTY", D(2025, 8, 28), Decimal(24500), "CE", "NSE")),
        ("NIFTY20AUG2524500CE.NFO", DAY, ("OPT", "NIFTY", D(2025, 8, 20), Decimal(24500), "CE", "NSE")),
    ],
)
def test_names_seen_in_real_files(
    ticker: str,
    trade_date: dt.date,
    expected: tuple[str, str, dt.date, Decimal | None, OptionType | None, str],
) -> None:
    contract = parse_ticker(ticker, "gdfl", trade_date)
    found = (contract.kind, contract.underlying, contract.expiry, contract.strike, contract.option_type, contract.venue)
    assert found == expected
    assert contract.ticker == ticker


@pytest.mark.parametrize(
    ("ticker", "underlying", "series"),
    [
        ("RELIANCE.NSE", "RELIANCE", "EQ"),
        ("BAJAJ-AUTO.NSE", "BAJAJ-AUTO", "EQ"),
        ("M&M.NSE", "M&M", "EQ"),
        ("20MICRONS.NSE", "20MICRONS", "EQ"),
        ("RELCAPITAL.BE.NSE", "RELCAPITAL", "BE"),
        ("M&MFIN.N1.NSE", "M&MFIN", "N1"),
        ("1003IIFL29.NC.NSE", "1003IIFL29", "NC"),
    ],
)
def test_cash_names_carry_their_series(ticker: str, underlying: str, series: str) -> None:
    expected = Contract(ticker, "EQ", underlying, None, None, None, None, series, "NSE")
    assert parse_ticker(ticker, "gdfl", DAY) == expected


@pytest.mark.parametrize(
    ("ticker", "underlying", "venue_name"),
    [
        ("NIFTY 50.NSE_IDX", "NIFTY", "NSE"),
        ("CNX NIFTY.NSE_IDX", "NIFTY", "NSE"),
        ("NIFTY BANK.NSE_IDX", "BANKNIFTY", "NSE"),
        ("NIFTY FIN SERVICE.NSE_IDX", "FINNIFTY", "NSE"),
        ("NIFTY MID SELECT.NSE_IDX", "MIDCPNIFTY", "NSE"),
        ("NIFTY NEXT 50.NSE_IDX", "NIFTYNXT50", "NSE"),
        ("INDIA VIX.NSE_IDX", "INDIAVIX", "NSE"),
        ("NIFTY GS 4-8YR.NSE_IDX", "NIFTY GS 4-8YR", "NSE"),
        ("Nifty Pharma.NSE_IDX", "Nifty Pharma", "NSE"),
        ("SENSEX.BSE_IDX", "SENSEX", "BSE"),
    ],
)
def test_index_names_become_the_symbol_of_their_derivatives_or_stay(
    ticker: str, underlying: str, venue_name: str
) -> None:
    expected = Contract(ticker, "SPOT", underlying, None, None, None, None, None, venue_name)
    assert parse_ticker(ticker, "gdfl", DAY) == expected


@pytest.mark.parametrize(
    ("ticker", "message"),
    [
        ("", "expected CE, PE or FUT at position 1"),
        ("NIFTY", "expected CE, PE or FUT up to position 5, where it reads 'NIFTY'"),
        ("NIFTY28AUX2524500CE.NFO", "expected a month JAN to DEC up to position 10, where it reads 'FTY28AUX'"),
        ("NIFTYX8AUG2524500CE.NFO", "expected a two-digit day up to position 7, where it reads 'NIFTYX8'"),
        ("28AUG2524500CE", "expected an underlying .* at position 1"),
        ("NIFTY28AUG25CE", "expected a month JAN to DEC up to position 12|expected a two-digit year and a strike"),
        ("NIFTY28AUG25245001234CE", "expected a month JAN to DEC"),
        ("NIFTY28AUGFUT", "expected a two-digit year up to position 10"),
        ("nifty28AUG2524500CE", "expected an underlying"),
        ("NIFTY31FEB2624500CE", "31FEB26 is no date"),
        ("NIFTY00AUG2524500CE", "00AUG25 is no date"),
        ("FUTIDX_NIFTY_28AUG0000_XX_0", "28AUG0000 is no date"),
        ("NIFTY28AUG250CE", r"the strike 0 is not positive \(> 0\)"),
        ("NIFTY28AUG250.00CE", r"the strike 0.00 is not positive \(> 0\)"),
        ("NIFTY28AUG2502450CE", "expected a month"),
        ("NIFTY14AUG2524500CE.NFO", "read as gdfl, expires on 2025-08-14, before the trade date 2025-08-20"),
        ("FUTIDX_NIFTY_28NOV2024_XX_0", "expires on 2024-11-28"),
        ("12328AUG2524500CE", "'123' at position 1 is no underlying"),
        ("-X28AUG2524500CE", "'-X' at position 1 is no underlying"),
        ("NIFTY25AUG28AUG2524500CE", "'NIFTY25AUG' at position 1 is no underlying"),
        ("INDIAVIX-I.NFO", "by no weekday rule"),
        ("NIFTY-IV.NFO", "expected CE, PE or FUT"),
        ("OPTIDX_NIFTY_17APR25_PE_23700", "expected the long form OPTIDX_<underlying>_<DDMMMYYYY>_<CE|PE>_<strike>"),
        (".NSE_IDX", "expected the name of an index before .NSE_IDX"),
        ("\x00.BSE_IDX", "expected the name of an index before .BSE_IDX"),
        ("RELIANCE.EQUITY.NSE", "expected a symbol, or a symbol, a dot and a series of two characters before .NSE"),
        ("NIFTY28AUG25٢4500CE", "no gdfl name"),
        ("NIFTY28AUG2524500CE.NFO\n", "no gdfl name"),
    ],
)
def test_what_does_not_follow_the_grammar_is_refused_with_the_place(ticker: str, message: str) -> None:
    with pytest.raises(TickerError, match=message) as refused:
        parse_ticker(ticker, "gdfl", DAY)
    assert repr(ticker) in str(refused.value)


@given(st.text(max_size=40))
def test_random_text_is_refused_and_never_crashes(text: str) -> None:
    try:
        contract = parse_ticker(text, "gdfl", DAY)
    except TickerError:
        return
    assert contract.ticker == text


@given(
    st.from_regex(r"[A-Z0-9&-]{1,6}(28AUG25|FUT|-I|_)[0-9.]{0,9}(CE|PE|FUT|)(\.NFO|\.NSE|\.NSE_IDX|)", fullmatch=True)
)
def test_near_misses_are_read_or_refused_and_never_crash(text: str) -> None:
    try:
        contract = parse_ticker(text, "gdfl", DAY)
    except TickerError:
        return
    assert contract.ticker == text
