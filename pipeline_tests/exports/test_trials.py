"""Which option all engines hold: the same one, whatever it is called and wherever it stands in the slice."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.exports.trials import choose_option
from pipeline_defs.schema.columns import PRICE, TIMESTAMP

OPEN = dt.datetime(2025, 8, 14, 3, 45, tzinfo=dt.UTC)
CLOSE = dt.datetime(2025, 8, 14, 10, tzinfo=dt.UTC)
SCHEMA = pl.Schema(
    {
        "kind": pl.String(),
        "expiry": pl.Date(),
        "strike": PRICE,
        "option_type": pl.String(),
        "first_timestamp": TIMESTAMP,
        "last_timestamp": TIMESTAMP,
        "expiry_close": TIMESTAMP,
        "settlement_price": PRICE,
    }
)


def option(strike: int, worth: str | None, **terms: Any) -> dict[str, Any]:
    return {
        "kind": "OPT",
        "expiry": CLOSE.date(),
        "strike": Decimal(strike),
        "option_type": "CE",
        "first_timestamp": OPEN,
        "last_timestamp": CLOSE,
        "expiry_close": CLOSE,
        "settlement_price": None if worth is None else Decimal(worth),
        **terms,
    }


def chosen(*options: dict[str, Any]) -> Decimal | None:
    row = choose_option(pl.DataFrame(list(options), schema=SCHEMA))
    return None if row is None else row["strike"]


def test_the_option_with_the_smallest_worth_above_nothing_is_held() -> None:
    assert chosen(option(100, "40"), option(120, "20.5"), option(150, "0")) == 120


def test_options_that_expire_worthless_are_held_when_there_is_no_other() -> None:
    assert chosen(option(160, "0"), option(150, "0")) == 150


def test_an_option_that_is_not_settled_or_never_trades_again_is_not_held() -> None:
    assert chosen(option(100, None), option(120, "5", last_timestamp=OPEN), option(140, "9")) == 140
    assert chosen(option(100, None)) is None


def test_futures_are_not_held() -> None:
    assert chosen(option(100, "5", kind="FUT")) is None


@given(st.permutations([option(100, "40"), option(120, "20"), option(120, "20", option_type="PE"), option(150, "0")]))
def test_the_choice_does_not_depend_on_the_order_of_the_slice(options: list[dict[str, Any]]) -> None:
    row = choose_option(pl.DataFrame(options, schema=SCHEMA))

    assert row is not None
    assert (row["strike"], row["option_type"]) == (120, "CE")
