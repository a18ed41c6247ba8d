from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.reconciliation.tolerances import COLUMNS, FIELDS, load_tolerances, parse_tolerances

if TYPE_CHECKING:
    from pathlib import Path

HEADER = ",".join(COLUMNS)
LINE = "intraday,options_ticks,OPT,close,1,0.01,0"


def test_the_packages_own_table_covers_every_table_and_kind_of_comparison(tmp_path: Path) -> None:
    tolerances = load_tolerances(tmp_path)
    found = {(one.comparison, one.dataset) for one in tolerances}

    assert found == {
        *((how, table) for how in ("intraday", "daily") for table in ("options_ticks", "futures_ticks", "spot_prices")),
        ("daily", "equity_daily"),
        *(("bhavcopy", table) for table in ("options_ticks", "futures_ticks", "equity_daily")),
    }
    options = [one.field for one in tolerances if one.key[:2] == ("bhavcopy", "options_ticks")]
    assert options == list(FIELDS)
    assert len({one.key for one in tolerances}) == len(tolerances)


def test_the_users_lines_take_the_place_of_those_they_are_for(tmp_path: Path) -> None:
    before = load_tolerances(tmp_path)
    (tmp_path / "tolerances.csv").write_text(f"{HEADER}\n{LINE.replace(',1,', ',4,')}\n\n", encoding="utf-8")

    after = load_tolerances(tmp_path)

    assert [one for one in after if one not in before] == [
        one for one in after if one.key == ("intraday", "options_ticks", "OPT", "close")
    ]
    assert [one.ticks for one in after if one not in before] == [Decimal(4)]
    assert len(after) == len(before)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("comparison,dataset", "line 1: the header is"),
        (f"{HEADER}\n{LINE}\n{LINE}", "line 3: a second tolerance for intraday, options_ticks, OPT, close"),
        (f"{HEADER}\n{LINE},1", "line 2: 8 cells, expected 7"),
        (f"{HEADER}\nweekly,options_ticks,OPT,close,1,0.01,0", "line 2: comparison 'weekly', expected one of intraday"),
        (f"{HEADER}\nintraday,options,OPT,close,1,0.01,0", "line 2: dataset 'options', expected one of"),
        (f"{HEADER}\nintraday,options_ticks,CALL,close,1,0.01,0", "line 2: kind 'CALL', expected one of OPT"),
        (f"{HEADER}\nintraday,options_ticks,OPT,price,1,0.01,0", "line 2: field 'price', expected one of open"),
        (f"{HEADER}\nintraday,options_ticks,OPT,close,one,0.01,0", "line 2: ticks 'one', expected a number"),
        (f"{HEADER}\nintraday,options_ticks,OPT,close,1,-0.01,0", "line 2: tick_size_if_unknown '-0.01', expected"),
        (f"{HEADER}\nintraday,options_ticks,OPT,close,1,0.01,nan", "line 2: relative 'nan', expected a number"),
    ],
)
def test_a_line_that_is_not_understood_is_named(lines: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=f"mine.csv {told}"):
        parse_tolerances(lines, "mine.csv")
