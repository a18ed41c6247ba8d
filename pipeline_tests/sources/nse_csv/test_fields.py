from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.sources.nse_csv.fields import (
    Distinct,
    dates,
    is_price,
    is_whole,
    price,
    seconds_of_day,
    whole,
)


def one_price(text: str) -> Decimal | None:
    """The value, or None when the form refuses the text."""
    frame = pl.DataFrame({"x": [text]})
    ok, value = frame.select(ok=is_price("x"), value=price("x")).row(0)
    return value if ok else None


def one_whole(text: str) -> int | None:
    frame = pl.DataFrame({"x": [text]})
    ok, value = frame.select(ok=is_whole("x"), value=whole("x")).row(0)
    return value if ok else None


@given(st.decimals(min_value=Decimal("-999999999999.99999999"), max_value=Decimal("999999999999.99999999"), places=8))
def test_every_price_of_at_most_twelve_and_eight_digits_is_read_exactly(value: Decimal) -> None:
    assert one_price(f"{value:f}") == value
    short = f"{value:f}".rstrip("0").rstrip(".")
    assert one_price(short) == value


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "1.",
            ".5",
            "+1",
            "--1",
            "1e3",
            "1E-2",
            "1,000.5",
            "1 000",
            " 1",
            "1 ",
            "NaN",
            "inf",
            "#N/A",
            "0x1A",
        ),
        *("1.123456789", "1.000000000", "1234567890123", "1_0", "\u0967\u0968", "1\n", "1.5\r", "\u0661"),
    ],
)
def test_anything_but_a_plain_decimal_is_refused(text: str) -> None:
    assert one_price(text) is None


@pytest.mark.parametrize("text", ["\uff13", "1\u0661", "\u0967\u0968"])
def test_a_digit_of_another_script_is_none_since_it_would_become_a_blank(text: str) -> None:
    assert pl.DataFrame({"x": [text]}).select(price=is_price("x"), whole=is_whole("x")).row(0) == (False, False)
    assert seconds_of_day(pl.Series([f"09:1{text[-1]}:00"])).to_list() == [None]


@given(st.text(max_size=12))
def test_no_text_is_read_as_another_value(text: str) -> None:
    value = one_price(text)
    if value is not None:
        assert Decimal(text) == value
    count = one_whole(text)
    if count is not None:
        assert Decimal(text) == count


@given(st.integers(min_value=0, max_value=10**18 - 1), st.sampled_from(["", ".0", ".00", ".0000"]))
def test_whole_numbers_may_be_written_with_empty_decimals(value: int, decimals: str) -> None:
    assert one_whole(f"{value}{decimals}") == value


@pytest.mark.parametrize("text", ["", "-1", "+1", "450.5", "450.", "1e3", "1,000", "1234567890123456789", " 1", "NaN"])
def test_anything_but_a_count_is_refused(text: str) -> None:
    assert one_whole(text) is None


@given(st.dates(min_value=dt.date(1000, 1, 1)))
def test_dates_are_read_in_the_declared_form_and_in_no_other(date: dt.date) -> None:
    texts = pl.Series([f"{date:%d/%m/%Y}", f"{date:%Y-%m-%d}", f"{date:%d-%m-%Y}", f"{date:%Y%m%d}"])
    assert dates(texts, "%d/%m/%Y").to_list() == [date, None, None, None]
    assert dates(texts, "%Y-%m-%d").to_list() == [None, date, None, None]
    assert dates(texts, "%Y%m%d").to_list() == [None, None, None, date]


@pytest.mark.parametrize(
    "text", ["22/01/20266", "31/02/2025", "1/8/2025", "20/08/25", "", " 20/08/2025", "20/08/2025 "]
)
def test_dates_of_a_wrong_form_are_null(text: str) -> None:
    assert dates(pl.Series([text]), "%d/%m/%Y").to_list() == [None]


def test_old_bhavcopies_write_months_in_words_and_years_with_two_or_four_digits() -> None:
    texts = pl.Series(["25-Jul-2024", "05-JUL-2024", "31-May-12", "3-jan-2005", "31-Feb-2024", "05-JULY-2024"])
    assert dates(texts, "%d-%b-%Y", "%d-%b-%y").to_list() == [
        dt.date(2024, 7, 25),
        dt.date(2024, 7, 5),
        dt.date(2012, 5, 31),
        dt.date(2005, 1, 3),
        None,
        None,
    ]


@given(st.times())
def test_times_are_seconds_of_the_day(time: dt.time) -> None:
    assert seconds_of_day(pl.Series([f"{time:%H:%M:%S}"])).to_list() == [
        time.hour * 3600 + time.minute * 60 + time.second
    ]


@pytest.mark.parametrize(
    "text", ["25:00:59", "24:00:00", "09:60:00", "09:15:60", "9:15:59", "09:15", "09:15:59.5", "", "x"]
)
def test_impossible_times_are_null(text: str) -> None:
    assert seconds_of_day(pl.Series([text])).to_list() == [None]


@given(st.lists(st.text(max_size=3), max_size=20))
def test_distinct_texts_are_spread_back_to_the_rows_they_came_from(texts: list[str]) -> None:
    column = pl.Series(texts, dtype=pl.String())
    distinct = Distinct.of(column)
    assert distinct.map(lambda found: found).to_list() == texts
    assert distinct.texts.to_list() == list(dict.fromkeys(texts))
