from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.quality.rows import _plain
from pipeline_defs.quality.specs import MOST_FAILURES, SPECS, specs_of
from pipeline_tests.quality.conftest import failing
from pipeline_tests.warehouse.deliveries import SESSION_OPEN, TRADE_DATE, Delivery, make_batch, option, pair

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.quality.specs import Outcome
    from pipeline_defs.warehouse.connection import Warehouse

type Load = Callable[..., None]
type Check = Callable[..., dict[str, Outcome]]

ROWS = [("A", minute, "100") for minute in range(1, 31)]


def test_each_table_has_its_checks_and_each_check_says_what_to_do() -> None:
    assert {spec.name for spec in specs_of("equity_daily")}.isdisjoint({"crossed_quotes", "intrinsic_bounds"})
    assert {spec.name for spec in specs_of("options_ticks")} >= {"crossed_quotes", "intrinsic_bounds", "outliers"}
    assert len({spec.name for spec in SPECS}) == len(SPECS)
    assert all(spec.meaning.endswith(".") and spec.advice.endswith(".") for spec in SPECS)


@given(st.decimals(0, 10**12, places=8))
def test_a_value_is_told_exactly_and_without_the_zeros_of_its_type(value: Decimal) -> None:
    text = _plain(value)

    assert Decimal(text) == value
    assert "E" not in text
    assert "." not in text or text[-1] not in "0."


@pytest.mark.parametrize(
    "damage", ["high = 90", "low = 110", "open = 200", "close = 90", "low = NULL", "high = NULL, low = NULL"]
)
def test_a_row_that_contradicts_itself_is_found_even_if_no_constraint_stopped_it(
    warehouse: Warehouse, load: Load, check: Check, damage: str
) -> None:
    load(make_batch(Delivery(ROWS)))
    with warehouse.connect() as connection:
        connection.execute("ALTER TABLE options_ticks DROP CONSTRAINT options_ticks_prices")
        connection.execute(
            f'UPDATE options_ticks SET {damage} WHERE "timestamp" = %s'.encode(),
            [SESSION_OPEN + dt.timedelta(minutes=7)],
        )

    outcome = check("options_ticks", TRADE_DATE)["ohlc"]

    assert (outcome.examined, outcome.failing) == (30, 1)
    (failure,) = outcome.failures
    assert failure.timestamp == SESSION_OPEN + dt.timedelta(minutes=7)
    assert "load 1, file folder/day.csv" in failure.detail


def test_a_tick_has_one_price(load: Load, check: Check) -> None:
    batch = make_batch(Delivery(ROWS), bar_seconds=0)
    load(batch)
    assert check("options_ticks", TRADE_DATE)["ohlc"].passed

    highs = batch.observations.with_columns(high=batch.observations["high"] * 2)
    load(make_batch(Delivery(ROWS), bar_seconds=0, measures={"high": highs["high"][0]}))
    assert check("options_ticks", TRADE_DATE)["ohlc"].failing == 30


def test_all_failing_rows_are_counted_and_the_first_are_kept(load: Load, check: Check) -> None:
    load(make_batch(Delivery(ROWS), measures={"volume": 0}))

    outcome = check("options_ticks", TRADE_DATE)["zero_volume"]

    assert outcome.failing == 30
    assert len(outcome.failures) == MOST_FAILURES
    assert outcome.failures[0].timestamp == SESSION_OPEN + dt.timedelta(minutes=1)


def test_an_index_has_no_volume_to_miss(load: Load, check: Check) -> None:
    index = {"kind": "SPOT", "symbol": "N", "underlying": "N", "venue": "NSE", "currency": "INR"}
    share = index | {"kind": "EQ", "symbol": "S", "underlying": "S"}
    rows = [("N", 1, "10"), ("S", 1, "10")]
    load(make_batch(Delivery(rows, contracts={"N": index, "S": share}), table="spot_prices", measures={"volume": 0}))

    outcome = check("spot_prices", TRADE_DATE)["zero_volume"]

    assert (outcome.examined, outcome.failing) == (1, 1)


def test_rows_of_a_day_without_a_session_all_lie_outside_it(load: Load, check: Check) -> None:
    sunday = dt.date(2019, 1, 6)
    load(make_batch(Delivery(ROWS), trade_date=sunday))

    outcome = check("options_ticks", sunday)["outside_session"]

    assert outcome.failing == 30
    assert outcome.detail == "NSE was closed on 2019-01-06"


