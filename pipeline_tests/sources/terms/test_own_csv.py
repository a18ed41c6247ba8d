"""One's own list: any columns of those known, one statement a line."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import SchemaDriftError
from pipeline_defs.sources.terms.registry import read_terms

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.terms import TermsDelivery


def read(folder: Path, text: str, as_of: dt.date | None = None) -> TermsDelivery:
    file = folder / "own.csv"
    file.write_text(text)
    return read_terms("csv", file, as_of)


def test_a_line_re_dates_a_contract(tmp_path: Path) -> None:
    delivery = read(
        tmp_path,
        "valid_from,kind,underlying,expiry,strike,option_type,new_expiry\n"
        "2025-09-01,OPT,NIFTY,2025-09-25,24500.5,CE,2025-09-30\n",
    )

    row = delivery.statements.row(0, named=True)
    assert (row["expiry"], row["new_expiry"], row["strike"]) == (
        dt.date(2025, 9, 25),
        dt.date(2025, 9, 30),
        Decimal("24500.5"),
    )
    assert (row["venue"], row["currency"], delivery.precedence) == ("NSE", "INR", 0)


def test_a_line_without_a_date_takes_the_one_given(tmp_path: Path) -> None:
    delivery = read(tmp_path, "kind,underlying,expiry,lot_size\nFUT,NIFTY,2025-09-30,75\n", dt.date(2025, 9, 1))

    assert delivery.statements["valid_from"].to_list() == [dt.date(2025, 9, 1)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("2025-09-01,FUT,NIFTY,2025-09-30,,", "it says nothing new about the contract"),
        ("2025-09-01,FUT,NIFTY,2025-09-30,7.5,", "lot_size cannot be read"),
        ("2025-09-01,FUT,NIFTY,2025-09-30,\uff17\uff15,", "lot_size cannot be read"),
        ("1 Sep 2025,FUT,NIFTY,2025-09-30,75,", "the date from which it is valid is missing or no date"),
        ("2025-09-01,FUT,NIFTY,2025-09-30,75,soon", "new_expiry cannot be read"),
        ("2025-09-01,FUT,NIFTY,2025-09-30,0,", "a size is not positive"),
    ],
)
def test_a_line_that_cannot_be_taken_is_refused_with_its_reason(tmp_path: Path, line: str, reason: str) -> None:
    delivery = read(tmp_path, f"valid_from,kind,underlying,expiry,lot_size,new_expiry\n{line}\n")

    assert delivery.statements.is_empty()
    assert delivery.refused.rows() == [(2, reason)]


def test_a_misspelt_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(SchemaDriftError, match="has unknown columns lotsize"):
        read(tmp_path, "kind,underlying,lotsize\nEQ,ACME,1\n")
