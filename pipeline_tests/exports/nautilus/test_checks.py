from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.nautilus import checks
from pipeline_defs.schema.exports import BAR_SCHEMA
from pipeline_tests.exports.nautilus.slices import WEEKLY, bars_of, close_of, open_of

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def bars() -> pl.DataFrame:
    two = [bars_of(number, Decimal("100.05"), Decimal("0.05"), minutes=5) for number in (1, 2)]
    return pl.concat(two)


@pytest.fixture
def check() -> Callable[[pl.DataFrame], None]:
    start, end = open_of(WEEKLY - dt.timedelta(days=1)), close_of(WEEKLY)
    return lambda frame: checks.check_bars(frame, BAR_SCHEMA, start, end)


def _changed(bars: pl.DataFrame, row: int, **values: object) -> pl.DataFrame:
    return (
        bars.with_row_index("row")
        .with_columns(
            pl.when(pl.col("row") == row).then(pl.lit(value, bars.schema[name])).otherwise(pl.col(name)).alias(name)
            for name, value in values.items()
        )
        .drop("row")
    )


def test_good_bars_pass(bars: pl.DataFrame, check: Callable[[pl.DataFrame], None]) -> None:
    check(bars)


def test_one_instrument_in_descending_id_order_is_refused(
    bars: pl.DataFrame, check: Callable[[pl.DataFrame], None]
) -> None:
    with pytest.raises(ExportError, match="not sorted") as caught:
        check(bars.reverse())
    assert "instrument 2 at" in str(caught.value)


def test_unsorted_times_are_refused(bars: pl.DataFrame, check: Callable[[pl.DataFrame], None]) -> None:
    with pytest.raises(ExportError, match="not sorted"):
        check(pl.concat([bars[1:2], bars[0:1], bars[2:]]))


def test_a_duplicate_bar_is_refused(bars: pl.DataFrame, check: Callable[[pl.DataFrame], None]) -> None:
    with pytest.raises(ExportError, match="there twice") as caught:
        check(pl.concat([bars[:4], bars[3:]]))
    assert str(bars.item(3, "timestamp")) in str(caught.value)


@pytest.mark.parametrize("name", ["timestamp", "open", "close", "volume"])
def test_missing_values_are_refused(bars: pl.DataFrame, check: Callable[[pl.DataFrame], None], name: str) -> None:
    with pytest.raises(ExportError, match="required value is missing"):
        check(_changed(bars, 3, **{name: None}))


def test_missing_open_interest_passes(bars: pl.DataFrame, check: Callable[[pl.DataFrame], None]) -> None:
    check(_changed(bars, 3, open_interest=None))


@pytest.mark.parametrize("values", [{"high": Decimal(1)}, {"low": Decimal(10_000)}])
def test_a_range_that_does_not_hold_its_prices_is_refused(
    bars: pl.DataFrame, check: Callable[[pl.DataFrame], None], values: dict[str, Decimal]
) -> None:
    with pytest.raises(ExportError, match="do not enclose"):
        check(_changed(bars, 7, **values))


@pytest.mark.parametrize("volume", [-1, checks.MAX_VOLUME + 1])
def test_volumes_out_of_range_are_refused(
    bars: pl.DataFrame, check: Callable[[pl.DataFrame], None], volume: int
) -> None:
    with pytest.raises(ExportError, match="volume is not between"):
        check(_changed(bars, 0, volume=volume))


@pytest.mark.parametrize(("row", "shift"), [(0, dt.timedelta(minutes=-1)), (9, dt.timedelta(days=1))])
def test_stamps_outside_the_sessions_are_refused(
    bars: pl.DataFrame, check: Callable[[pl.DataFrame], None], row: int, shift: dt.timedelta
) -> None:
    with pytest.raises(ExportError, match="outside the sessions"):
        check(_changed(bars, row, timestamp=bars.item(row, "timestamp") + shift))


def test_other_columns_are_refused(bars: pl.DataFrame, check: Callable[[pl.DataFrame], None]) -> None:
    with pytest.raises(ExportError, match="expected"):
        check(bars.drop("volume"))


@pytest.mark.parametrize(
    ("price", "decimals"),
    [("100.05", 2), ("100.5", 2), ("100.055", 3), ("100.0525", 4), ("100.00000001", 8), ("100.1234567", 7)],
)
def test_the_decimals_of_the_finest_price_are_found(bars: pl.DataFrame, price: str, decimals: int) -> None:
    changed = _changed(bars, 12, low=Decimal(price))
    assert checks.decimals_needed(changed).rows() == [(1, 2), (2, decimals)]


def test_a_price_finer_than_its_tick_is_refused_with_the_bar(bars: pl.DataFrame) -> None:
    changed = _changed(bars, 12, close=Decimal("100.123"))
    precisions = pl.DataFrame(
        {"instrument_id": [1, 2], "engine_id": ["A", "B"], "price_precision": [2, 2], "decimals": [2, 3]}
    )
    with pytest.raises(ExportError, match="a price of B has more than the 2 decimals") as caught:
        checks.check_precision(changed, precisions)
    assert "close 100.12300000" in str(caught.value)


def test_prices_as_fine_as_their_precision_pass(bars: pl.DataFrame) -> None:
    precisions = pl.DataFrame(
        {"instrument_id": [1, 2], "engine_id": ["A", "B"], "price_precision": [2, 4], "decimals": [2, 4]}
    )
    checks.check_precision(_changed(bars, 12, close=Decimal("100.1234")), precisions)
