"""Greeks in the table, on every server: where it is a hypertable, and where it is a plain table."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pipeline_defs.greeks.parameters import GreeksParameters
from pipeline_defs.greeks.session import compute_session
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.warehouse.loading import import_source
from pipeline_tests.warehouse.deliveries import TRADE_DATE, Delivery, StubSource, make_batch, option

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.warehouse.connection import Warehouse

    type Ask = Callable[..., list[tuple[Any, ...]]]

FUTURE_TERMS = {
    "kind": "FUT", "symbol": "NIFTY31JAN19FUT", "underlying": "NIFTY", "expiry": dt.date(2019, 1, 31), "venue": "NSE",
    "currency": "INR",
}  # fmt: skip
OWN_RATE = GreeksParameters(rate=0.065)


def deliver(warehouse: Warehouse, table: str, *deliveries: Delivery) -> None:
    source = StubSource(make_batch(*deliveries, table=table))
    list(import_source(warehouse, source, ImportRequest(TRADE_DATE, TRADE_DATE)))


def test_the_contract_itself_comes_before_the_rolling_alias_and_nothing_later_is_seen(
    warehouse: Warehouse, ask: Ask
) -> None:
    deliver(warehouse, "options_ticks", Delivery([("A", 5, "250")], contracts={"A": option("A")}))
    deliver(
        warehouse,
        "futures_ticks",
        Delivery(
            [("NIFTY31JAN19FUT", 4, "10900.05"), ("NIFTY31JAN19FUT", 6, "11900")],
            contracts={"NIFTY31JAN19FUT": FUTURE_TERMS},
        ),
    )
    compute_session(warehouse, "nse_csv", TRADE_DATE, parameters=GreeksParameters(rate=0.065))

    ((price, forward, at),) = ask("SELECT underlying_price, forward, underlying_timestamp FROM option_greeks")
    assert (price, forward) == (Decimal("10900.05"), 10900.05)
    assert at == dt.datetime(2019, 1, 1, 3, 49, tzinfo=dt.UTC)


def test_expiry_is_the_close_of_the_session_also_where_hours_change(warehouse: Warehouse, ask: Ask) -> None:
    late = {**option("L"), "expiry": dt.date(2026, 8, 4)}
    far = {**option("F"), "expiry": dt.date(2099, 1, 1)}
    deliver(
        warehouse,
        "options_ticks",
        Delivery(
            [("A", 5, "250"), ("F", 5, "250"), ("L", 5, "250")], contracts={"A": option("A"), "F": far, "L": late}
        ),
    )
    compute_session(warehouse, "nse_csv", TRADE_DATE, parameters=GreeksParameters(rate=0.0))
    seconds: dict[str, int] = dict(
        ask(
            "SELECT t.symbol, round(g.time_to_expiry_years * 365 * 86400)::bigint FROM option_greeks AS g"
            " JOIN instrument_terms AS t USING (instrument_id)",
        )
    )
    bar = dt.datetime(2019, 1, 1, 3, 50, tzinfo=dt.UTC)

    assert bar + dt.timedelta(seconds=seconds["A"]) == dt.datetime(2019, 1, 31, 10, 0, tzinfo=dt.UTC)
    assert bar + dt.timedelta(seconds=seconds["L"]) == dt.datetime(2026, 8, 4, 10, 10, tzinfo=dt.UTC)
    assert (bar + dt.timedelta(seconds=seconds["F"])).date() == dt.date(2099, 1, 1)


def test_a_session_is_rewritten_where_it_differs_and_bars_take_their_last_greeks(
    warehouse: Warehouse, ask: Ask
) -> None:
    minutes = [("A", 5, "250"), ("A", 20, "251"), ("A", 70, "252")]
    futures = [("NIFTY31JAN19FUT", minute, "10900") for _, minute, _ in minutes]
    deliver(warehouse, "options_ticks", Delivery(minutes, contracts={"A": option("A")}))
    deliver(warehouse, "futures_ticks", Delivery(futures, contracts={"NIFTY31JAN19FUT": FUTURE_TERMS}))
    first = compute_session(warehouse, "nse_csv", TRADE_DATE, parameters=OWN_RATE)
    again = compute_session(warehouse, "nse_csv", TRADE_DATE, parameters=OWN_RATE)
    deliver(warehouse, "options_ticks", Delivery([*minutes[:1], ("A", 20, "255")], contracts={"A": option("A")}))
    corrected = compute_session(warehouse, "nse_csv", TRADE_DATE, parameters=OWN_RATE)

    assert (first.counts.new, first.with_numbers) == (3, 3)
    assert (again.counts.new, again.counts.changed, again.counts.removed, again.counts.unchanged) == (0, 0, 0, 3)
    assert (corrected.counts.changed, corrected.counts.removed, corrected.counts.unchanged) == (1, 1, 1)
    assert ask("SELECT price FROM option_greeks ORDER BY timestamp") == [(Decimal(250),), (Decimal(255),)]
    day = (TRADE_DATE, TRADE_DATE + dt.timedelta(days=1))
    for bars in ("options_hourly", "options_daily"):
        found = ask("SELECT bucket, timestamp, delta FROM option_greeks_of(%s, %s, %s)", bars, *day)
        last = ask("SELECT timestamp, delta FROM option_greeks ORDER BY timestamp DESC LIMIT 1")
        assert [row[1:] for row in found] == last
