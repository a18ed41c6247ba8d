"""The packaged tables read, and a damaged line is named."""

from __future__ import annotations

import pytest

from pipeline_defs.errors import MarketRuleError
from pipeline_defs.markets.tables import parse_table, read_table

COLUMNS = ("name", "count")


def convert(row: dict[str, str]) -> tuple[str, int]:
    return row["name"], int(row["count"])


def test_a_table_reads_line_by_line_with_quoted_commas() -> None:
    assert parse_table('name,count\n"a, b",1\nc,2\n', "t.csv", COLUMNS, convert) == [("a, b", 1), ("c", 2)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "t.csv: the header is , expected name,count"),
        ("count,name\n", "t.csv: the header is count,name, expected name,count"),
        ("name,count\na,1\nb\n", "t.csv line 3: 1 cells, expected 2"),
        ("name,count\na,1,x\n", "t.csv line 2: 3 cells, expected 2"),
        ("name,count\na,one\n", "t.csv line 2: invalid literal"),
    ],
)
def test_a_damaged_table_names_the_line(text: str, message: str) -> None:
    with pytest.raises(MarketRuleError, match=message):
        parse_table(text, "t.csv", COLUMNS, convert)


def test_a_packaged_table_with_another_header_is_refused() -> None:
    with pytest.raises(MarketRuleError, match=r"nse_holidays.csv: the header is date,name,source, expected date"):
        read_table("nse_holidays.csv", ("date",), dict)
