"""Adjusted prices: as of the clock, exact, once, whatever the source made of them before."""

from __future__ import annotations

import datetime as dt
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_defs.portal import PortalError
from pipeline_defs.portal.adjusting import times
from pipeline_defs.schema.columns import PRICE, SIZE
from pipeline_tests.portal.landing import bar, ist, land, minutes, share, us_share

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.portal import DataPortal
    from pipeline_defs.warehouse.connection import Warehouse

    PortalAt = Callable[..., DataPortal]

D = Decimal
BEFORE, EX, AFTER = dt.date(2025, 8, 13), dt.date(2025, 8, 14), dt.date(2025, 8, 18)
DAYS = 86_400


def session(
    warehouse: Warehouse, day: dt.date, price: str, *actions: tuple[dt.date, str, str], source: str = "manual_csv"
) -> None:
    """One session of the Indian share AAA, and the actions of its day."""
    land(
        warehouse,
        share("AAA"),
        [bar(ist("15:30", day), price, volume=301)],
        seconds=DAYS,
        day=day,
        source=source,
        actions=actions,
    )


def test_a_split_is_applied_from_its_morning_on_and_not_before(warehouse: Warehouse, portal_at: PortalAt) -> None:
    session(warehouse, BEFORE, "1000")
    session(warehouse, EX, "334", (EX, "split", "3"))
    portal = portal_at(ist("15:30", BEFORE), adjustments="splits")
    fields = ["open", "close", "price", "volume"]

    assert portal.history("AAA", fields, 5, "1d").rows()[0][2:] == (1000, 1000, 1000, 301)
    portal.clock.set(ist("00:00", EX))  # type: ignore[attr-defined]
    third = D("333.33333333")
    assert portal.history("AAA", fields, 5, "1d").rows() == [(ist("15:30", BEFORE), "AAA", third, third, third, 903)]
    assert portal.current("AAA", "price") == third
    portal.clock.set(ist("15:30", EX))  # type: ignore[attr-defined]
    assert portal.history("AAA", "close", 5, "1d")["close"].to_list() == [third, D(334)]
    assert portal_at(ist("15:30", EX)).history("AAA", "close", 5, "1d")["close"].to_list() == [1000, 334]
    # A window that ended before the split knows nothing of it.
    assert portal.get_history_window("AAA", ist("16:00", BEFORE), 1, "1d", "close")["close"].to_list() == [1000]


def test_minutes_are_adjusted_as_days_are_also_in_the_classic_shape(warehouse: Warehouse, portal_at: PortalAt) -> None:
    land(warehouse, share("AAA"), minutes({"15:29": 1000}, BEFORE), day=BEFORE)
    land(warehouse, share("AAA"), minutes({"09:17": 501}, EX), day=EX)
    session(warehouse, EX, "501", (EX, "split", "2"))
    portal = portal_at(ist("09:17", EX), adjustments="splits")
    assert portal.history("AAA", ["close", "volume"], 4, "1m").rows() == [
        (ist("15:29", BEFORE), "AAA", 500, 200),
        (ist("09:17", EX), "AAA", 501, 100),
    ]
    pytest.importorskip("pandas")
    classic = portal_at(ist("09:17", EX), adjustments="splits", results="pandas")
    assert classic.history("AAA", "price", 2, "1m").to_list() == [500, 501]


def test_dividends_take_their_part_of_the_close_before_them(warehouse: Warehouse, portal_at: PortalAt) -> None:
    session(warehouse, BEFORE, "200")
    session(warehouse, EX, "195", (EX, "dividend", "4"))
    session(warehouse, AFTER, "98", (AFTER, "split", "2"))
    portal = portal_at(ist("15:30", AFTER), adjustments="all")

    # 200 * (200 - 4) / 200 / 2, and volume only by the split.
    assert portal.history("AAA", ["close", "volume"], 5, "1d").rows() == [
        (ist("15:30", BEFORE), "AAA", D(98), 602),
        (ist("15:30", EX), "AAA", D("97.5"), 602),
        (ist("15:30", AFTER), "AAA", D(98), 301),
    ]
    splits = portal_at(ist("15:30", AFTER), adjustments="splits")
    assert splits.history("AAA", "close", 3, "1d")["close"].to_list() == [100, D("97.5"), 98]


