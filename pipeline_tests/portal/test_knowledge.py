"""Whose word counts, and what was known when: precedence, `as_of`, and a backtest that sees one state to its end."""

from __future__ import annotations

import datetime as dt
import gc
import time
import weakref
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from pipeline_defs.errors import WarehouseError
from pipeline_defs.portal import (
    AssetFinder,
    DataPortal,
    Instrument,
    PortalError,
    SimulationClock,
    UnknownSymbolError,
)
from pipeline_defs.warehouse.named_bundles import BundleMember, add_to_bundle
from pipeline_tests.portal.landing import bar, future, ist, land, minutes, share, us_share
from pipeline_tests.warehouse.deliveries import StubSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.warehouse.connection import Warehouse

    PortalAt = Callable[..., DataPortal]

D = Decimal
NEXT_DAY = dt.date(2025, 8, 14)


def knowledge(warehouse: Warehouse) -> dt.datetime:
    with warehouse.connect() as connection:
        ((instant,),) = connection.execute("SELECT instant FROM knowledge_clock").fetchall()
    found: dt.datetime = instant
    return found


def closes(portal: DataPortal, symbol: Any = "AAA", frequency: str = "1m", count: int = 400) -> list[Any]:
    found: list[Any] = portal.history(symbol, "close", count, frequency)["close"].to_list()
    return found


def test_each_contract_day_is_of_the_first_source_that_has_it(warehouse: Warehouse, portal_at: PortalAt) -> None:
    land(warehouse, share("AAA"), minutes({"09:16": 11, "09:17": 12}), source="zerodha")
    land(warehouse, share("AAA"), minutes({"09:16": 10}), source="nse_csv")
    land(warehouse, share("AAA"), minutes({"09:16": 13}, NEXT_DAY), source="zerodha", day=NEXT_DAY)
    now = ist("09:20", NEXT_DAY)

    both = portal_at(now).history("AAA", ["close", "source"], 400, "1m")
    assert both.rows() == [
        (ist("09:16"), "AAA", 10, "nse_csv"),
        (ist("09:16", NEXT_DAY), "AAA", 13, "zerodha"),
    ]
    assert closes(portal_at(now, source="zerodha")) == [11, 12, 13]
    assert closes(portal_at(now, data_source="nse-csv")) == [10]
    assert closes(portal_at(now, data_source=StubSource(name="zerodha"))) == [11, 12, 13]
    assert closes(portal_at(now, bundle="zerodha/spot_prices/60s")) == [11, 12, 13]
    assert closes(portal_at(now, dataset="equity_daily")) == []
    (warehouse_home := portal_at(now)).close()
    assert closes(warehouse_home) == [10, 13]
    for arguments in (
        {"data_source": "zerodha", "source": "nse_csv"},
        {"data_source": 5},
        {"bundle": "zerodha/prices/60s"},
        {"bundle": "zerodha/spot_prices/60s", "source": "yahoo"},
    ):
        with pytest.raises(PortalError):
            portal_at(now, **arguments)


def test_one_share_that_two_sources_know_under_two_venues_is_one(warehouse: Warehouse, portal_at: PortalAt) -> None:
    stamp = dt.datetime(2025, 8, 13, 14, 0, tzinfo=dt.UTC)
    for source, venue, price in (("yahoo", "NASDAQ", 230), ("polygon", "US", 231)):
        rows = [bar(stamp, price, volume=D("1.5"))]
        land(warehouse, us_share("AAPL", venue), rows, source=source, zone="America/New_York")
    portal = portal_at(stamp)

    assert portal.history("AAPL", ["close", "volume", "source"], 1, "1m").rows() == [
        (stamp, "AAPL", 231, D("1.5"), "polygon")
    ]
    assert len(portal.instrument("AAPL").instrument_ids) == 2
    assert portal.instrument("AAPL").market == "US"


def test_a_name_of_several_things_is_refused_until_it_is_said_which(warehouse: Warehouse, portal_at: PortalAt) -> None:
    land(warehouse, share("INFY"), minutes({"09:16": 1500}))
    stamp = dt.datetime(2025, 8, 13, 14, 0, tzinfo=dt.UTC)
    land(warehouse, us_share("INFY"), [bar(stamp, 16, volume=D(1))], source="polygon", zone="America/New_York")
    portal = portal_at(stamp)

    with pytest.raises(UnknownSymbolError, match="'INFY' means 2 instruments: EQ INFY at"):
        portal.current("INFY", "price")
    assert portal_at(stamp, calendar="US").current("INFY", "price") == 16
    assert portal_at(stamp, source="nse_csv").current("INFY", "price") == 1500
    finder: Any = portal.asset_finder
    indian = finder.lookup_symbol("INFY", market="NSE")
    assert portal.current(indian, "price") == 1500
    assert portal.history([indian], "close", 1, "1d").rows() == [(ist("15:30"), "INFY", 1500)]