def test_a_bar_that_closes_when_the_session_opens_lies_before_it(load: Load, check: Check) -> None:
    load(make_batch(Delivery([("A", 0, "1"), ("A", 1, "1"), ("A", 375, "1"), ("A", 376, "1")])))

    outcome = check("options_ticks", TRADE_DATE)["outside_session"]

    assert [failure.timestamp for failure in outcome.failures] == [
        SESSION_OPEN,
        SESSION_OPEN + dt.timedelta(minutes=376),
    ]
    assert outcome.detail == "the session was 09:15 to 15:30 Asia/Kolkata"


def test_a_quote_with_one_side_missing_is_not_crossed(load: Load, check: Check) -> None:
    def quotes(bid: Any, ask: Any) -> set[str]:
        load(make_batch(Delivery(ROWS), bar_seconds=0, measures={"bid_price": bid, "ask_price": ask}))
        return failing(check("options_ticks", TRADE_DATE)) & {"crossed_quotes", "locked_quotes"}

    assert quotes(101, 0) == set()
    assert quotes(101, None) == set()
    assert quotes(100, 101) == set()
    assert quotes(101, 100) == {"crossed_quotes"}
    assert quotes(100, 100) == {"locked_quotes"}


def test_a_rolling_future_expires_with_the_contract_it_means(load: Load, check: Check) -> None:
    expired = {"kind": "CONT", "rank": 1, "expiry": dt.date(2018, 12, 27)}
    rolling = option("NIFTY-I") | expired | {"strike": None, "option_type": None}
    load(make_batch(Delivery([("NIFTY-I", 1, "10800")], contracts={"NIFTY-I": rolling}), table="futures_ticks"))

    outcome = check("futures_ticks", TRADE_DATE)["expiry_after_trade"]

    assert outcome.failing == 1
    assert outcome.detail == "NIFTY-I expired on 2018-12-27"


def test_an_option_trades_on_its_last_day(load: Load, check: Check) -> None:
    last = option("A", expiry=TRADE_DATE)
    load(make_batch(Delivery(ROWS, contracts={"A": last})))

    assert check("options_ticks", TRADE_DATE)["expiry_after_trade"].passed


def test_where_a_market_never_closes_midnight_belongs_to_the_day_that_ends(load: Load, check: Check) -> None:
    day = dt.date(2024, 3, 9)
    rows = [("BTC/USDT", minute, "60000") for minute in range(1, 1441)]
    for date in (day, day + dt.timedelta(days=1)):
        load(
            make_batch(
                Delivery(rows, contracts={"BTC/USDT": pair()}), table="spot_prices", trade_date=date, timezone="UTC"
            ),
            source="ccxt",
        )

    outcomes = check("spot_prices", day, source="ccxt", market_name="CRYPTO")

    assert outcomes["ohlc"].examined == 1440
    assert outcomes["outside_session"].passed
    assert outcomes["row_count"].passed


def test_hours_of_new_york_follow_its_clock(load: Load, check: Check) -> None:
    day = dt.date(2024, 7, 3)  # closes at 13:00
    share = {"kind": "EQ", "symbol": "AAPL", "underlying": "AAPL", "venue": "US", "currency": "USD"}
    opened = 9 * 60 + 45  # minutes from 03:45 UTC, where batches of the tests begin, to 09:30 in New York
    batch = make_batch(
        Delivery([("AAPL", opened + minute, "220") for minute in (1, 210, 211)], contracts={"AAPL": share}),
        table="spot_prices",
        trade_date=day,
        timezone="America/New_York",
    )
    load(batch, source="polygon")

    outcome = check("spot_prices", day, source="polygon", market_name="US")["outside_session"]

    assert outcome.failing == 1
    assert outcome.detail == "the session was 09:30 to 13:00 America/New_York"


def test_crossed_quotes_are_wrong_data_only_where_there_is_one_book() -> None:
    severities = {
        market_name: {spec.name: spec.severity for spec in specs_of("spot_prices", market_name)}
        for market_name in ("NSE", "US")
    }

    assert {name: told["crossed_quotes"] for name, told in severities.items()} == {"NSE": "error", "US": "warn"}
    assert [name for name in severities["NSE"] if severities["NSE"][name] != severities["US"][name]] == [
        "crossed_quotes"
    ]
