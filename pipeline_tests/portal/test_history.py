"""Looking back: windows of the calendar, bars made of finer ones, several assets and fields, both shapes."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipeline_defs.errors import MarketRuleError
from pipeline_defs.portal import PortalError, UnknownSymbolError
from pipeline_tests.portal.landing import DAY, bar, ist, land, minutes, share

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.portal import DataPortal
    from pipeline_defs.warehouse.connection import Warehouse

    PortalAt = Callable[..., DataPortal]

D = Decimal

NEXT_DAY = dt.date(2025, 8, 14)


@pytest.fixture
def two_shares(warehouse: Warehouse) -> None:
    """AAA trades in each of its first six minutes, BBB in some of them."""
    aaa = [bar(ist(f"09:{16 + at}"), 100 + at, 102 + at, 99 + at, 101 + at, volume=10 * (at + 1)) for at in range(6)]
    land(warehouse, share("AAA"), aaa, more=[(share("BBB"), minutes({"09:16": "50.05", "09:19": "51"}))])


@pytest.mark.usefixtures("two_shares")
def test_a_tidy_frame_has_a_row_for_each_bar_that_there_is(portal_at: PortalAt) -> None:
    found = portal_at(ist("09:19")).history(["BBB", "AAA"], ["close", "volume"], 3, "1m")

    assert found.rows() == [
        (ist("09:19"), "BBB", D(51), 100),
        (ist("09:17"), "AAA", D(102), 20),
        (ist("09:18"), "AAA", D(103), 30),
        (ist("09:19"), "AAA", D(104), 40),
    ]
    assert found.schema == {
        "timestamp": pl.Datetime("us", "UTC"),
        "symbol": pl.String,
        "close": pl.Decimal(20, 8),
        "volume": pl.Int64,
    }


@pytest.mark.usefixtures("two_shares")
def test_the_minute_that_runs_is_not_there_before_it_is_complete(portal_at: PortalAt) -> None:
    portal = portal_at(ist("09:18:59"))
    assert portal.history("AAA", "close", 10, "1m")["close"].to_list() == [101, 102, 103]
    portal.clock.set(ist("09:19"))  # type: ignore[attr-defined]
    assert portal.history("AAA", "close", 10, "1m")["close"].to_list() == [101, 102, 103, 104]


@pytest.mark.usefixtures("two_shares")
def test_longer_bars_are_made_of_whole_buckets_only(portal_at: PortalAt) -> None:
    portal = portal_at(ist("09:19:59"))
    assert portal.history("AAA", "close", 1, "5m").is_empty()
    portal.clock.set(ist("09:20"))  # type: ignore[attr-defined]
    found = portal.history("AAA", ["open", "high", "low", "close", "volume"], 1, "5m")

    assert found.rows() == [(ist("09:20"), "AAA", D(100), D(106), D(99), D(105), 150)]


@pytest.mark.usefixtures("two_shares")
def test_a_day_made_of_minutes_is_there_from_the_close_on(portal_at: PortalAt) -> None:
    portal = portal_at(ist("15:29:59"))
    assert portal.history("AAA", "close", 1, "1d").is_empty()
    portal.clock.set(ist("15:30"))  # type: ignore[attr-defined]
    assert portal.history("AAA", ["open", "close", "volume"], 1, "1d").rows() == [
        (ist("15:30"), "AAA", D(100), D(106), 210)
    ]
    portal.clock.set(ist("09:30", NEXT_DAY))  # type: ignore[attr-defined]
    assert portal.history("AAA", "close", 1, "1d")["timestamp"].to_list() == [ist("15:30")]


def test_a_stored_day_goes_before_one_made_of_minutes_and_days_are_never_mixed(
    warehouse: Warehouse, portal_at: PortalAt
) -> None:
    land(warehouse, share("AAA"), minutes({"09:16": 10, "15:30": 11}))
    land(warehouse, share("AAA"), minutes({"09:16": 12}, NEXT_DAY), day=NEXT_DAY)
    land(warehouse, share("AAA"), [bar(ist("15:30"), 10, 12, 9, "11.05", volume=7)], seconds=86_400)
    found = portal_at(ist("15:30", NEXT_DAY)).history("AAA", ["close", "volume"], 3, "1d")

    assert found.rows() == [(ist("15:30"), "AAA", D("11.05"), 7), (ist("15:30", NEXT_DAY), "AAA", D(12), 100)]


@pytest.mark.usefixtures("two_shares")
def test_pandas_gives_a_series_a_frame_by_asset_a_frame_by_field_and_rows_by_both(portal_at: PortalAt) -> None:
    pandas = pytest.importorskip("pandas")
    portal = portal_at(ist("09:20"), results="pandas")
    series = portal.history("AAA", "close", 3, "1m")
    assert isinstance(series, pandas.Series)
    assert series.name == "AAA"
    assert series.to_list() == [D(103), D(104), D(105)]
    assert series.index.tz_convert("Asia/Kolkata").strftime("%H:%M").to_list() == ["09:18", "09:19", "09:20"]

    by_asset = portal.history(["AAA", "BBB"], "close", 3, "1m")
    assert list(by_asset.columns) == ["AAA", "BBB"]
    assert by_asset["BBB"].to_list() == [None, D(51), None]

    by_field = portal.history("BBB", ["close", "price", "volume"], 3, "1m")
    assert by_field["close"].to_list() == [None, D(51), None]
    # The price of before the window is carried into its beginning.
    assert by_field["price"].to_list() == [D("50.05"), D(51), D(51)]
    assert by_field["volume"].to_list() == [0, 100, 0]

    both = portal.history(["AAA", "BBB"], ["close", "volume"], 2, "1m")
    assert both.index.names == ["timestamp", "symbol"]
    assert both.loc[(ist("09:20"), "AAA"), "close"] == D(105)
    assert both.loc[(ist("09:20"), "BBB"), "volume"] == 0
    assert both.shape == (4, 2)


@pytest.mark.usefixtures("two_shares")
def test_floats_are_given_to_those_who_ask_for_them(portal_at: PortalAt) -> None:
    pytest.importorskip("pandas")
    classic = portal_at(ist("09:20"), results="pandas", floats=True)
    found = classic.history(["AAA", "BBB"], ["close", "price", "volume"], 5, "1m")
    assert set(map(str, found.dtypes)) == {"float64"}
    assert found.xs("BBB", level="symbol")["close"].isna().sum() == 3
    assert found.xs("BBB", level="symbol")["price"].to_list() == [50.05, 50.05, 50.05, 51.0, 51.0]
    assert classic.current("AAA", "close") == 105.0
    tidy = portal_at(ist("09:20"), floats=True).history("AAA", "close", 1, "1m")
    assert tidy.schema["close"] == pl.Float64


@pytest.mark.usefixtures("two_shares")
def test_the_windows_first_price_is_missing_where_none_was_ever_known(portal_at: PortalAt) -> None:
    pytest.importorskip("pandas")
    found = portal_at(ist("09:16"), results="pandas").history("BBB", "price", 2, "1m")
    assert found.to_list() == [None, D("50.05")]


@pytest.mark.usefixtures("two_shares")
def test_what_is_asked_again_is_not_read_again(portal_at: PortalAt) -> None:
    portal = portal_at(ist("09:18"))
    first = portal.history(["AAA", "BBB"], ["close"], 3, "1m")
    before = portal.snapshots_read
    assert portal.history(["AAA", "BBB"], ["close"], 3, "1m").equals(first)
    portal.clock.set(ist("09:21"))  # type: ignore[attr-defined]
    portal.history(["BBB"], ["close", "open", "source"], 50, "1m")
    portal.current(["AAA", "BBB"], ["price", "volume"])
    assert portal.snapshots_read == before

    without = portal_at(ist("09:18"), use_cache=False)
    assert without.history(["AAA", "BBB"], ["close"], 3, "1m").equals(first)
    before = without.snapshots_read
    without.history(["AAA", "BBB"], ["close"], 3, "1m")
    assert without.snapshots_read > before


@pytest.mark.usefixtures("two_shares")
def test_questions_that_make_no_sense_say_what_would(portal_at: PortalAt) -> None:
    portal = portal_at(ist("09:20"))
    nonsense: list[tuple[Any, str]] = [
        (("AAA", "clsoe", 1, "1m"), "did you mean 'close'"),
        (("AAA", "bid", 1, "1m"), "ask for it with current"),
        (("AAA", "close", 0, "1m"), "bar_count is 0"),
        (("AAA", "close", 1, "7m"), "use one of 1m, 5m"),
        (("AAA", ["close", "close"], 1, "1m"), "each at most once"),
        (([], "close", 1, "1m"), "at least one"),
        ((["AAA", "AAA"], "close", 1, "1m"), "each once"),
    ]
    for question, said in nonsense:
        with pytest.raises(PortalError, match=said):
            portal.history(*question)
    with pytest.raises(UnknownSymbolError, match="near it: AAA"):
        portal.history("AAAA", "close", 1, "1m")
    for arguments in ({"adjustments": "some"}, {"results": "numpy"}, {"dataset": "ticks"}, {"data_frequency": "1m"}):
        with pytest.raises(PortalError, match="expected one of"):
            portal_at(ist("09:20"), **arguments)
    portal.clock.set(dt.datetime(2090, 1, 1, tzinfo=dt.UTC))  # type: ignore[attr-defined]
    with pytest.raises(MarketRuleError, match="calendar"):
        portal.history("AAA", "close", 1, "1m")


def test_windows_reach_over_months_and_years(warehouse: Warehouse, portal_at: PortalAt) -> None:
    days = [dt.date(2024, 12, 31), dt.date(2025, 1, 1), dt.date(2025, 1, 31), dt.date(2025, 2, 3)]
    for at, day in enumerate(days):
        land(warehouse, share("AAA"), minutes({"15:30": 10 + at}, day), day=day)
    portal = portal_at(ist("15:30", days[-1]))

    assert portal.history("AAA", "close", 60, "1d")["close"].to_list() == [10, 11, 12, 13]
    assert portal.history("AAA", "close", 751, "1m")["close"].to_list() == [12, 13]
    assert portal.history("AAA", "close", 750, "1m")["close"].to_list() == [13]
    assert portal.history("AAA", "close", 100_000, "1d")["close"].to_list() == [10, 11, 12, 13]
    assert days[-1] < DAY


def test_what_was_not_read_together_is_told_together(warehouse: Warehouse, portal_at: PortalAt) -> None:
    land(warehouse, share("AAA"), minutes({"09:16": 10, "09:17": 11}), more=[(share("BBB"), minutes({"09:17": 20}))])
    portal = portal_at(ist("09:17"))
    portal.history("AAA", "close", 2, "1m")
    assert portal.history(["BBB", "AAA"], "close", 2, "1m").rows() == [
        (ist("09:17"), "BBB", 20),
        (ist("09:16"), "AAA", 10),
        (ist("09:17"), "AAA", 11),
    ]


def test_whole_and_parts_of_units_stand_in_one_frame(warehouse: Warehouse, portal_at: PortalAt) -> None:
    land(warehouse, share("AAA"), minutes({"09:16": 10}))
    american = share("XYZ", venue="NASDAQ", currency="USD")
    stamp = dt.datetime(2025, 8, 13, 14, 0, tzinfo=dt.UTC)
    land(warehouse, american, [bar(stamp, 5, volume=D("1.5"))], source="polygon", zone="America/New_York")
    found = portal_at(stamp).history(["AAA", "XYZ"], ["volume"], 400, "1m")
    assert found.rows() == [(ist("09:16"), "AAA", D(100)), (stamp, "XYZ", D("1.5"))]


def test_bars_off_the_calendar_are_told_no_earlier_than_they_were_complete_or_left_out(
    warehouse: Warehouse, portal_at: PortalAt
) -> None:
    rows = [bar(ist("09:10"), 1), bar(ist("09:16:30"), 10), bar(ist("09:17:00"), 11), bar(ist("15:45"), 2)]
    land(warehouse, share("AAA"), rows)
    portal = portal_at(ist("16:00"))
    assert portal.history("AAA", ["open", "close"], 375, "1m").rows() == [(ist("09:17"), "AAA", 10, 11)]
    portal.clock.set(ist("09:16:59"))  # type: ignore[attr-defined]
    assert portal.history("AAA", "close", 375, "1m").is_empty()


def test_a_short_last_bar_of_a_session_is_told_at_its_end(warehouse: Warehouse, portal_at: PortalAt) -> None:
    rows = [bar(ist("14:45"), 10), bar(ist("15:15"), 11), bar(ist("15:30"), 12)]
    land(warehouse, share("AAA"), rows, seconds=1_800)
    portal = portal_at(ist("15:29"))
    assert portal.history("AAA", "close", 1, "1h").rows() == [(ist("15:15"), "AAA", 11)]
    portal.clock.set(ist("15:30"))  # type: ignore[attr-defined]
    assert portal.history("AAA", "close", 2, "1h").rows() == [(ist("15:15"), "AAA", 11), (ist("15:30"), "AAA", 12)]
    assert portal.history("AAA", ["open", "close"], 1, "1d").rows() == [(ist("15:30"), "AAA", 10, 12)]
