from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.exports.lean.kinds import LeanFormatError, OptionStyle, Resolution, SecurityType, TickType
from pipeline_defs.exports.lean.paths import DataFile, names_tick_type, parse_path
from pipeline_tests.exports.lean.samples import needs_samples, sample_path, sample_zips, vectors

TICKERS = st.from_regex(r"[a-z0-9][a-z0-9&.-]{0,12}", fullmatch=True)
DATES = st.dates(dt.date(1990, 1, 1), dt.date(2100, 1, 1))


@st.composite
def data_files(draw: st.DrawFn) -> DataFile:
    security, resolution = draw(st.sampled_from(SecurityType)), draw(st.sampled_from(Resolution))
    coarse = resolution.is_coarse
    tick_type = draw(st.sampled_from(TickType))
    if coarse and not names_tick_type(security):
        tick_type = TickType.QUOTE if security.is_quoted_only else TickType.TRADE
    return DataFile(
        security,
        draw(st.sampled_from(["india", "usa", "binance"])),
        resolution,
        draw(TICKERS),
        tick_type,
        date=None if coarse else draw(DATES),
        year=draw(st.integers(1990, 2100)) if coarse and security.is_option else None,
        style=draw(st.sampled_from(OptionStyle)) if security.is_option else None,
        month="202512" if security is SecurityType.FUTURE_OPTION else None,
    )


@given(data_files())
def test_every_path_is_parsed_to_what_it_was_made_of(file: DataFile) -> None:
    assert parse_path(file.path) == file


@given(data_files(), st.data())
def test_a_path_with_one_character_changed_is_another_path_or_refused(file: DataFile, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(file.path) - 1))
    changed = file.path[:at] + data.draw(st.sampled_from("aA_/.0é \n")) + file.path[at + 1 :]
    try:
        parsed = parse_path(changed)
    except LeanFormatError:
        return
    assert parsed.path == changed


@needs_samples
def test_every_path_of_leans_own_tests_is_parsed_and_formed() -> None:
    found = vectors("lean_path_vectors")
    assert len(found) == 67
    for vector in found:
        path = f"{vector['dir']}/{vector['zip']}"
        file = parse_path(path)
        assert file.path == path
        assert file.resolution == vector["resolution"].lower()
        assert file.tick_type == vector["tick_type"].lower()
        assert file.date in {None, dt.date.fromisoformat(vector["date"])}


@needs_samples
def test_every_zip_of_leans_own_samples_has_a_path_that_is_known() -> None:
    zips = sample_zips()
    assert len(zips) == 53
    for zip_file in zips:
        assert parse_path(sample_path(zip_file)).path == sample_path(zip_file)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("equity/india/daily/reliance.csv", "expected <security type>/<market>/<resolution>"),
        ("index/india/nifty.zip", "expected <security type>/<market>/<resolution>"),
        ("share/india/daily/reliance.zip", "expected one of equity, .* in place of 'share'"),
        ("equity/India/daily/reliance.zip", "the market 'India' is not in lower case"),
        ("equity/india/weekly/reliance.zip", "in place of 'weekly'"),
        ("equity/india/daily/RELIANCE.zip", "the ticker 'RELIANCE' holds other characters"),
        ("equity/india/daily/reliance/reliance.zip", "LEAN would look for equity/india/daily/reliance.zip"),
        ("equity/india/minute/20250801_trade.zip", "expected a folder named after the ticker"),
        ("equity/india/minute/reliance/20250801.zip", "the name has 1 parts, expected at least 2"),
        ("equity/india/minute/reliance/20250832_trade.zip", "expected a date yyyyMMdd in place of '20250832'"),
        ("equity/india/minute/reliance/20250801_trade_european.zip", "LEAN would look for"),
        ("indexoption/india/minute/nifty/20250801_trade.zip", "the name has 2 parts, expected at least 3"),
        ("indexoption/india/minute/nifty/20250801_trade_bermudan.zip", "in place of 'bermudan'"),
        ("indexoption/india/daily/nifty_25_trade_european.zip", "expected a year in place of '25'"),
        ("future/india/daily/nifty.zip", "the name has 1 parts, expected at least 2"),
    ],
)
def test_a_path_that_lean_would_not_form_is_refused_with_the_reason(path: str, why: str) -> None:
    with pytest.raises(LeanFormatError, match=why):
        parse_path(path)
