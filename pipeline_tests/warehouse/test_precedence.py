"""Whose observations an export takes: the declared order, by contract-day, and when a catalog is current."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline_defs.errors import ConfigurationError, ExportError
from pipeline_defs.schema.exports import MarketSlice, Verification
from pipeline_defs.schema.tables import DAY, OBSERVATION_TABLES, TICK
from pipeline_defs.settings import load_settings
from pipeline_defs.warehouse.bundles import BundleCatalog
from pipeline_defs.warehouse.catalogs import record_catalog
from pipeline_defs.warehouse.precedence import MARKETS, Precedence, load_precedence, parse_orders
from pipeline_defs.warehouse.reports import LoadReport
from pipeline_defs.warehouse.slices import open_market_slice
from pipeline_tests.warehouse.deliveries import TRADE_DATE, Delivery, make_batch, option

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.warehouse.connection import Warehouse

type Load = Callable[..., LoadReport]

A, B, C = "NIFTY31JAN1910000CE", "NIFTY31JAN1910050CE", "NIFTY31JAN1910100CE"
NEXT_DAY = TRADE_DATE + dt.timedelta(days=1)
PRICES = {"nse_csv": "1.50", "zerodha": "2.50", "yahoo": "3.50"}


def in_order(*sources: str) -> Precedence:
    return Precedence({table: dict.fromkeys(MARKETS, sources) for table in OBSERVATION_TABLES})


def deliver(load: Load, source: str, *symbols: str, day: dt.date = TRADE_DATE, **changes: Any) -> LoadReport:
    """Load a bar of each contract whose price says which source it is of."""
    rows = [(symbol, minute, PRICES[source]) for symbol in symbols for minute in (1, 2)]
    contracts = {symbol: option(symbol, 10_000 + 50 * (A, B, C).index(symbol)) for symbol in symbols}
    return load(make_batch(Delivery(rows, contracts=contracts), trade_date=day, **changes), source)


def taken(
    warehouse: Warehouse, last: dt.date = NEXT_DAY, **wanted: Any
) -> tuple[dict[tuple[str, int], str], MarketSlice]:
    """Say which source each contract-day is of, by the price of its bars, and that none has two."""
    with open_market_slice(warehouse, "NIFTY", TRADE_DATE, last, **wanted) as market:
        bars = pl.concat(list(market.read_bars())).join(
            market.instruments.select("instrument_id", "symbol"), on="instrument_id"
        )
    by_price = {Decimal(price): source for source, price in PRICES.items()}
    found: dict[tuple[str, int], set[str]] = {}
    for symbol, stamp, close in bars.select("symbol", "timestamp", "close").iter_rows():
        found.setdefault((symbol, (stamp.date() - TRADE_DATE).days), set()).add(by_price[close])
    assert {len(sources) for sources in found.values()} <= {1}
    assert bars.height == market.instruments["row_count"].sum() == 2 * len(found)
    return {key: sources.pop() for key, sources in found.items()}, market


def test_what_the_first_source_lacks_is_taken_from_the_next(warehouse: Warehouse, load: Load) -> None:
    loads = [
        deliver(load, "nse_csv", A, B),
        deliver(load, "nse_csv", A, day=NEXT_DAY),
        deliver(load, "zerodha", A, B, C),
        deliver(load, "zerodha", B, day=NEXT_DAY),
    ]

    found, market = taken(warehouse)

    assert found == {(A, 0): "nse_csv", (B, 0): "nse_csv", (C, 0): "zerodha", (A, 1): "nse_csv", (B, 1): "zerodha"}
    assert market.load_ids == tuple(load.load_id for load in loads)
    assert market.choice is not None
    assert market.choice.sources == ("nse_csv", "zerodha")
    numbers = dict(market.instruments.select("symbol", "instrument_id").iter_rows())
    assert market.choice.to_json()["bars"] == {
        "contract_days": {"nse_csv": 3, "zerodha": 2},
        "otherwise": "nse_csv",
        "exceptions": {"zerodha": {"2019-01-01": [numbers[C]], "2019-01-02": [numbers[B]]}},
    }


def test_another_order_takes_other_rows_and_names_other_loads(warehouse: Warehouse, load: Load) -> None:
    deliver(load, "nse_csv", A, B)
    zerodha = deliver(load, "zerodha", A, B)

    found, market = taken(warehouse, precedence=in_order("zerodha", "nse_csv"))

    assert set(found.values()) == {"zerodha"}
    assert market.load_ids == (zerodha.load_id,)
    assert market.choice is not None
    assert market.choice.digest == in_order("zerodha", "nse_csv").digest != load_precedence(load_settings().home).digest


def test_a_load_that_wrote_other_days_of_the_instrument_alone_is_not_named(warehouse: Warehouse, load: Load) -> None:
    first = deliver(load, "nse_csv", A)
    deliver(load, "zerodha", A)
    second = deliver(load, "zerodha", A, day=NEXT_DAY)

    found, market = taken(warehouse)

    assert found == {(A, 0): "nse_csv", (A, 1): "zerodha"}
    assert market.load_ids == (first.load_id, second.load_id)


def test_one_source_can_be_asked_for_by_name(warehouse: Warehouse, load: Load) -> None:
    deliver(load, "nse_csv", A, B)
    deliver(load, "zerodha", A)

    found, market = taken(warehouse, source="zerodha")

    assert found == {(A, 0): "zerodha"}
    assert market.choice is not None
    assert (market.choice.asked_for, market.choice.precedence, market.choice.digest) == ("zerodha", None, None)


def test_a_source_that_is_not_declared_is_not_taken(warehouse: Warehouse, load: Load) -> None:
    deliver(load, "yahoo", A)

    with (
        pytest.raises(ExportError, match="source nse_csv, zerodha: no 60-second bars of NIFTY"),
        open_market_slice(warehouse, "NIFTY", TRADE_DATE, TRADE_DATE, precedence=in_order("nse_csv", "zerodha")),
    ):
        pass


def test_the_wanted_resolution_decides_who_has_a_contract_day(warehouse: Warehouse, load: Load) -> None:
    load(make_batch(Delivery([(A, 375, "1.50")], contracts={A: option(A, 10_000)}), bar_seconds=DAY), "nse_csv")
    deliver(load, "zerodha", A)

    assert taken(warehouse)[0] == {(A, 0): "zerodha"}
    with open_market_slice(warehouse, "NIFTY", TRADE_DATE, TRADE_DATE, bar_seconds=DAY) as market:
        assert pl.concat(list(market.read_bars()))["close"].to_list() == [Decimal("1.5")]


def test_ticks_are_of_the_source_that_the_bars_are_of(warehouse: Warehouse, load: Load) -> None:
    deliver(load, "nse_csv", A)
    for symbols, source in (((A, B), "zerodha"), ((B, C), "yahoo")):
        deliver(load, source, *symbols, bar_seconds=TICK, sequences=[0, 1] * 2)
    deliver(load, "yahoo", B)

    with open_market_slice(warehouse, "NIFTY", TRADE_DATE, TRADE_DATE, with_ticks=True) as market:
        assert market.ticks is not None
        ticks = pl.concat(list(market.ticks.read()))
        names = dict(market.ticks.instruments.select("instrument_id", "symbol").iter_rows())

    # A's bars are of nse_csv, which has no ticks; B's are of yahoo; C has none, so that the order decides.
    assert {(names[key], price) for key, price in ticks.select("instrument_id", "price").iter_rows()} == {
        (B, Decimal("3.5")),
        (C, Decimal("3.5")),
    }


def test_a_look_alike_of_another_venue_or_market_is_left_to_who_asks_for_it(warehouse: Warehouse, load: Load) -> None:
    deliver(load, "nse_csv", A)
    others: tuple[dict[str, Any], ...] = ({"venue": "BSE"}, {"currency": "USD", "strike": Decimal(7)})
    for place, changes in enumerate(others):
        contracts = {"X": option(f"X{place}", 10_000, **changes)} if place == 0 else {"X": option("X1", **changes)}
        load(make_batch(Delivery([("X", 1, "2.50")], file=str(place), contracts=contracts)), "zerodha")

    found, _ = taken(warehouse)

    assert found == {(A, 0): "nse_csv"}


def test_settlements_come_from_the_first_source_that_has_them(warehouse: Warehouse, load: Load) -> None:
    expiring = {"X": option("X", 10_000, expiry=TRADE_DATE)}
    minutes = load(make_batch(Delivery([("X", 1, "2.50"), ("X", 2, "2.50")], contracts=expiring)), "zerodha")
    day = make_batch(
        Delivery([("X", 375, "2.50")], contracts=expiring),
        bar_seconds=DAY,
        measures={"settlement_price": Decimal(10_090)},
    )
    daily = load(day, "nse_csv")

    _, market = taken(warehouse, TRADE_DATE)

    assert market.settlements is not None
    assert market.settlements["settlement_price"].to_list() == [Decimal(90)]
    assert market.load_ids == (minutes.load_id, daily.load_id)
    assert market.choice is not None
    assert (market.choice.sources, market.choice.settlements) == (("nse_csv", "zerodha"), ("nse_csv",))
    _, forced = taken(warehouse, TRADE_DATE, source="zerodha")
    assert (forced.settlements, forced.load_ids) == (None, (minutes.load_id,))


contract_days = st.frozensets(st.tuples(st.sampled_from((A, B, C)), st.sampled_from((0, 1))), max_size=6)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.fixed_dictionaries(dict.fromkeys(PRICES, contract_days)), st.permutations(list(PRICES)))
def test_each_contract_day_is_of_the_first_source_in_order_that_has_it(
    warehouse: Warehouse, load: Load, held: dict[str, frozenset[tuple[str, int]]], order: list[str]
) -> None:
    with warehouse.connect() as connection:
        connection.execute("DELETE FROM options_ticks")
    loads: dict[tuple[str, int], int] = {}
    for source, days in held.items():
        for offset in (0, 1):
            symbols = sorted(symbol for symbol, day in days if day == offset)
            if symbols:
                day = TRADE_DATE + dt.timedelta(days=offset)
                # Deliveries are told apart by file, so that a day is loaded whatever was there before.
                loads[source, offset] = deliver(load, source, *symbols, day=day).load_id
    everything = frozenset().union(*held.values())
    if not everything:
        return
    expected = {key: next(source for source in order if key in held[source]) for key in everything}

    found, market = taken(warehouse, precedence=in_order(*order))

    assert found == expected
    assert set(market.load_ids) == {loads[source, day] for (_, day), source in expected.items()}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    return tmp_path


def test_a_catalog_made_under_another_order_is_not_current(warehouse: Warehouse, load: Load, home: Path) -> None:
    deliver(load, "nse_csv", A)
    bundles = BundleCatalog(warehouse)

    def publish(**wanted: Any) -> int:
        with open_market_slice(warehouse, "NIFTY", TRADE_DATE, TRADE_DATE, **wanted) as market:
            pass
        return record_catalog(
            warehouse,
            market,
            format_name="csv",
            path="there",
            catalog_hash="a",
            size_bytes=7,
            verification=Verification(passed=True, engine="engine 1", checks={}, failures=()),
        )

    def is_current() -> bool:
        return bundles.find_cached("csv", "NIFTY", TRADE_DATE, TRADE_DATE) is not None

    first = publish()
    assert is_current()
    assert publish() == first
    (home / "precedence.yaml").write_text("options_ticks: [zerodha, nse_csv]\n", encoding="utf-8")
    assert not is_current()
    # The same bytes under another rule are another catalog.
    assert publish() != first
    assert is_current()
    (home / "precedence.yaml").unlink()
    assert not is_current()
    publish(source="nse_csv")
    assert not is_current()
    with warehouse.connect() as connection:
        kept = connection.execute("SELECT sources, precedence IS NULL FROM catalogs ORDER BY catalog_id").fetchall()
        declared = connection.execute("SELECT count(*) FROM source_precedences").fetchone()
    assert kept == [(["nse_csv"], False), (["nse_csv"], False), (["nse_csv"], True)]
    assert declared == (3,)


def test_the_users_file_takes_the_place_of_what_it_names_and_of_nothing_else(home: Path) -> None:
    before = load_precedence(home)
    (home / "precedence.yaml").write_text("spot_prices:\n  US: [yahoo]\nfutures_ticks: [zerodha]\n", encoding="utf-8")

    after = load_precedence(home, {"yahoo", "zerodha"})

    assert after.order("spot_prices", "US") == ("yahoo",)
    assert after.order("spot_prices", "NSE") == before.order("spot_prices", "NSE")
    assert {after.order("futures_ticks", market) for market in MARKETS} == {("zerodha",)}
    assert after.order("options_ticks", "NSE") == before.order("options_ticks", "NSE")
    assert after.to_json()["futures_ticks"] == ["zerodha"]
    assert set(after.to_json()["spot_prices"]) == set(MARKETS)
    assert before.digest != after.digest
    (home / "precedence.yaml").write_text("# nothing yet\n", encoding="utf-8")
    assert load_precedence(home) == before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("options_ticks: [nse_csv]\nequities: [nse_csv]\n", "line 2: table 'equities', expected one of options_ticks"),
        ("options_ticks:\n  NSE: [nse_csv]\n  EU: [yahoo]\n", "line 3: market 'EU', expected one of NSE, US, CRYPTO"),
        ("options_ticks: [nse_csv,\n  zerodah]\n", "line 2: source 'zerodah', expected one of nse_csv, zerodha"),
        ("options_ticks: [nse_csv, nse_csv]\n", "line 1: source nse_csv stands in the list a second time"),
        ("options_ticks: [nse_csv]\noptions_ticks: [zerodha]\n", "line 2: table options_ticks stands here a second"),
        ("options_ticks: []\n", "line 1: expected a list of at least one source"),
        ("options_ticks:\n  NSE: nse_csv\n", "line 2: expected a list of at least one source"),
        ("options_ticks: nse_csv\n", "line 1: options_ticks is neither a list of sources nor a mapping"),
        ("options_ticks: [[nse_csv]]\n", "line 1: source None, expected one of"),
        ("- nse_csv\n", "line 1: expected a mapping of tables"),
        ("options_ticks: [nse_csv\n\n", "line 3: is no YAML"),
    ],
)
def test_a_file_that_is_not_understood_is_refused_by_line(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=f"mine.yaml {told}"):
        parse_orders(text, "mine.yaml", {"nse_csv", "zerodha"})


def test_any_name_may_stand_where_the_sources_are_not_known() -> None:
    assert parse_orders("options_ticks: [mine]\n", "mine.yaml") == {"options_ticks": dict.fromkeys(MARKETS, ("mine",))}
    with pytest.raises(ConfigurationError, match="source '', expected a name"):
        parse_orders("options_ticks: ['']\n", "mine.yaml")
