"""The present: the latest complete bar, ticks, sessions, and the classic names."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.portal import DataPortal, LookAheadError, PortalError, SimulationClock, WallClock
from pipeline_tests.portal.landing import DAY, bar, future, index, ist, land, minutes, share

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.warehouse.connection import Warehouse

    PortalAt = Callable[..., DataPortal]

D = Decimal


@pytest.fixture
def quiet_share(warehouse: Warehouse) -> None:
    """AAA trades in two minutes; NIFTY in three."""
    rows = [bar(ist("09:16"), 10, 12, 9, 11, open_interest=7), bar(ist("09:18"), 11, 13, 11, 12, open_interest=8)]
    land(warehouse, share("AAA"), rows)
    land(warehouse, index("NIFTY"), minutes({"09:16": 24600, "09:17": "24600.05", "09:18": 24601}))


@pytest.mark.usefixtures("quiet_share")
def test_values_have_the_shape_of_the_question(portal_at: PortalAt) -> None:
    portal = portal_at(ist("09:18:30"))
    assert portal.current("AAA", "close") == D(12)
    assert portal.current("AAA", ["close", "volume"]) == {"close": D(12), "volume": 100}
    assert portal.current(["AAA", "NIFTY"], "close").rows() == [("AAA", D(12)), ("NIFTY", D(24601))]
    assert portal.current(["NIFTY"], ["open", "volume"]).rows() == [("NIFTY", D(24601), 100)]


@pytest.mark.usefixtures("quiet_share")
def test_the_shapes_of_pandas(portal_at: PortalAt) -> None:
    pandas = pytest.importorskip("pandas")
    portal = portal_at(ist("09:18"), results="pandas")
    assert portal.current("AAA", "close") == D(12)
    by_field = portal.current("AAA", ["close", "volume"])
    assert (by_field["close"], by_field["volume"], by_field.name) == (D(12), 100, "AAA")
    by_asset = portal.current(["AAA", "NIFTY"], "close")
    assert isinstance(by_asset, pandas.Series)
    assert by_asset.to_dict() == {"AAA": D(12), "NIFTY": D(24601)}
    both = portal.current(["AAA", "NIFTY"], ["close", "volume"])
    assert both.loc["NIFTY"].to_list() == [D(24601), 100]
    assert portal.can_trade(["AAA", "NIFTY"]).to_dict() == {"AAA": True, "NIFTY": True}


@pytest.mark.usefixtures("quiet_share")
def test_a_minute_without_a_trade_has_a_price_and_no_bar(portal_at: PortalAt) -> None:
    fields = ["open", "high", "low", "close", "price", "volume", "open_interest", "last", "last_traded", "source"]
    found = portal_at(ist("09:17:59")).current("AAA", fields)
    assert found == {
        **dict.fromkeys(("open", "high", "low", "close")),
        "price": D(11),
        "volume": 0,
        "open_interest": 7,
        "last": D(11),
        "last_traded": ist("09:16"),
        "source": "nse_csv",
    }


@pytest.mark.usefixtures("quiet_share")
def test_before_the_first_bar_there_is_nothing(portal_at: PortalAt) -> None:
    found = portal_at(ist("09:15:59")).current("AAA", ["close", "price", "volume", "last", "bid"])
    assert found == {"close": None, "price": None, "volume": 0, "last": None, "bid": None}


@pytest.mark.usefixtures("quiet_share")
def test_at_night_the_present_is_the_last_bar_of_the_session(portal_at: PortalAt, warehouse: Warehouse) -> None:
    land(warehouse, share("AAA"), minutes({"15:30": 20}), source="zerodha")
    portal = portal_at(ist("23:00"), source="zerodha")
    assert portal.current("AAA", ["close", "price"]) == {"close": D(20), "price": D(20)}


def test_which_bars_are_looked_at_can_be_said(portal_at: PortalAt, warehouse: Warehouse) -> None:
    land(warehouse, share("AAA"), minutes({"09:16": 10}))
    land(warehouse, share("AAA"), [bar(ist("15:30"), 10, 12, 9, 11)], seconds=86_400)
    portal = portal_at(ist("15:30"))
    assert portal.current("AAA", ["close", "price"]) == {"close": None, "price": D(10)}
    assert portal.get_spot_value("AAA", "close", ist("15:30"), "daily") == D(11)
    assert portal_at(ist("15:30"), data_frequency="daily").current("AAA", "close") == D(11)


@pytest.mark.usefixtures("quiet_share")
def test_the_future_is_refused_under_the_classic_names(portal_at: PortalAt) -> None:
    portal = portal_at(ist("09:17"))
    assert portal.get_spot_value("AAA", "price", ist("09:17"), "minute") == D(11)
    assert portal.get_spot_value(["AAA"], "close", ist("09:16")).rows() == [("AAA", D(11))]
    window = portal.get_history_window("NIFTY", ist("09:16"), 2, "1m", "close", "minute")
    assert window["close"].to_list() == [24600]
    for ask in (
        lambda: portal.get_spot_value("AAA", "close", ist("09:17:00.000001"), "minute"),
        lambda: portal.get_history_window("AAA", ist("09:18"), 1, "1m", "close", "minute"),
        lambda: portal.actions_between("AAA", ist("09:16"), ist("09:18")),
    ):
        with pytest.raises(LookAheadError, match="lies after the portal's clock"):
            ask()
    with pytest.raises(PortalError, match="expected an instant with a zone"):
        portal.get_spot_value("AAA", "close", dt.datetime(2025, 8, 13, 9, 16), "minute")  # noqa: DTZ001


def test_clocks_stand_where_they_are_put() -> None:
    clock = SimulationClock(ist("09:16"))
    assert clock.advance(dt.timedelta(minutes=1)) == clock.now() == ist("09:17")
    clock.set(ist("09:15"))
    assert clock.now() == ist("09:15")
    assert abs(WallClock().now() - dt.datetime.now(dt.UTC)) < dt.timedelta(seconds=5)
    pandas = pytest.importorskip("pandas")
    clock.set(pandas.Timestamp("2025-08-13 09:16", tz="Asia/Kolkata"))
    assert type(clock.now()) is dt.datetime
    with pytest.raises(PortalError, match="zone"):
        SimulationClock(dt.datetime(2025, 8, 13))  # noqa: DTZ001


def test_quotes_and_the_last_trade_are_those_of_ticks(portal_at: PortalAt, warehouse: Warehouse) -> None:
    def tick(time: str, price: str, sequence: int, **quote: Any) -> dict[str, object]:
        return bar(ist(time), price, volume=5, sequence=sequence, **quote)

    quoted = {"bid_price": D("10.05"), "ask_price": D("10.15"), "bid_size": 50, "ask_size": 75}
    rows = [tick("09:15:10", "10.10", 0, **quoted), tick("09:15:40", "10.20", 0), tick("09:15:40", "10.25", 1)]
    land(warehouse, index("NIFTY"), rows, seconds=0)
    portal = portal_at(ist("09:15:45"))
    fields = ["last", "last_traded", "bid", "ask", "bid_size", "ask_size"]
    assert portal.current("NIFTY", fields) == {
        "last": D("10.25"),
        "last_traded": ist("09:15:40"),
        "bid": D("10.05"),
        "ask": D("10.15"),
        "bid_size": D(50),
        "ask_size": D(75),
    }
    assert portal.current("NIFTY", "close") is None
    assert portal.get_spot_value("NIFTY", "last", ist("09:15:39")) == D("10.10")
    portal.clock.set(ist("09:16"))  # type: ignore[attr-defined]
    # A minute of ticks is one bar, in the order in which they came.
    found = portal.history("NIFTY", ["open", "high", "low", "close", "volume"], 1, "1m")
    assert found.rows() == [(ist("09:16"), "NIFTY", D("10.10"), D("10.25"), D("10.10"), D("10.25"), 15)]
    assert portal.current(["NIFTY"], ["bid", "bid_size", "last_traded"]).rows() == [
        ("NIFTY", D("10.05"), D(50), ist("09:15:40"))
    ]


def test_a_rolling_future_names_its_contract_and_a_contract_has_its_bars(
    portal_at: PortalAt, warehouse: Warehouse
) -> None:
    expiry = dt.date(2025, 8, 28)
    rolling = {**future("NIFTY-I", expiry), "kind": "CONT", "rank": 1}
    named = future("NIFTY25AUGFUT", expiry)
    next_day = dt.date(2025, 8, 14)
    land(warehouse, rolling, minutes({"09:16": 24650, "09:17": 24651}))
    land(warehouse, named, minutes({"09:16": 24700}, next_day), day=next_day)
    portal = portal_at(ist("09:16", next_day))

    assert portal_at(ist("09:17")).current("NIFTY-I", ["contract", "close"]) == {
        "contract": "NIFTY28AUG25FUT",  # as the warehouse called it before its own ticker came
        "close": D(24651),
    }
    assert portal.history("NIFTY-I", "close", 400, "1m")["close"].to_list() == [24650, 24651]
    assert portal.history("NIFTY25AUGFUT", "close", 400, "1m")["close"].to_list() == [24650, 24651, 24700]
    assert portal.current("NIFTY25AUGFUT", "contract") is None


@pytest.mark.usefixtures("quiet_share")
def test_trading_needs_a_session_a_price_and_a_contract_that_lives(portal_at: PortalAt, warehouse: Warehouse) -> None:
    land(warehouse, future("NIFTY25AUGFUT", DAY), minutes({"09:16": 24650}))
    portal = portal_at(ist("09:16"))
    for time, traded in (("09:15", False), ("09:15:59", False), ("09:16", True), ("15:30", True), ("15:30:01", False)):
        portal.clock.set(ist(time))  # type: ignore[attr-defined]
        assert portal.can_trade("AAA") is traded, time
    portal.clock.set(ist("10:00", dt.date(2025, 8, 14)))  # type: ignore[attr-defined]
    assert portal.can_trade(["AAA", "NIFTY25AUGFUT"]) == {"AAA": True, "NIFTY25AUGFUT": False}
    portal.clock.set(ist("10:00", dt.date(2025, 8, 15)))  # type: ignore[attr-defined]
    assert portal.can_trade("AAA") is False  # Independence Day


def test_the_shortest_bars_are_those_of_the_clocks_days(portal_at: PortalAt, warehouse: Warehouse) -> None:
    before, long_after = dt.date(2025, 7, 1), dt.date(2025, 9, 10)
    for day, price in ((before, 8), (long_after, 9)):
        land(warehouse, share("AAA"), [bar(ist("15:30", day), price)], seconds=86_400, day=day)
    land(warehouse, share("AAA"), minutes({"09:16": 10}))

    assert portal_at(ist("15:30", before)).current("AAA", ["close", "price"]) == {"close": D(8), "price": D(8)}
    assert portal_at(ist("09:16")).current("AAA", "close") == D(10)
    assert portal_at(ist("15:30", long_after)).current("AAA", "close") == D(9)


@pytest.mark.usefixtures("quiet_share")
def test_a_lost_connection_is_made_again(portal_at: PortalAt, warehouse: Warehouse) -> None:
    portal = portal_at(ist("09:18"), use_cache=False)
    assert portal.current("AAA", "price") == D(12)
    with warehouse.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert portal.current("AAA", "price") == D(12)