def test_a_dividend_greater_than_the_price_is_an_error_and_one_without_a_price_is_none(
    warehouse: Warehouse, portal_at: PortalAt
) -> None:
    session(warehouse, EX, "195", (EX, "dividend", "4"))
    assert portal_at(ist("15:30", EX), adjustments="all").history("AAA", "close", 3, "1d")["close"].to_list() == [195]
    session(warehouse, BEFORE, "3")
    with pytest.raises(PortalError, match="a dividend of 4 on 2025-08-14 is no less than the close before it, 3"):
        portal_at(ist("15:30", EX), adjustments="all").history("AAA", "close", 3, "1d")


def test_a_source_that_adjusted_its_prices_is_not_adjusted_again_and_later_splits_are_taken_out(
    warehouse: Warehouse, portal_at: PortalAt
) -> None:
    close = dt.timedelta(hours=20)

    def of_yahoo(day: dt.date, price: str, *actions: tuple[dt.date, str, str]) -> None:
        stamp = dt.datetime.combine(day, dt.time(), dt.UTC) + close
        rows = [bar(stamp, price, volume=D(100))]
        land(
            warehouse, us_share("AAA"), rows, seconds=DAYS, day=day, source="yahoo", actions=actions,
            zone="America/New_York",
        )  # fmt: skip

    # Yahoo tells everything in shares of today: 400 and a dividend of 4 were 100 and 1 after the split of 4 for 1.
    of_yahoo(BEFORE, "100")
    of_yahoo(EX, "99", (EX, "dividend", "1"))
    of_yahoo(AFTER, "98", (AFTER, "split", "4"))
    evening = dt.datetime.combine(EX, dt.time(20), dt.UTC)
    portal = portal_at(evening, adjustments="splits", source="yahoo")
    assert portal.history("AAA", ["close", "volume"], 5, "1d").select("close", "volume").rows() == [
        (400, 25),
        (396, 25),
    ]
    with_dividends = portal_at(evening, adjustments="all", source="yahoo").history("AAA", "close", 5, "1d")
    assert with_dividends["close"].to_list() == [396, 396]
    as_stored = portal_at(evening, source="yahoo")
    assert as_stored.history("AAA", "close", 5, "1d")["close"].to_list() == [100, 99]
    later = evening + dt.timedelta(days=4)
    portal.clock.set(later)  # type: ignore[attr-defined]
    assert portal.history("AAA", "close", 5, "1d")["close"].to_list() == [100, 99, 98]

    # What changes a position is told in the shares that prices are told in.
    told = [(one.kind, one.value) for one in portal.actions_between("AAA", evening - dt.timedelta(days=2), later)]
    assert told == [("dividend", D(4)), ("split", D(4))]
    as_stored.clock.set(later)  # type: ignore[attr-defined]
    told = [(one.kind, one.value) for one in as_stored.actions_between("AAA", evening - dt.timedelta(days=2), later)]
    assert told == [("dividend", D(1))]


prices = st.decimals(D("0.00000001"), D("999999999999.99999999"), places=8)
factors = st.fractions(Fraction(1, 10_000), Fraction(1), max_denominator=10**16)


@settings(max_examples=80, deadline=None)
@given(values=st.lists(prices, min_size=1, max_size=4), factor=factors)
def test_a_product_is_exact_and_rounded_once_half_to_even(values: list[Decimal], factor: Fraction) -> None:
    found = times(pl.Series("close", [*values, None], PRICE), factor)
    assert found.dtype == PRICE
    assert found.name == "close"
    with localcontext() as context:
        context.prec = 100
        expected = [
            (Decimal(round(Fraction(one) * factor * 10**8)) / 10**8).quantize(D("1e-8"), ROUND_HALF_EVEN)
            for one in values
        ]
    assert found.to_list() == [*expected, None]


def test_whole_numbers_stay_whole_and_half_goes_to_even() -> None:
    assert times(pl.Series("volume", [1, 3, 5, None]), Fraction(1, 2)).to_list() == [0, 2, 2, None]
    assert times(pl.Series("volume", [D("0.5"), D(3)], SIZE), Fraction(3, 2)).to_list() == [D("0.75"), D("4.5")]
    assert times(pl.Series("source", ["a"]), Fraction(1, 2)).to_list() == ["a"]


def test_a_factor_of_very_many_digits_is_rounded_to_seventeen() -> None:
    factor = Fraction(10**40 + 1, 3 * 10**40)
    (found,) = times(pl.Series("close", [D("300")], PRICE), factor)
    assert found == D("100.00000000")
    (much,) = times(pl.Series("close", [D("1")], PRICE), 1 / factor)
    assert much == D("3.00000000")
