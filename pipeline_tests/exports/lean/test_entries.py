from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.exports.lean.entries import Contract, Entry, belongs, entry_of, parse_entry, plain_text, scaled_text
from pipeline_defs.exports.lean.kinds import LeanFormatError, OptionRight, Resolution, SecurityType, TickType
from pipeline_defs.exports.lean.paths import DataFile, parse_path
from pipeline_tests.exports.lean.samples import needs_samples, sample_entries, sample_path, sample_zips, vectors
from pipeline_tests.exports.lean.test_paths import DATES, data_files

CONTRACTS = st.builds(
    Contract,
    right=st.sampled_from(OptionRight),
    strike=st.decimals("0.000001", "999999", allow_nan=False, places=6),
    expiry=DATES,
)


@st.composite
def files_and_contracts(draw: st.DrawFn) -> tuple[DataFile, Contract | None]:
    file = draw(data_files())
    if file.security.is_option:
        return file, draw(CONTRACTS)
    if file.security.is_future:
        month = draw(DATES.map(lambda day: f"{day:%Y%m}") | st.just("perp"))
        return file, Contract(month=month, expiry=draw(st.none() | DATES))
    return file, None


def is_written(entry: Entry) -> bool:
    """Tell whether LEAN has such entries: open interest of a share's ticks has no name."""
    return entry.resolution is not Resolution.TICK or entry.tick_type is not TickType.OPEN_INTEREST


@given(files_and_contracts())
def test_every_entry_is_parsed_to_what_it_was_made_of(pair: tuple[DataFile, Contract | None]) -> None:
    file, contract = pair
    entry = entry_of(file, contract)
    if not is_written(entry):
        return
    assert parse_entry(entry.name, file.security, file.resolution) == entry
    assert belongs(entry, file) is None


@needs_samples
def test_every_entry_of_leans_own_tests_is_parsed_and_formed() -> None:
    for vector in vectors("lean_path_vectors"):
        file = parse_path(f"{vector['dir']}/{vector['zip']}")
        entry = parse_entry(vector["entry"], file.security, file.resolution)
        assert entry.name == vector["entry"]
        assert belongs(entry, file) is None


@needs_samples
def test_every_entry_of_leans_own_samples_is_known_and_all_but_those_of_nifty50_lie_where_they_belong() -> None:
    entries, astray = 0, []
    for zip_file in sample_zips():
        file = parse_path(sample_path(zip_file))
        for name, _ in sample_entries(zip_file):
            entries += 1
            entry = parse_entry(name, file.security, file.resolution)
            assert entry.name == name
            if belongs(entry, file) is not None:
                astray.append(f"{file.ticker}/{name}")
    assert entries == 304
    # LEAN's own slip: a folder nifty50 whose zips hold entries of nifty, each a second one of the next day.
    assert len(astray) == 8
    assert all(name.startswith("nifty50/") and "_nifty_minute_trade" in name for name in astray)


def test_an_entry_in_the_wrong_zip_is_told_where_it_belongs() -> None:
    file = parse_path("indexoption/india/minute/nifty/20250801_trade_european.zip")
    name = "20250804_nifty_minute_trade_european_call_245000000_20250814.csv"
    entry = parse_entry(name, file.security, file.resolution)
    assert entry.contract == Contract(OptionRight.CALL, Decimal(24500), dt.date(2025, 8, 14))
    assert belongs(entry, file) == (
        "LEAN would look for 20250801_nifty_minute_trade_european_call_245000000_20250814.csv"
    )


@pytest.mark.parametrize(
    ("name", "security", "resolution"),
    [
        ("nifty.csv", SecurityType.INDEX, Resolution.MINUTE),
        ("20250801_nifty_minute_trade.csv", SecurityType.INDEX, Resolution.DAILY),
        (
            "20250801_nifty_minute_trade_european_call_24500.50_20250814.csv",
            SecurityType.INDEX_OPTION,
            Resolution.MINUTE,
        ),
        ("20250801_nifty_minute_trade_european_CE_24500_20250814.csv", SecurityType.INDEX_OPTION, Resolution.MINUTE),
        ("20250801_nifty_minute_trade_20250828.csv", SecurityType.FUTURE, Resolution.MINUTE),
        ("nifty_trade_202513.csv", SecurityType.FUTURE, Resolution.DAILY),
        ("nifty_trade_european_call_245000000_20250230.csv", SecurityType.INDEX_OPTION, Resolution.DAILY),
        ("20250801_spy_tick_trade.csv", SecurityType.EQUITY, Resolution.TICK),
    ],
)
def test_a_name_that_lean_would_not_form_is_refused(name: str, security: SecurityType, resolution: Resolution) -> None:
    with pytest.raises(LeanFormatError, match=name.replace(".", r"\.")):
        parse_entry(name, security, resolution)


@pytest.mark.parametrize(
    ("number", "text"), [("0", "0"), ("-0.0", "0"), ("1E+3", "1000"), ("0.000001", "0.000001"), ("24500.50", "24500.5")]
)
def test_a_number_is_written_as_its_shortest_plain_text(number: str, text: str) -> None:
    assert plain_text(Decimal(number)) == text


def test_a_strike_is_written_in_ten_thousandths() -> None:
    assert scaled_text(Decimal(24500)) == "245000000"
    assert scaled_text(Decimal("0.006475")) == "64.75"
