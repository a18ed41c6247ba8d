"""Corporate actions are stored once, corrected with both times, and given to exports."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl

from pipeline_defs.schema.batches import BATCH_ACTION_SCHEMA, ImportBatch
from pipeline_defs.warehouse.slices import open_market_slice
from pipeline_tests.warehouse.deliveries import TRADE_DATE, Delivery, make_batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.reports import LoadReport

SHARE: dict[str, Any] = {
    "kind": "EQ", "symbol": "RELIANCE", "underlying": "RELIANCE", "series": "EQ", "venue": "NSE", "currency": "INR",
}  # fmt: skip


def day_with(*actions: tuple[str, str], price: str = "100") -> ImportBatch:
    batch = make_batch(Delivery([("R", 1, price)], contracts={"R": SHARE}), table="spot_prices")
    rows = [(0, TRADE_DATE, kind, Decimal(value)) for kind, value in actions]
    return replace(batch, actions=pl.DataFrame(rows, schema=BATCH_ACTION_SCHEMA, orient="row"))


def stored(ask: Callable[..., list[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
    return ask("SELECT kind, value, source FROM corporate_actions ORDER BY kind, source")


def test_actions_come_with_the_day_and_are_written_once(
    load: Callable[..., LoadReport], ask: Callable[..., list[tuple[Any, ...]]]
) -> None:
    load(day_with(("split", "2"), ("dividend", "0.25")))
    version = ask("SELECT array_agg(xmin::text ORDER BY kind) FROM corporate_actions")
    load(day_with(("split", "2.0"), ("dividend", "0.25")))

    assert stored(ask) == [("dividend", Decimal("0.25"), "nse_csv"), ("split", Decimal(2), "nse_csv")]
    assert ask("SELECT array_agg(xmin::text ORDER BY kind) FROM corporate_actions") == version


def test_a_corrected_and_a_vanished_action_keep_what_was_known(
    load: Callable[..., LoadReport], ask: Callable[..., list[tuple[Any, ...]]]
) -> None:
    first = load(day_with(("split", "2"), ("dividend", "0.25")))
    load(day_with(("split", "5")))

    assert stored(ask) == [("split", Decimal(5), "nse_csv")]
    known = ask(
        "SELECT kind, value FROM corporate_actions_as_of((SELECT committed_at FROM loads WHERE load_id = %s))"
        " ORDER BY kind",
        first.load_id,
    )
    assert known == [("dividend", Decimal("0.25")), ("split", Decimal(2))]


def test_a_batch_that_says_nothing_of_actions_takes_none_away(
    load: Callable[..., LoadReport], ask: Callable[..., list[tuple[Any, ...]]]
) -> None:
    load(day_with(("split", "2")))
    load(replace(day_with(), actions=None))

    assert stored(ask) == [("split", Decimal(2), "nse_csv")]


def test_an_export_gets_the_actions_of_its_own_source_and_others_where_that_has_none(
    warehouse: Warehouse, load: Callable[..., LoadReport]
) -> None:
    load(day_with(("split", "2")))
    load(day_with(("split", "3"), ("dividend", "1.5")), "yahoo")
    with open_market_slice(warehouse, "RELIANCE", TRADE_DATE, TRADE_DATE, source="nse_csv") as market:
        assert market.actions is not None
        assert market.actions.select("ex_date", "kind", "value").rows() == [
            (TRADE_DATE, "dividend", Decimal("1.5")),
            (TRADE_DATE, "split", Decimal(2)),
        ]
    with open_market_slice(warehouse, "RELIANCE", TRADE_DATE, TRADE_DATE, known_at=dt.datetime.now(dt.UTC)) as market:
        assert market.actions is not None
        assert market.actions.height == 2


def test_without_actions_an_export_gets_none(warehouse: Warehouse, load: Callable[..., LoadReport]) -> None:
    load(day_with())
    with open_market_slice(warehouse, "RELIANCE", TRADE_DATE, TRADE_DATE) as market:
        assert market.actions is None
