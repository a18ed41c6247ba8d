from __future__ import annotations

import datetime as dt
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.exports.lean.kinds import LeanFormatError, Resolution, SecurityType, TickType
from pipeline_defs.exports.lean.lines import (
    Line,
    OpenInterest,
    Prices,
    QuoteBar,
    QuoteTick,
    TradeBar,
    TradeTick,
    format_line,
    parse_line,
)
from pipeline_defs.exports.lean.paths import parse_path
from pipeline_tests.exports.lean.samples import needs_samples, sample_entries, sample_path, sample_zips, vectors

SIZES = st.decimals(0, 10**9, allow_nan=False, places=4)
WORDS = st.from_regex(r"[A-Z0-9]{0,3}", fullmatch=True)


@st.composite
def lines(draw: st.DrawFn) -> tuple[Line, SecurityType, Resolution, TickType]:
    security, resolution = draw(st.sampled_from(SecurityType)), draw(st.sampled_from(Resolution))
    price = st.decimals("-99999", "9999999", allow_nan=False, places=4 if security.is_scaled else 8)
    prices = st.builds(Prices, price, price, price, price)
    if resolution is Resolution.TICK:
        return (
            draw(ticks(security, price)),
            security,
            resolution,
            (TickType.QUOTE if security.is_quoted_only else TickType.TRADE),
        )
    time: st.SearchStrategy[Decimal | dt.datetime] = (
        st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2100, 1, 1)).map(  # noqa: DTZ001 -- LEAN's times are naive
            lambda stamp: stamp.replace(second=0, microsecond=0)
        )
        if resolution.is_coarse
        else st.integers(0, 86_399_999).map(Decimal)
    )
    kind = draw(st.sampled_from(TickType))
    if kind is TickType.TRADE:
        return TradeBar(draw(time), draw(prices), draw(SIZES)), security, resolution, kind
    if kind is TickType.OPEN_INTEREST:
        return OpenInterest(draw(time), draw(SIZES)), security, resolution, kind
    bid, ask = draw(st.none() | prices), draw(st.none() | prices)
    sizes = Decimal(0) if bid is None else draw(SIZES), Decimal(0) if ask is None else draw(SIZES)
    return QuoteBar(draw(time), bid, sizes[0], ask, sizes[1]), security, resolution, kind


@st.composite
def ticks(draw: st.DrawFn, security: SecurityType, price: st.SearchStrategy[Decimal]) -> Line:
    time = draw(st.decimals(0, "86399999", allow_nan=False, places=3))
    if security.is_quoted_only:
        return QuoteTick(time, draw(price), None, draw(price), None, None, None, None)
    bare = security in {SecurityType.CRYPTO, SecurityType.CRYPTO_FUTURE}
    exchange, condition = (None, None) if bare else (draw(WORDS), draw(WORDS))
    return TradeTick(time, draw(price), draw(SIZES), exchange, condition, draw(st.booleans()))


@given(lines())
def test_every_line_is_parsed_to_what_it_was_made_of(made: tuple[Line, SecurityType, Resolution, TickType]) -> None:
    line, security, resolution, tick_type = made
    assert parse_line(format_line(line, security, resolution), security, resolution, tick_type) == line


@given(st.sampled_from([SecurityType.EQUITY, SecurityType.CRYPTO, SecurityType.OPTION]), st.booleans(), WORDS, WORDS)
def test_a_quote_tick_keeps_what_its_security_type_has_a_place_for(
    security: SecurityType,
    suspicious: bool,  # noqa: FBT001 -- given by hypothesis
    exchange: str,
    condition: str,
) -> None:
    words = {
        SecurityType.EQUITY: (exchange, condition),
        SecurityType.OPTION: (exchange, None),
        SecurityType.CRYPTO: (None, None),
    }[security]
    tick = QuoteTick(Decimal(1), Decimal(2), Decimal(3), Decimal(4), Decimal(5), *words, suspicious)
    text = format_line(tick, security, Resolution.TICK)
    assert parse_line(text, security, Resolution.TICK, TickType.QUOTE) == tick


