from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.backtrader.checks import check_bars, check_expiries
from pipeline_defs.schema.columns import PRICE
from pipeline_defs.schema.exports import BAR_SCHEMA
from pipeline_tests.exports.backtrader.slices import (
    SESSIONS,
    bars_of,
    close_of,
    instrument,
    make_slice,
    open_of,
    option,
)

BOUNDS = (open_of(SESSIONS[0]), close_of(SESSIONS[-1]))


def good() -> pl.DataFrame:
    return pl.concat([bars_of(1, "100.05", minutes=5), bars_of(2, "7", minutes=5, open_interest=pl.lit(75))])


def change(row: int, **values: Any) -> pl.DataFrame:
    """Change some values of one row."""
    at = pl.int_range(pl.len()) == row
    return good().with_columns(
        pl.when(at).then(pl.lit(value, BAR_SCHEMA[name])).otherwise(name).alias(name) for name, value in values.items()
    )


def test_good_bars_pass() -> None:
    check_bars(good(), BAR_SCHEMA, *BOUNDS)
    check_bars(good().clear(), BAR_SCHEMA, *BOUNDS)


@pytest.mark.parametrize(
    ("bars", "message"),
    [
        (good().drop("volume"), "bars came with the columns"),
        (change(3, close=None), "a required value is missing"),
        (change(3, timestamp=None), "a required value is missing"),
        (good().reverse(), "not sorted by instrument and time"),
        (pl.concat([good().head(1), good()]), "not sorted by instrument and time, or one is there twice"),
        (change(3, high=Decimal("100.01")), "high and low do not enclose"),
        (change(3, low=Decimal(200)), "high and low do not enclose"),
        (change(3, volume=-1), "volume and open interest are not between"),
        (change(3, open_interest=2**53 + 1), "volume and open interest are not between"),
        (change(3, high=Decimal("123456789012.3456")), "more than the 15 digits"),
        (change(3, timestamp=close_of(SESSIONS[0]) - dt.timedelta(minutes=1, microseconds=1)), "fraction of a second"),
        (change(0, timestamp=BOUNDS[0]), "outside the sessions"),
        (change(9, timestamp=BOUNDS[1] + dt.timedelta(seconds=1)), "outside the sessions"),
    ],
)
def test_what_backtrader_would_misread_is_refused(bars: pl.DataFrame, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        check_bars(bars, BAR_SCHEMA, *BOUNDS)


def test_a_refusal_names_the_instrument_the_time_and_the_values() -> None:
    with pytest.raises(ExportError) as caught:
        check_bars(change(3, volume=-1), BAR_SCHEMA, *BOUNDS)
    assert caught.value.where == "instrument 1 at 2025-08-13 09:59:00+00:00"
    assert "volume -1" in caught.value.what
    assert caught.value.next_step is not None


@given(st.decimals(min_value=0, max_value=Decimal("999999999999.99999999"), places=8))
def test_a_price_passes_exactly_if_no_float_can_blur_it(value: Decimal) -> None:
    price = pl.DataFrame(
        {name: [value] for name in ("open", "high", "low", "close")},
        schema_overrides=dict.fromkeys(("open", "high", "low", "close"), PRICE),
    )
    bars = good().head(1).with_columns(price)
    digits = len(value.normalize().as_tuple().digits)
    # Large round numbers count their zeros, since those are digits to the left of the point.
    digits += max(0, int(value.normalize().as_tuple().exponent))
    if digits <= 15:
        check_bars(bars, BAR_SCHEMA, *BOUNDS)
        assert Decimal(repr(float(value))) == value
    else:
        with pytest.raises(ExportError, match="15 digits"):
            check_bars(bars, BAR_SCHEMA, *BOUNDS)


def test_a_bar_after_its_contract_expired_is_refused() -> None:
    terms = make_slice([instrument(1, "SPOT"), option(2, "7", "CE", SESSIONS[0])], [good()]).instruments
    with pytest.raises(ExportError, match="lies after its contract expired at 2025-08-13 10:00:00") as caught:
        check_expiries(good(), terms)
    assert caught.value.where == "instrument 2 at 2025-08-14 09:56:00+00:00"
    check_expiries(good().filter(pl.col("timestamp") <= close_of(SESSIONS[0])), terms)
