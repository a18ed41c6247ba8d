from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.quality.expectations import COLUMNS, Expectations, parse_expectations

if TYPE_CHECKING:
    from pathlib import Path

HEADER = ",".join(COLUMNS)
LINE = "zerodha,options_ticks,60,minute,10,20,,1,0.5,2,my universe"


def test_the_packaged_file_has_a_line_for_every_table_and_is_overridden_line_by_line(tmp_path: Path) -> None:
    own = tmp_path / "expected_rows.csv"
    packaged = Expectations(own)
    assert all(
        packaged.find("anybody", table, length)
        for table, length in (
            ("options_ticks", 60),
            ("futures_ticks", 0),
            ("spot_prices", 60),
            ("equity_daily", 86_400),
        )
    )
    assert packaged.find("anybody", "options_ticks", 7) is None

    own.write_text(f"{HEADER}\n{LINE}\n")
    found = Expectations(own).find("zerodha", "options_ticks", 60)

    assert found is not None
    assert (found.min_rows, found.max_rows, found.min_rows_per_instrument, found.why) == (10, 20, None, "my universe")
    assert Expectations(own).find("nse_csv", "options_ticks", 60) == packaged.find("nse_csv", "options_ticks", 60)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n", "expected 'source,dataset"),
        (f"{HEADER}\n{LINE},\n", "line 2: 12 cells, expected 11"),
        (f"{HEADER}\n{LINE.replace('options_ticks', 'options')}\n", "dataset 'options', expected one of options_ticks"),
        (f"{HEADER}\n{LINE.replace('minute', 'hour')}\n", "per 'hour', expected minute or session"),
        (f"{HEADER}\n{LINE.replace(',60,', ',1m,')}\n", "bar_seconds '1m', expected a whole number"),
        (f"{HEADER}\n{LINE.replace(',10,', ',many,')}\n", "min_rows 'many', expected a number of zero or more"),
        (f"{HEADER}\n{LINE.replace(',10,', ',-1,')}\n", "min_rows '-1', expected a number of zero or more"),
        (f"{HEADER}\n{LINE.replace(',10,', ',nan,')}\n", "min_rows 'nan', expected a number of zero or more"),
        (f"{HEADER}\n{LINE.replace(',10,', ',30,')}\n", "min_rows 30.0 is more than max_rows 20.0"),
        (f"{HEADER}\n{LINE}\n{LINE}\n", "line 3: a second line for zerodha, options_ticks, 60 s"),
    ],
)
def test_a_line_that_says_nothing_sensible_is_refused_by_its_number(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match="mine") as error:
        parse_expectations(text, "mine")
    assert message in str(error.value)
    assert error.value.next_step


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["options_ticks", "spot_prices"]),
            st.integers(0, 10**6),
            st.floats(0, 1e9),
            st.floats(0, 1e9),
        ),
        unique_by=lambda line: line[:2],
    )
)
def test_what_is_written_is_read(lines: list[tuple[str, int, float, float]]) -> None:
    text = "".join(
        f"mine,{dataset},{length},minute,{min(least, most)!r},{max(least, most)!r},,,,,why\n"
        for dataset, length, least, most in lines
    )

    read = parse_expectations(f"{HEADER}\n{text}", "mine")

    assert [(line.dataset, line.bar_seconds, line.min_rows, line.max_rows) for line in read] == [
        (dataset, length, min(least, most), max(least, most)) for dataset, length, least, most in lines
    ]
