from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.lean.checks import check_bars, check_decimals
from pipeline_defs.exports.lean.kinds import OptionStyle
from pipeline_defs.exports.lean.symbols import with_symbols
from pipeline_defs.schema.columns import PRICE
from pipeline_defs.schema.exports import BAR_SCHEMA, INSTRUMENT_SCHEMA
from pipeline_tests.exports.lean.slices import WEEKLY, bars_of, instrument, option, session_frame, stamps_of

if TYPE_CHECKING:
    from collections.abc import Callable

NAMED = with_symbols(
    pl.DataFrame([instrument(1, "SPOT"), option(10, "24500", "CE", WEEKLY)], schema=INSTRUMENT_SCHEMA),
    "Asia/Kolkata",
    OptionStyle.EUROPEAN,
)


def bars(**columns: Any) -> pl.DataFrame:
    frame = bars_of(10, stamps_of(session_frame(), 60, 3), "90", **columns)
    return frame.select(pl.col(name).cast(kind) for name, kind in BAR_SCHEMA.items())


def test_sound_bars_pass() -> None:
    check_bars(bars(), BAR_SCHEMA, NAMED)
    check_decimals(bars(), NAMED)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (
            lambda frame: frame.with_columns(instrument_id=pl.lit(99, pl.Int32)),
            "of an instrument that the slice does not",
        ),
        (lambda frame: frame.with_columns(close=pl.lit(None, PRICE)), "a required value is missing"),
        (lambda frame: frame.reverse(), "bars are not sorted by instrument and time"),
        (lambda frame: pl.concat([frame.head(1), frame.head(1)]), "or one is there twice"),
        (lambda frame: frame.with_columns(high=pl.lit(Decimal(1), PRICE)), "high and low do not enclose the prices"),
        (lambda frame: frame.with_columns(volume=pl.lit(-1, pl.Int64)), "volume or open interest is negative"),
        (lambda frame: frame.with_columns(open_interest=pl.lit(-1, pl.Int64)), "volume or open interest is negative"),
        (lambda frame: frame.with_columns(pl.col("timestamp") + pl.duration(days=9)), "after its contract expired"),
        (lambda frame: frame.drop("volume"), "bars came with the columns"),
    ],
)
def test_bars_that_lean_would_misread_are_refused(damage: Callable[[pl.DataFrame], pl.DataFrame], why: str) -> None:
    with pytest.raises(ExportError, match=why):
        check_bars(damage(bars()), BAR_SCHEMA, NAMED)


def test_a_price_with_five_decimals_is_refused_by_its_instrument_not_rounded() -> None:
    blurred = bars(close=pl.lit(Decimal("90.00001"), PRICE))
    with pytest.raises(ExportError, match="more than the four decimals") as refused:
        check_decimals(blurred, NAMED)
    assert "indexoption/india/nifty/european_call_245000000_20250814 (10)" in str(refused.value)
    check_decimals(bars(close=pl.lit(Decimal("90.0001"), PRICE)), NAMED)