def test_series_and_expired_names_are_told_apart(warehouse: Warehouse, portal_at: PortalAt) -> None:
    close = [bar(ist("15:30"), 100)]
    bond = share("NHAI", series="N2")
    land(warehouse, share("NHAI", series="EQ"), close, seconds=86_400, more=[(bond, [bar(ist("15:30"), 1000)])])
    portal = portal_at(ist("15:30"))
    assert closes(portal, "NHAI", "1d") == [100]
    finder: Any = portal.asset_finder
    assert closes(portal, finder.lookup_symbol("NHAI", series="N2"), "1d") == [1000]
    with pytest.raises(UnknownSymbolError):
        finder.lookup_symbol("NHAI", series="N9")


def test_a_name_means_what_it_meant_on_the_clocks_date(warehouse: Warehouse, portal_at: PortalAt) -> None:
    land(warehouse, share("OLD"), minutes({"09:16": 10}))
    with psycopg.connect(warehouse.url) as connection:
        connection.execute("UPDATE instrument_terms SET valid_to = '2025-08-14'")
        connection.execute(
            "INSERT INTO instrument_terms (instrument_id, valid_from, kind, venue, symbol, underlying, currency)"
            " SELECT instrument_id, '2025-08-14', kind, venue, 'NEW', 'NEW', currency FROM instrument_terms"
        )
    before, after = portal_at(ist("10:00")), portal_at(ist("09:20", NEXT_DAY))
    assert closes(before, "OLD") == [10]
    with pytest.raises(UnknownSymbolError, match="no instrument is called 'NEW' on 2025-08-13"):
        closes(before, "NEW")
    assert closes(after, "NEW") == [10]
    # A name that nobody has any more still means what had it last.
    assert closes(after, "OLD") == [10]
    assert after.instrument("OLD") == after.instrument("NEW")


def test_finders_calendars_and_numbers_of_ones_own(warehouse: Warehouse, portal_at: PortalAt) -> None:
    land(warehouse, share("AAA"), minutes({"09:16": 10}))
    number = portal_at(ist("10:00")).instrument("AAA").instrument_id
    assert portal_at(ist("10:00")).current(number, "price") == 10  # type: ignore[arg-type]

    class Asset:
        symbol = "AAA"

    class Finder:
        def lookup_symbol(self, symbol: str, as_of_date: dt.date | None = None) -> Any:
            assert as_of_date == dt.date(2025, 8, 13)
            return {"Alpha": Asset(), "Number": 5}[symbol]

    portal = portal_at(ist("10:00"), asset_finder=Finder())
    assert portal.current("Alpha", "price") == 10
    with pytest.raises(PortalError, match="the asset finder gave 5"):
        portal.current("Number", "price")
    with pytest.raises(UnknownSymbolError, match="no instrument has the number 999"):
        portal_at(ist("10:00")).current(999, "price")  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore::DeprecationWarning:pandas")
def test_a_calendar_of_another_package_is_followed(warehouse: Warehouse, portal_at: PortalAt) -> None:
    calendars = pytest.importorskip("exchange_calendars")
    land(warehouse, share("AAA"), minutes({"09:16": 10}))
    portal = portal_at(ist("15:30"), calendar=calendars.get_calendar("XBOM", start="2025-07-01", end="2025-12-31"))
    assert portal.history("AAA", "close", 375, "1m")["timestamp"].to_list() == [ist("09:16")]
    assert portal.history("AAA", "close", 374, "1m").is_empty()
    with pytest.raises(PortalError, match="expected a market's name or an object with sessions"):
        portal_at(ist("15:30"), calendar=5)


def test_a_bundle_is_its_symbols_and_its_series(warehouse: Warehouse, portal_at: PortalAt) -> None:
    land(warehouse, share("AAA"), minutes({"09:16": 10}), source="nse_csv")
    land(warehouse, share("AAA"), minutes({"09:16": 11}), source="zerodha")
    land(warehouse, share("BBB"), minutes({"09:16": 20}))
    number = portal_at(ist("10:00")).instrument("AAA").instrument_id
    with warehouse.connect() as connection:
        add_to_bundle(connection, "mine", [BundleMember("Alpha", number, "zerodha", "spot_prices", 60)])
    portal = portal_at(ist("10:00"), bundle="mine")

    assert closes(portal, "Alpha") == [11]
    with pytest.raises(UnknownSymbolError, match="'BBB' is not in the bundle; it holds Alpha"):
        closes(portal, "BBB")
    with pytest.raises(UnknownSymbolError, match="near it: Alpha"):
        closes(portal, "Alphas")
    with pytest.raises(WarehouseError, match="no bundle is named 'mime'"):
        portal_at(ist("10:00"), bundle="mime")


