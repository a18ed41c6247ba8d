"""Contracts become stable ids; rolling aliases are a mapping beside the prices."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from pipeline_defs.warehouse.reports import LoadReport
from pipeline_tests.warehouse.deliveries import Delivery, make_batch, option

type Load = Callable[..., LoadReport]
type Ask = Callable[..., list[tuple[Any, ...]]]


def continuous(rank: int, expiry: dt.date) -> dict[str, Any]:
    return {
        "kind": "CONT",
        "symbol": "NIFTY-I.NFO",
        "underlying": "NIFTY",
        "expiry": expiry,
        "rank": rank,
        "venue": "NSE",
        "currency": "INR",
    }


def test_a_contract_keeps_its_id_over_days_and_spellings(load: Load, ask: Ask) -> None:
    terms = option("one")
    load(make_batch(Delivery([("one", 1, "1.5")], contracts={"one": terms})))
    load(
        make_batch(
            Delivery([("two", 1, "1.6")], contracts={"two": {**terms, "symbol": "two"}}),
            trade_date=dt.date(2019, 1, 2),
        )
    )

    assert ask("SELECT count(*), count(DISTINCT instrument_id) FROM options_ticks") == [(2, 1)]
    assert ask("SELECT symbol FROM instrument_aliases ORDER BY 1") == [("one",), ("two",)]


def test_contracts_that_differ_in_one_term_are_different_instruments(load: Load, ask: Ask) -> None:
    contracts = {
        "base": option("base"),
        "strike": option("strike", strike=10_801),
        "right": option("right", option_type="PE"),
        "expiry": option("expiry", expiry=dt.date(2019, 2, 28)),
        "underlying": option("underlying", underlying="BANKNIFTY"),
        "venue": option("venue", venue="BSE"),
    }
    load(make_batch(Delivery([(name, 1, "1.5") for name in contracts], contracts=contracts)))

    assert ask("SELECT count(DISTINCT instrument_id) FROM options_ticks") == [(6,)]


def test_the_same_contract_under_two_names_in_one_batch_is_one_instrument(load: Load, ask: Ask) -> None:
    load(make_batch(Delivery([("a", 1, "1.5"), ("b", 2, "1.6")], contracts={"a": option("a"), "b": option("b")})))

    assert ask("SELECT count(DISTINCT instrument_id) FROM options_ticks") == [(1,)]


def test_terms_unknown_at_first_are_filled_in_later_and_a_correction_of_the_day_replaces_them(
    load: Load, ask: Ask
) -> None:
    load(make_batch(Delivery([("a", 1, "1.5")], contracts={"a": option("a")})))
    load(make_batch(Delivery([("a", 1, "1.5")], contracts={"a": option("a", lot_size=75, tick_size=Decimal("0.05"))})))
    load(make_batch(Delivery([("a", 1, "1.5")], contracts={"a": option("a")})))

    assert ask("SELECT lot_size, tick_size FROM instrument_terms") == [(75, Decimal("0.05"))]

    load(make_batch(Delivery([("a", 1, "1.5")], contracts={"a": option("a", lot_size=50)})))

    assert ask("SELECT lot_size, tick_size FROM instrument_terms") == [(50, Decimal("0.05"))]


def test_a_rolling_future_is_mapped_to_the_contract_of_the_day(load: Load, ask: Ask) -> None:
    january, february = dt.date(2019, 1, 31), dt.date(2019, 2, 28)
    for day, expiry in ((dt.date(2019, 1, 31), january), (dt.date(2019, 2, 1), february)):
        load(
            make_batch(
                Delivery([("NIFTY-I.NFO", 1, "10900.5")], contracts={"NIFTY-I.NFO": continuous(1, expiry)}),
                table="futures_ticks",
                trade_date=day,
            )
        )

    assert ask("SELECT kind, underlying, expiry, rank FROM v_futures_ticks ORDER BY timestamp") == [
        ("CONT", "NIFTY", january, 1),
        ("CONT", "NIFTY", february, 1),
    ]
    assert ask("SELECT count(DISTINCT instrument_id) FROM futures_ticks") == [(1,)]
    assert ask("SELECT kind, expiry FROM instrument_terms WHERE kind = 'FUT' ORDER BY expiry") == [
        ("FUT", january),
        ("FUT", february),
    ]
