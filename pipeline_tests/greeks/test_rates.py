from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.errors import SchemaDriftError, SourceError
from pipeline_defs.greeks.parameters import GreeksParameters
from pipeline_defs.greeks.rate_files import read_rates
from pipeline_defs.greeks.rates import RateBook, list_rates, load_rates, read_book

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.warehouse.connection import Warehouse

CURVE = """currency,valid_from,tenor_days,rate,source
INR,2025-01-01,7,0.0655,FBIL
INR,2025-01-01,91,0.0661,FBIL
INR,2025-06-06,91,0.055,FBIL
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def to_file(text: str) -> Path:
        path = tmp_path / "rates.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return to_file


def book_on(warehouse: Warehouse, day: dt.date) -> RateBook:
    with warehouse.connect() as connection:
        return read_book(connection, day, GreeksParameters())


def test_a_curve_counts_as_a_whole_until_the_next_one(warehouse: Warehouse, write: Callable[[str], Path]) -> None:
    report = load_rates(warehouse, read_rates(write(CURVE)))

    assert (report.table, report.new, report.changed, report.unchanged) == ("interest_rates", 3, 0, 0)
    assert book_on(warehouse, dt.date(2024, 12, 31)).curves == {}
    assert [list(column) for column in book_on(warehouse, dt.date(2025, 6, 5)).curves["INR"]] == [
        [7.0, 91.0],
        [0.0655, 0.0661],
    ]
    assert [list(column) for column in book_on(warehouse, dt.date(2025, 6, 6)).curves["INR"]] == [[91.0], [0.055]]


def test_the_same_file_again_changes_nothing_and_a_correction_keeps_what_was_believed(
    warehouse: Warehouse, write: Callable[[str], Path], ask: Callable[..., list[tuple[Any, ...]]]
) -> None:
    load_rates(warehouse, read_rates(write(CURVE)))
    again = load_rates(warehouse, read_rates(write(CURVE)))
    corrected = load_rates(warehouse, read_rates(write(CURVE.replace("0.055", "0.0555"))))

    assert (again.new, again.changed, again.unchanged) == (0, 0, 3)
    assert (corrected.new, corrected.changed, corrected.unchanged) == (0, 1, 2)
    assert ask(warehouse, "SELECT rate::text FROM interest_rates_history") == [("0.0550000000",)]
    before = ask(warehouse, "SELECT known_from FROM interest_rates WHERE valid_from = '2025-01-01'")[0][0]
    then = ask(warehouse, "SELECT rate::float8 FROM interest_rates_as_of(%s) WHERE tenor_days = 91", before)
    assert sorted(then) == [(0.055,), (0.0661,)]


def test_yields_are_told_apart_by_their_header(warehouse: Warehouse, write: Callable[[str], Path]) -> None:
    text = (
        "underlying,valid_from,dividend_yield,source\nNIFTY,2025-01-01,0.0125,NSE\nNIFTY,2025-07-01,-0.001,NSE\n"
        "M&M,2025-01-01,0,NSE\n"
    )
    report = load_rates(warehouse, read_rates(write(text)))

    assert (report.table, report.new) == ("dividend_yields", 3)
    assert book_on(warehouse, dt.date(2025, 6, 30)).yields == {"NIFTY": 0.0125, "M&M": 0.0}
    assert book_on(warehouse, dt.date(2025, 7, 1)).yields == {"NIFTY": -0.001, "M&M": 0.0}
    assert [row[1] for row in list_rates(warehouse)] == ["M&M", "NIFTY", "NIFTY"]


def test_every_wrong_line_is_named_and_nothing_is_taken(write: Callable[[str], Path]) -> None:
    text = (
        "currency,valid_from,tenor_days,rate,source\n"
        "INR,2025-01-01,7,0.0655,FBIL\n"
        "inr,2025-01-01,7,0.0655,FBIL\n"
        "INR,01-01-2025,7,0.0655,FBIL\n"
        "INR,2025-01-01,14,6.55,FBIL\n"
        "INR,2025-01-01,-1,0.0655,FBIL\n"
        "INR,2025-01-01,28,0.0655,\n"
        "INR,2025-01-01,7,0.07,FBIL\n"
    )
    with pytest.raises(SourceError) as raised:
        read_rates(write(text))

    assert raised.value.what.splitlines() == [
        "nothing was taken:",
        "line 3: the currency is missing or not in capitals",
        "line 4: valid_from is no date written YYYY-MM-DD",
        "line 5: rate is no fraction a year between -1 and 1 (6.5 percent is 0.065)",
        "line 6: tenor_days is no whole number of days",
        "line 7: the source is missing",
        "line 8: an earlier line has the same currency, valid_from, tenor_days",
    ]


def test_a_long_list_of_wrong_lines_is_cut(write: Callable[[str], Path]) -> None:
    lines = "".join(f"x{number},2025-01-01,0.05,me\n" for number in range(25))
    with pytest.raises(SourceError, match="and 5 more"):
        read_rates(write("currency,valid_from,rate,source\n" + lines))


@pytest.mark.parametrize("text", ["currency,rate\nINR,0.05\n", "currency,valid_from,rate,source,desk\nINR,x,x,x,x\n"])
def test_a_header_of_neither_kind_is_refused(write: Callable[[str], Path], text: str) -> None:
    with pytest.raises(SchemaDriftError, match=r"has the columns .*\nNext: write currency,valid_from,rate,source"):
        read_rates(write(text))


def test_a_file_that_is_none_is_refused(write: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read: No such file"):
        read_rates(tmp_path / "absent.csv")
    with pytest.raises(SourceError, match="is not a CSV with a header"):
        read_rates(write(""))
    with pytest.raises(SourceError, match="holds a header and no line"):
        read_rates(write("currency,valid_from,rate,source\n"))