def test_a_backtest_sees_one_state_to_its_end_and_the_next_one_sees_corrections(
    warehouse: Warehouse, portal_at: PortalAt
) -> None:
    land(warehouse, share("AAA"), minutes({"09:16": 10, "09:17": 11}), file="day")
    now = ist("09:20", NEXT_DAY)
    portal = portal_at(now)
    assert closes(portal) == [10, 11]
    known = knowledge(warehouse)
    assert portal.known_at == known
    land(warehouse, share("AAA"), minutes({"09:16": 10, "09:17": "11.5"}), file="day")
    land(warehouse, share("BBB"), minutes({"09:16": 20}))
    land(warehouse, share("AAA"), minutes({"09:16": 12}, NEXT_DAY), day=NEXT_DAY)

    assert closes(portal) == [10, 11]
    # Also what it reads only now is of then.
    assert closes(portal, frequency="5m") == [11]
    assert closes(portal, frequency="1d") == [11]
    with pytest.raises(UnknownSymbolError):
        closes(portal, "BBB")
    assert closes(portal_at(now)) == [10, D("11.5"), 12]
    assert closes(portal_at(now, use_cache=False)) == [10, D("11.5"), 12]
    earlier = portal_at(now).at(known)
    assert closes(earlier) == [10, 11]
    assert earlier.known_at == known
    earlier.close()
    portal.refresh()
    assert closes(portal) == [10, D("11.5"), 12]
    assert portal.current("BBB", "price") == 20


def test_what_is_kept_is_bounded(warehouse: Warehouse, portal_at: PortalAt) -> None:
    day = dt.date(2025, 6, 2)
    land(warehouse, share("AAA"), minutes({f"1{at // 60}:{at % 60:02d}": 10 for at in range(300)}, day), day=day)
    land(warehouse, share("AAA"), minutes({"09:16": 10}))
    portal = portal_at(ist("10:00"), memory_mb=0)
    assert len(closes(portal, count=20_000)) == 301
    assert portal._state.bars.size_bytes == 0
    assert len(closes(portal_at(ist("10:00")), count=20_000)) == 301


def test_expired_contracts_keep_their_history(warehouse: Warehouse, portal_at: PortalAt) -> None:
    option = {
        **future("NIFTY_250814_24600_CE", NEXT_DAY), "kind": "OPT", "strike": D(24600), "option_type": "CE",
    }  # fmt: skip
    land(warehouse, option, [bar(ist("09:16"), "55.05", open_interest=750)])
    portal = portal_at(ist("09:16", dt.date(2025, 9, 1)))
    found = portal.history("NIFTY_250814_24600_CE", ["close", "open_interest"], 20, "1d")
    assert found.rows() == [(ist("15:30"), "NIFTY_250814_24600_CE", D("55.05"), 750)]
    assert portal.instrument("NIFTY_250814_24600_CE").strike == 24600
    assert isinstance(portal.instrument("NIFTY_250814_24600_CE"), Instrument)
    assert isinstance(portal.asset_finder, AssetFinder)


def test_contracts_have_the_names_that_exports_give_them(warehouse: Warehouse, portal_at: PortalAt) -> None:
    expiry = dt.date(2025, 8, 28)
    option = {**future("NIFTY28AUG2524600.5CE", expiry), "kind": "OPT", "strike": D("24600.5"), "option_type": "CE"}
    own = {**option, "symbol": "NIFTY28AUG2524600.5PE", "option_type": "PE"}
    land(warehouse, option, [bar(ist("09:16"), "55.05")], more=[(own, [bar(ist("09:16"), 44)])])
    land(warehouse, future("NIFTY28AUG25FUT", expiry), [bar(ist("09:16"), 24650)], file="futures")
    portal = portal_at(ist("09:16"))

    assert portal.current("NIFTY_250828_24600.50_CE", "close") == D("55.05")
    assert portal.current("NIFTY_250828_24600.5_PE", "close") == 44
    assert portal.current("NIFTY_250828_FUT", "close") == 24650
    for absent in ("NIFTY_250231_FUT", "NIFTY_250828_24600_CE", "NIFTY_259999_24600.5_CE"):
        with pytest.raises(UnknownSymbolError):
            portal.current(absent, "close")


def test_a_portal_that_is_dropped_gives_back_its_connection_and_what_it_read_at_once(
    warehouse: Warehouse,
) -> None:
    land(warehouse, share("AAA"), minutes({"09:16": 10}))
    gc.disable()  # cycles would keep them until it runs
    try:
        portal = DataPortal(warehouse=warehouse, clock=SimulationClock(ist("09:20")))
        assert closes(portal) == [10]
        bars = weakref.ref(portal._state.bars)
        assert connections_of(warehouse) == 1
        del portal
        assert bars() is None
        deadline = time.monotonic() + 30
        while connections_of(warehouse) and time.monotonic() < deadline:  # a backend takes a moment to end
            time.sleep(0.02)
        assert connections_of(warehouse) == 0
    finally:
        gc.enable()


def connections_of(warehouse: Warehouse) -> int:
    """Count the connections of others to the warehouse."""
    with warehouse.connect() as connection:
        ((count,),) = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        ).fetchall()
    found: int = count
    return found
