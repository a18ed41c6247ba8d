from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.backtrader.naming import BarLength, bar_length, plain_decimal, underlying_id, with_names
from pipeline_defs.schema.columns import PRICE
from pipeline_tests.exports.backtrader.slices import MONTHLY, bars_of, instrument, make_slice, option

MINUTE = bar_length(60)


def named(*instruments: dict[str, object], length: BarLength = MINUTE) -> pl.DataFrame:
    frames = [bars_of(int(str(row["instrument_id"])), "100", minutes=1) for row in instruments]
    return with_names(make_slice(list(instruments), frames).instruments, length).sort("instrument_id")


def test_each_kind_has_its_name_and_its_file() -> None:
    frame = named(
        option(1, "24500", "CE"),
        option(2, "24500.5", "PE", MONTHLY),
        instrument(3, "FUT", expiry=MONTHLY),
        instrument(4, "SPOT"),
        instrument(5, "EQ", underlying="RELIANCE", series="EQ"),
        instrument(6, "EQ", underlying="M&M"),
        instrument(7, "EQ", underlying="NAM-INDIA", series="BE"),
    )
    assert frame["name"].to_list() == [
        "NIFTY_250814_24500_CE",
        "NIFTY_250828_24500.5_PE",
        "NIFTY_250828_FUT",
        "NIFTY_IDX",
        "RELIANCE_EQ",
        "M&M_EQ",
        "NAM-INDIA_EQ_BE",
    ]
    assert frame["file"].to_list() == [f"{name}_1m.csv" for name in frame["name"]]


@pytest.mark.parametrize(
    ("bar_seconds", "expected"),
    [
        (60, BarLength(60, "Minutes", 1, "_1m")),
        (300, BarLength(300, "Minutes", 5, "_5m")),
        (3_600, BarLength(3_600, "Minutes", 60, "_60m")),
        (15, BarLength(15, "Seconds", 15, "_15s")),
        (90, BarLength(90, "Seconds", 90, "_90s")),
        (86_400, BarLength(86_400, "Days", 1, "")),
    ],
)
def test_a_bar_length_is_said_as_backtrader_says_it(bar_seconds: int, expected: BarLength) -> None:
    assert bar_length(bar_seconds) == expected


@pytest.mark.parametrize("bar_seconds", [0, -60, 86_401, 604_800])
def test_ticks_and_bars_of_several_days_are_refused(bar_seconds: int) -> None:
    with pytest.raises(ExportError, match=f"bars of {bar_seconds} seconds have no form"):
        bar_length(bar_seconds)


def test_a_daily_file_has_no_suffix() -> None:
    assert named(instrument(1, "SPOT"), length=bar_length(86_400))["file"].to_list() == ["NIFTY_IDX.csv"]


@pytest.mark.parametrize(
    "terms",
    [
        instrument(1, "CONT", rank=1),
        instrument(1, "FUT"),
        option(1, "24500", "XX"),
        instrument(1, "OPT", expiry=MONTHLY, option_type="CE"),
    ],
)
def test_terms_that_do_not_name_a_contract_are_refused(terms: dict[str, object]) -> None:
    with pytest.raises(ExportError, match="terms do not name a contract"):
        named(terms)


@pytest.mark.parametrize("underlying", ["A/B", "../x", ".hidden", "-x", "A B", "A:B", "A\nB", "", "É"])
def test_a_name_that_is_not_safe_on_a_disk_is_refused(underlying: str) -> None:
    with pytest.raises(ExportError, match="not safe in a file's name"):
        named(instrument(1, "EQ", underlying=underlying))


def test_two_instruments_are_never_written_into_one_file_even_where_case_does_not_count() -> None:
    with pytest.raises(ExportError, match=r"share one file: NIFTY_IDX_1m.csv \(instrument 1, SPOT1\) and Nifty_IDX"):
        named(instrument(1, "SPOT"), instrument(2, "SPOT", underlying="Nifty"))


def test_derivatives_are_settled_on_the_index_or_else_on_the_share_in_its_main_series() -> None:
    share, other_series = instrument(2, "EQ"), instrument(3, "EQ", series="BE")
    assert underlying_id(named(instrument(1, "SPOT"), share)) == 1
    assert underlying_id(named(other_series, share)) == 2
    assert underlying_id(named(other_series, option(4, "1", "CE"))) is None


@given(st.decimals(min_value=0, max_value=10**11, places=8))
def test_the_text_of_a_decimal_is_exact_plain_and_minimal(value: Decimal) -> None:
    (text,) = pl.DataFrame({"x": [value]}, schema={"x": PRICE}).select(plain_decimal("x")).to_series()
    assert Decimal(text) == value
    assert "e" not in text.lower()
    assert text == "0" or not text.startswith("00")
    assert "." not in text or not text.endswith(("0", "."))


def test_an_expiry_is_named_by_its_day() -> None:
    frame = named(option(1, "24500", "CE", dt.date(2026, 1, 6)))
    assert frame["name"].to_list() == ["NIFTY_260106_24500_CE"]
