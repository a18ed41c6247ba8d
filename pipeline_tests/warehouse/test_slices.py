"""What an exporter is given: every bar once, under the right contract, with the terms it needs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipeline_defs.errors import ExportError
from pipeline_defs.schema.exports import BAR_SCHEMA, INSTRUMENT_SCHEMA, TICK_SCHEMA
from pipeline_defs.warehouse import observations, transport
from pipeline_defs.warehouse.reports import LoadReport
from pipeline_defs.warehouse.slices import open_market_slice
from pipeline_tests.warehouse.deliveries import SESSION_OPEN, TRADE_DATE, Delivery, make_batch, option, pair

if TYPE_CHECKING:
    from pipeline_defs.warehouse.connection import Warehouse

type Load = Callable[..., LoadReport]

A, B = "NIFTY31JAN1910000CE", "NIFTY31JAN1910050CE"
INDEX: dict[str, Any] = {
    "kind": "SPOT",
    "symbol": "NIFTY 50.NSE_IDX",
    "underlying": "NIFTY",
    "venue": "NSE",
    "currency": "INR",
}
FRONT: dict[str, Any] = {
    "kind": "CONT",
    "symbol": "NIFTY-I.NFO",
    "underlying": "NIFTY",
    "expiry": dt.date(2019, 1, 31),
    "rank": 1,
    "venue": "NSE",
    "currency": "INR",
}
FUTURE: dict[str, Any] = {**FRONT, "kind": "FUT", "symbol": "NIFTY31JAN19FUT", "rank": None}


def bars(warehouse: Warehouse, **kwargs: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
    with open_market_slice(warehouse, "NIFTY", TRADE_DATE, TRADE_DATE, **kwargs) as market:
        return market.instruments, pl.concat(list(market.read_bars()))


def test_a_slice_holds_index_future_and_options_with_exact_prices(warehouse: Warehouse, load: Load) -> None:
    load(make_batch(Delivery([(A, 1, "271.65"), (A, 2, "0.05")])))
    load(make_batch(Delivery([("S", 1, "10881.7")], contracts={"S": INDEX}), table="spot_prices"))
    load(make_batch(Delivery([("F", 1, "10900.1")], contracts={"F": FRONT}), table="futures_ticks"))

    instruments, rows = bars(warehouse)

    assert instruments.schema == pl.Schema(INSTRUMENT_SCHEMA)
    assert rows.schema == pl.Schema(BAR_SCHEMA)
    assert instruments.select("kind", "expiry", "row_count").rows() == [
        ("FUT", dt.date(2019, 1, 31), 1),
        ("OPT", dt.date(2019, 1, 31), 2),
        ("SPOT", None, 1),
    ]
    assert sorted(rows["close"].to_list()) == [
        Decimal("0.05"),
        Decimal("271.65"),
        Decimal("10881.7"),
        Decimal("10900.1"),
    ]
    assert rows["timestamp"].min() == SESSION_OPEN + dt.timedelta(minutes=1)
    assert set(rows["instrument_id"]) == set(instruments["instrument_id"])


def test_the_expiry_close_is_the_close_of_the_last_session_before_or_on_the_expiry(
    warehouse: Warehouse, load: Load
) -> None:
    republic_day = dt.date(2019, 1, 26)  # a Saturday and a holiday
    load(make_batch(Delivery([("X", 1, "5")], contracts={"X": option("X", expiry=republic_day)})))

    instruments, _ = bars(warehouse)

    assert instruments["expiry_close"].to_list() == [dt.datetime(2019, 1, 25, 10, 0, tzinfo=dt.UTC)]


def test_the_contract_itself_is_preferred_to_its_rolling_alias(warehouse: Warehouse, load: Load) -> None:
    load(make_batch(Delivery([("F", 1, "1.5"), ("F", 2, "1.6")], contracts={"F": FRONT}), table="futures_ticks"))
    load(make_batch(Delivery([("X", 1, "9.5")], file="contracts.csv", contracts={"X": FUTURE}), table="futures_ticks"))

    _, rows = bars(warehouse)

    assert rows["close"].to_list() == [Decimal("9.5")]


def test_bars_come_in_bounded_parts_with_whole_instruments(
    warehouse: Warehouse, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observations, "ROWS_AT_A_TIME", 5)
    load(make_batch(Delivery([(f"C{key}", minute, "5.5") for key in range(6) for minute in range(1, 4)])))

    with open_market_slice(warehouse, "NIFTY", TRADE_DATE, TRADE_DATE) as market:
        parts = list(market.read_bars())

    assert len(parts) > 1
    assert sum(part.height for part in parts) == 18
    seen = [set(part["instrument_id"]) for part in parts]
    assert sum(len(ids) for ids in seen) == len(set().union(*seen)) == 6


def test_a_session_that_is_read_in_portions_gives_the_rows_that_it_gives_at_once(
    warehouse: Warehouse, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    minutes = range(1, 40)
    load(make_batch(Delivery([(f"C{key}", minute, f"{key + 1}.5") for key in range(4) for minute in minutes])))
    load(
        make_batch(
            Delivery([("F", minute, "1.5") for minute in minutes], contracts={"F": FRONT}), table="futures_ticks"
        )
    )
    load(
        make_batch(Delivery([("S", minute, "9.5") for minute in minutes], contracts={"S": INDEX}), table="spot_prices")
    )
    _, whole = bars(warehouse)
    assert whole.height == 6 * len(minutes)

    monkeypatch.setattr(observations, "ROWS_AT_A_TIME", 50)
    monkeypatch.setattr(transport, "PORTION_BYTES", 300)
    with open_market_slice(warehouse, "NIFTY", TRADE_DATE, TRADE_DATE) as market:
        parts = list(market.read_bars())
        wanted = market.instruments["instrument_id"].to_list()[:3]
        asked = list(market.read_bars(wanted))

    assert len(parts) > 2
    assert max(part.height for part in parts) < 50 + len(minutes)
    assert pl.concat(parts).equals(whole)
    assert len(asked) > 1
    assert pl.concat(asked).equals(whole.filter(pl.col("instrument_id").is_in(wanted)))


def test_only_the_asked_instruments_are_read(warehouse: Warehouse, load: Load) -> None:
    load(make_batch(Delivery([(A, 1, "1.5"), (B, 1, "2.5")])))
    with open_market_slice(warehouse, "NIFTY", TRADE_DATE, TRADE_DATE) as market:
        wanted = int(market.instruments["instrument_id"][1])
        (part,) = market.read_bars([wanted])

    assert part["instrument_id"].to_list() == [wanted]


def test_ticks_daily_rows_other_days_and_other_underlyings_stay_out(warehouse: Warehouse, load: Load) -> None:
    load(make_batch(Delivery([(A, 1, "1.5")])))
    load(make_batch(Delivery([(A, 1, "1.6")]), bar_seconds=0))
    load(make_batch(Delivery([(A, 375, "1.7")]), bar_seconds=86_400))
    load(make_batch(Delivery([(A, 1, "1.8")]), trade_date=dt.date(2019, 1, 2)))
    load(make_batch(Delivery([("B", 1, "1.9")], file="b", contracts={"B": option("B", underlying="BANKNIFTY")})))

    _, rows = bars(warehouse)

    assert rows["close"].to_list() == [Decimal("1.5")]


def test_the_loads_a_slice_draws_on_are_named(warehouse: Warehouse, load: Load) -> None:
    first = load(make_batch(Delivery([(A, 1, "1.5"), (A, 2, "1.5")])))
    second = load(make_batch(Delivery([(A, 1, "1.5"), (A, 2, "1.6")])))
    load(make_batch(Delivery([(A, 1, "1.5")]), trade_date=dt.date(2019, 1, 2)))

    with open_market_slice(warehouse, "NIFTY", TRADE_DATE, TRADE_DATE) as market:
        assert market.load_ids == (first.load_id, second.load_id)


def test_nothing_to_export_is_an_error_that_says_so(warehouse: Warehouse) -> None:
    with (
        pytest.raises(ExportError, match="no 60-second bars of NIFTY from 2019-01-01"),
        open_market_slice(warehouse, "NIFTY", TRADE_DATE, TRADE_DATE),
    ):
        pass


@pytest.mark.needs_real_backend("an import runs while a reader's transaction is open")
def test_what_is_imported_meanwhile_is_not_seen(warehouse: Warehouse, load: Load) -> None:
    load(make_batch(Delivery([(A, 1, "1.5"), (B, 1, "2.5")])))
    with open_market_slice(warehouse, "NIFTY", TRADE_DATE, TRADE_DATE) as market:
        load(make_batch(Delivery([(A, 1, "1.6"), (B, 1, "2.6")])))
        (part,) = market.read_bars()

    assert part["close"].to_list() == [Decimal("1.5"), Decimal("2.5")]


def test_a_slice_as_of_its_knowledge_time_is_the_slice_it_was(warehouse: Warehouse, load: Load) -> None:
    load(make_batch(Delivery([(A, 1, "1.5"), (A, 2, "1.6"), (B, 1, "2.5")])))
    load(make_batch(Delivery([("F", 1, "1.5")], contracts={"F": FRONT}), table="futures_ticks"))
    with open_market_slice(warehouse, "NIFTY", TRADE_DATE, TRADE_DATE) as market:
        known_at, instruments, loads = market.known_at, market.instruments, market.load_ids
        rows = pl.concat(list(market.read_bars()))
    load(make_batch(Delivery([(A, 1, "9.5"), (B, 1, "2.5"), (B, 2, "9.9")])))
    july = FRONT | {"expiry": dt.date(2019, 2, 28)}
    load(make_batch(Delivery([("F", 1, "9.7")], contracts={"F": july}), table="futures_ticks"))

    with open_market_slice(warehouse, "NIFTY", TRADE_DATE, TRADE_DATE, known_at=known_at) as again:
        assert again.known_at == known_at
        assert again.instruments.equals(instruments)
        assert again.load_ids == loads
        assert pl.concat(list(again.read_bars())).equals(rows)
    assert not bars(warehouse)[1].equals(rows)


def test_before_anything_was_known_there_is_nothing_to_export(warehouse: Warehouse, load: Load) -> None:
    before = dt.datetime.now(dt.UTC)
    load(make_batch(Delivery([(A, 1, "1.5")])))

    with (
        pytest.raises(ExportError, match="in the warehouse as known at"),
        open_market_slice(warehouse, "NIFTY", TRADE_DATE, TRADE_DATE, known_at=before),
    ):
        pass


def test_an_instant_without_a_zone_is_refused(warehouse: Warehouse) -> None:
    with (
        pytest.raises(ExportError, match="has no time zone"),
        open_market_slice(warehouse, "NIFTY", TRADE_DATE, TRADE_DATE, known_at=dt.datetime(2025, 1, 1)),  # noqa: DTZ001
    ):
        pass


def test_ticks_come_in_their_order_with_both_sides_of_the_quote(warehouse: Warehouse, load: Load) -> None:
    load(make_batch(Delivery([(A, 1, "1.5")])))
    quoted = {"bid_price": Decimal("1.45"), "bid_size": 75, "ask_price": Decimal("1.55"), "ask_size": 150}
    ticks = make_batch(Delivery([(A, 1, "1.6"), (A, 1, "1.5")]), bar_seconds=0, sequences=[0, 1], measures=quoted)
    load(ticks)

    with open_market_slice(warehouse, "NIFTY", TRADE_DATE, TRADE_DATE, with_ticks=True) as market:
        assert market.ticks is not None
        assert market.ticks.instruments["row_count"].to_list() == [2]
        (part,) = market.ticks.read()
    loads = market.load_ids

    assert part.schema == pl.Schema(TICK_SCHEMA)
    assert part["price"].to_list() == [Decimal("1.6"), Decimal("1.5")]
    assert part.select("bid_price", "bid_size", "ask_price", "ask_size").unique().rows() == [tuple(quoted.values())]
    assert len(loads) == 2


def test_bars_are_made_of_ticks_where_that_is_wanted(warehouse: Warehouse, load: Load) -> None:
    load(make_batch(Delivery([(A, 1, "1.6"), (A, 1, "1.5"), (A, 2, "1.7")]), bar_seconds=0, sequences=[0, 1, 0]))

    _, rows = bars(warehouse, bars_from_ticks=True)

    minute = dt.timedelta(minutes=1)
    assert rows.select("timestamp", "open", "close", "volume").rows() == [
        (SESSION_OPEN + 2 * minute, Decimal("1.6"), Decimal("1.5"), 150),
        (SESSION_OPEN + 3 * minute, Decimal("1.7"), Decimal("1.7"), 75),
    ]


def test_a_slice_of_bars_alone_has_no_ticks(warehouse: Warehouse, load: Load) -> None:
    load(make_batch(Delivery([(A, 1, "1.5")])))
    with open_market_slice(warehouse, "NIFTY", TRADE_DATE, TRADE_DATE, with_ticks=True) as market:
        assert market.ticks is None


def test_a_pair_has_days_of_utc_that_take_in_the_bar_closing_at_midnight(warehouse: Warehouse, load: Load) -> None:
    day = dt.date(2022, 12, 13)
    contracts = {"BTC/USDT": pair()}
    for date in (day - dt.timedelta(days=1), day, day + dt.timedelta(days=1)):
        rows = [("BTC/USDT", 60, "17000.5"), ("BTC/USDT", 1440, "17100.25")]
        load(
            make_batch(
                Delivery(rows, contracts=contracts),
                table="spot_prices",
                bar_seconds=3600,
                trade_date=date,
                measures={"volume": Decimal("12.34567891"), "open_interest": None},
                timezone="UTC",
            ),
            "manual_csv",
        )

    with open_market_slice(warehouse, "BTCUSDT", day, day, bar_seconds=3600, resolutions=[86_400]) as market:
        hours = pl.concat(market.read_bars())
        days = pl.concat(market.resolutions[0].read_bars())

    midnight = dt.datetime(2022, 12, 14, tzinfo=dt.UTC)
    assert (market.timezone, market.fractional) == ("UTC", True)
    assert market.sessions.rows() == [(day, midnight - dt.timedelta(days=1), midnight)]
    assert market.instruments.select("kind", "base_currency", "currency", "row_count").rows() == [
        ("PAIR", "BTC", "USDT", 2)
    ]
    assert hours.schema == pl.Schema(market.bar_schema)
    assert hours["timestamp"].to_list() == [midnight - dt.timedelta(hours=23), midnight]
    assert days.select("timestamp", "close", "volume").rows() == [
        (midnight, Decimal("17100.25"), Decimal("24.69135782"))
    ]


def test_the_first_source_of_the_declared_precedence_is_taken(warehouse: Warehouse, load: Load) -> None:
    load(make_batch(Delivery([(A, 1, "2.5")])), "manual_csv")
    load(make_batch(Delivery([(A, 1, "1.5")])), "nse_csv")

    _, preferred = bars(warehouse)
    _, named = bars(warehouse, source="manual_csv")

    assert (preferred["close"].to_list(), named["close"].to_list()) == ([Decimal("1.5")], [Decimal("2.5")])


@pytest.mark.parametrize(("option_type", "worth"), [("CE", Decimal("881.7")), ("PE", Decimal(0))])
def test_an_expiring_option_is_settled_at_its_value_over_the_underlying(
    warehouse: Warehouse, load: Load, option_type: str, worth: Decimal
) -> None:
    contract = {"X": option("X", 10_000, option_type, expiry=TRADE_DATE)}
    load(make_batch(Delivery([("X", 1, "5")], contracts=contract)))
    settled = {"settlement_price": Decimal("10881.7")}
    load(make_batch(Delivery([("X", 375, "5")], contracts=contract), bar_seconds=86_400, measures=settled))

    with open_market_slice(warehouse, "NIFTY", TRADE_DATE, TRADE_DATE) as market:
        assert market.settlements is not None
        assert market.settlements.drop("instrument_id").rows() == [(TRADE_DATE, worth, Decimal("10881.7"))]


def test_an_expiring_future_is_settled_at_the_price_of_its_own(warehouse: Warehouse, load: Load) -> None:
    contract = {"X": {**FUTURE, "expiry": TRADE_DATE}}
    load(make_batch(Delivery([("X", 1, "5")], contracts=contract), table="futures_ticks"))
    settled = {"settlement_price": Decimal("10881.7")}
    daily = Delivery([("X", 375, "5")], contracts=contract)
    load(make_batch(daily, table="futures_ticks", bar_seconds=86_400, measures=settled))

    with open_market_slice(warehouse, "NIFTY", TRADE_DATE, TRADE_DATE) as market:
        assert market.settlements is not None
        assert market.settlements.drop("instrument_id").rows() == [(TRADE_DATE, Decimal("10881.7"), None)]


def test_without_a_settlement_of_the_exchange_there_is_none(warehouse: Warehouse, load: Load) -> None:
    load(make_batch(Delivery([(A, 1, "1.5")])))
    with open_market_slice(warehouse, "NIFTY", TRADE_DATE, TRADE_DATE) as market:
        assert market.settlements is None