@needs_samples
def test_every_line_of_leans_own_tests_is_parsed_and_formed() -> None:
    found = vectors("lean_line_vectors")
    assert len(found) == 32
    for vector in found:
        security, resolution = SecurityType(vector["security"].lower()), Resolution(vector["resolution"].lower())
        is_quote = "QuoteBar" in vector["data"] or "TickType.Quote" in vector["data"]
        line = parse_line(vector["line"], security, resolution, TickType.QUOTE if is_quote else TickType.TRADE)
        assert format_line(line, security, resolution) == vector["line"]


@needs_samples
def test_every_line_of_leans_own_samples_is_parsed_and_formed_and_later_than_the_one_before() -> None:
    count = 0
    for zip_file in sample_zips():
        file = parse_path(sample_path(zip_file))
        for _, text in sample_entries(zip_file):
            parsed = []
            # Two zips of LEAN's own end their lines with CRLF, and some entries have no end of line at their end.
            for line in text.splitlines():
                parsed.append(parse_line(line, file.security, file.resolution, file.tick_type))
                assert format_line(parsed[-1], file.security, file.resolution) == line
            times = [str(line.time).zfill(20) for line in parsed]
            assert all(before < after for before, after in pairwise(times))
            count += len(parsed)
    assert count == 50_885


@pytest.mark.parametrize(
    ("text", "tick_type"),
    [
        ("33300000,1,2,1", TickType.TRADE),
        ("33300000,1,2,1,2,5,6", TickType.TRADE),
        ("33300000,1.5,2,1,2,5", TickType.TRADE),
        ("33300000,1,2,1,2,", TickType.TRADE),
        ("33300000, 1,2,1,2,5", TickType.TRADE),
        ("33300000,1e3,2,1,2,5", TickType.TRADE),
        ("033300000,1,2,1,2,5", TickType.TRADE),
        ("20250801 09:15,1,2,1,2,5", TickType.TRADE),
        ("33300000,1,2,1,2,5,,,,,1", TickType.QUOTE),
        ("33300000,1,,1,2,5,1,2,1,2,5", TickType.QUOTE),
        ("33300000,1,2", TickType.OPEN_INTEREST),
        ("", TickType.TRADE),
    ],
)
def test_a_line_that_lean_would_misread_is_refused(text: str, tick_type: TickType) -> None:
    with pytest.raises(LeanFormatError, match="is not a line of minute"):
        parse_line(text, SecurityType.INDEX_OPTION, Resolution.MINUTE, tick_type)


def test_a_time_after_the_day_is_refused() -> None:
    with pytest.raises(LeanFormatError, match="the time 86400000 lies after the day"):
        parse_line("86400000,1,2,1,2,5", SecurityType.OPTION, Resolution.MINUTE, TickType.TRADE)
    with pytest.raises(LeanFormatError, match="expected a date yyyyMMdd in place of '20250230'"):
        parse_line("20250230 00:00,1,2,1,2,5", SecurityType.OPTION, Resolution.DAILY, TickType.TRADE)


def test_a_price_with_more_decimals_than_a_scaled_file_holds_is_refused_not_rounded() -> None:
    price = Decimal("0.00005")
    bar = TradeBar(Decimal(0), Prices(price, price, price, price), Decimal(1))
    with pytest.raises(LeanFormatError, match=r"the price 0\.00005 has more than the four decimals"):
        format_line(bar, SecurityType.EQUITY, Resolution.MINUTE)
    assert format_line(bar, SecurityType.CRYPTO, Resolution.MINUTE) == "0,0.00005,0.00005,0.00005,0.00005,1"


def test_a_time_of_another_resolution_is_refused() -> None:
    with pytest.raises(LeanFormatError, match="expected the kind that daily data have"):
        format_line(OpenInterest(Decimal(0), Decimal(1)), SecurityType.FUTURE, Resolution.DAILY)
