from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl
import pytest

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.lean.corporate import chain_factors, check_factors, check_map, factor_text, map_text
from pipeline_defs.exports.lean.kinds import LeanFormatError
from pipeline_defs.schema.exports import ACTION_SCHEMA
from pipeline_tests.exports.lean.samples import SAMPLES, needs_samples

CLOSES = {dt.date(2025, 8, 13): Decimal(1400), dt.date(2025, 8, 14): Decimal(700), dt.date(2025, 8, 18): Decimal(690)}


def actions(*rows: tuple[str, str, str]) -> pl.DataFrame:
    values = [(1, dt.date.fromisoformat(day), kind, Decimal(value)) for day, kind, value in rows]
    return pl.DataFrame(values, schema=ACTION_SCHEMA, orient="row")


def test_a_share_without_actions_has_the_trivial_files() -> None:
    assert factor_text(actions(), CLOSES, "x") == ("19900101,1,1,0\n20501231,1,1,0\n", [])
    assert map_text("reliance") == "19900101,reliance\n20501231,reliance\n"
    check_map(map_text("reliance"), "reliance", "x")


def test_factors_multiply_from_the_newest_action_back() -> None:
    text, notes = factor_text(actions(("2025-08-14", "split", "2"), ("2025-08-18", "dividend", "7")), CLOSES, "x")
    assert text == "19900101,0.99,0.5,0\n20250813,0.99,0.5,1400\n20250814,0.99,1,700\n20501231,1,1,0\n"
    assert notes == []
    check_factors(text, "x")


def test_a_split_before_the_first_session_needs_no_price_a_dividend_does() -> None:
    text, notes = factor_text(actions(("2025-08-13", "split", "5"), ("2025-08-13", "dividend", "7")), CLOSES, "x")
    assert text == "19900101,1,0.2,0\n20250812,1,0.2,0\n20501231,1,1,0\n"
    assert notes == [
        "x: the dividend of 7.00000000 on 2025-08-13 is left out, the price before it is not in the export"
    ]


@pytest.mark.parametrize(
    "action", [("2025-08-14", "bonus", "1"), ("2025-08-14", "split", "0"), ("2025-08-14", "dividend", "1400")]
)
def test_an_action_that_makes_no_factor_is_refused(action: tuple[str, str, str]) -> None:
    with pytest.raises(ExportError, match=f"the {action[1]} of .* follows a close of 1400"):
        factor_text(actions(action), CLOSES, "equity/india/x")


def test_months_are_chained_so_that_old_prices_carry_all_that_came_after() -> None:
    july = "19900101,0.9,1,0\n20250710,0.9,1,100\n20501231,1,1,0\n"
    august = "19900101,1,0.5,0\n20250813,1,0.5,200\n20501231,1,1,0\n"
    assert chain_factors([july, august], "x") == (
        "19900101,0.9,0.5,0\n20250710,0.9,0.5,100\n20250813,1,0.5,200\n20501231,1,1,0\n"
    )
    with pytest.raises(ExportError, match="two exports tell of an action after 2025-08-13"):
        chain_factors([august, august], "x")


@needs_samples
def test_leans_own_map_and_factor_files_are_understood() -> None:
    check_map((SAMPLES / "equity/india/map_files/3mindia.csv").read_text(), "3mindia", "x")
    check_factors((SAMPLES / "equity/india/factor_files/cccl.csv").read_text(), "x")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "holds no rows"),
        ("20501231,x\n19900101,x\n", "dates do not ascend"),
        ("19900101,x\n20501231,y\n", "the last row names y, expected x"),
        ("19900101;x\n", "line 1 has not the form"),
        ("19901301,x\n", "expected a date yyyyMMdd"),
    ],
)
def test_a_map_file_that_lean_would_misread_is_refused(text: str, why: str) -> None:
    with pytest.raises(LeanFormatError, match=why):
        check_map(text, "x", "x.csv")
