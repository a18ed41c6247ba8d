"""What was moved in is read, checked and exported as any other source's data, after that of live sources."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.gaps.series import list_series
from pipeline_defs.markets.market import market
from pipeline_defs.publishing import export_underlying
from pipeline_defs.quality.results import list_results
from pipeline_defs.quality.running import check_partition
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.schema.tables import DAY
from pipeline_defs.sources.registry import source_market
from pipeline_defs.warehouse.loading import import_source
from pipeline_defs.warehouse.precedence import parse_orders
from pipeline_defs.warehouse.slices import open_market_slice
from pipeline_tests.migration.moving.made import MONDAY, Made, days
from pipeline_tests.warehouse.deliveries import Delivery, StubSource, make_batch

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal
    from pathlib import Path

    from pipeline_defs.migration.moving import Outcome
    from pipeline_defs.warehouse.connection import Warehouse

    type Move = Callable[..., list[Outcome]]

WEEK: Final = days(MONDAY, 5)
TCS: Final[dict[str, Any]] = {
    "kind": "EQ",
    "symbol": "TCS",
    "underlying": "TCS",
    "series": "EQ",
    "venue": "NSE",
    "currency": "INR",
}


def closes(warehouse: Warehouse, source: str | None = None) -> list[Decimal]:
    with open_market_slice(warehouse, "TCS", WEEK[0], WEEK[-1], bar_seconds=DAY, source=source) as opened:
        return pl.concat(list(opened.read_bars())).sort("timestamp")["close"].to_list()


def deliver_live(warehouse: Warehouse, day: dt.date, close: str) -> None:
    """Let a live source tell the same share's day."""
    batch = make_batch(
        Delivery([("TCS", 375, close)], contracts={"TCS": TCS}), table="equity_daily", bar_seconds=DAY, trade_date=day
    )
    stamp = dt.datetime.combine(day, dt.time(10), dt.UTC)
    rows = batch.observations.with_columns(timestamp=pl.lit(stamp).dt.cast_time_unit("us"))
    list(import_source(warehouse, StubSource(replace(batch, observations=rows), name="nse_csv"), ImportRequest()))


def test_an_export_takes_moved_in_bars_where_no_live_source_has_any(move: Move, warehouse: Warehouse) -> None:
    move(Made("old", [("TCS", day, "5") for day in WEEK]))
    deliver_live(warehouse, WEEK[2], "7")

    assert closes(warehouse) == [5, 5, 7, 5, 5]
    assert closes(warehouse, "rustybt/nse/old") == [5, 5, 5, 5, 5]
    assert closes(warehouse, "nse_csv") == [7]


def test_of_several_bundles_the_first_by_name_goes_first(move: Move, warehouse: Warehouse) -> None:
    move(
        Made("b", [("TCS", day, "2") for day in WEEK]),
        Made("a", [("TCS", day, "1") for day in WEEK[:3]]),
    )

    assert closes(warehouse) == [1, 1, 1, 2, 2]


def test_a_bundle_that_was_not_found_whole_feeds_no_export(move: Move, warehouse: Warehouse) -> None:
    move(Made("a", [("TCS", day, "1") for day in WEEK]), Made("b", [("TCS", day, "2") for day in WEEK]))
    with warehouse.connect() as connection:
        connection.execute("UPDATE migrated_bundles SET state = 'failed', reason = 'not_reconciled' WHERE name = 'a'")

    assert closes(warehouse) == [2, 2, 2, 2, 2]


def test_ones_own_order_may_name_a_bundle(
    move: Move, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    order = "equity_daily: [rustybt/nse/old, nse_csv]\n"
    (tmp_path / "precedence.yaml").write_text(order, encoding="utf-8")
    move(Made("old", [("TCS", day, "5") for day in WEEK]))
    deliver_live(warehouse, WEEK[2], "7")

    assert closes(warehouse) == [5, 5, 5, 5, 5]
    parse_orders(order, "precedence.yaml", {"nse_csv", "rustybt/*"})
    with pytest.raises(ConfigurationError, match="source 'rustybt/nse/old', expected one of nse_csv"):
        parse_orders(order, "precedence.yaml", {"nse_csv"})


def test_it_is_exported_under_its_old_name_of_the_share(move: Move, warehouse: Warehouse, tmp_path: Path) -> None:
    move(Made("old", [("TCS", day, "5.25") for day in WEEK]))

    published = export_underlying(
        warehouse, "csv", "TCS", WEEK[0], WEEK[-1], output=tmp_path / "catalog", bar_seconds=DAY
    )

    assert published.sources == ("rustybt/nse/old",)
    assert published.manifest.is_file()


def test_its_days_are_checked_by_the_sessions_of_its_market(move: Move, warehouse: Warehouse) -> None:
    move(Made("us", [("AAPL", day, "5") for day in WEEK[1:]], market="US"))
    source = "rustybt/us/us"

    check_partition(warehouse, "equity_daily", source, WEEK[1], market(source_market(source)))

    results = list_results(warehouse, source=source)
    assert max(one.examined for one in results) > 0
    assert [one.check_name for one in results if one.severity == "error" and not one.passed] == []


def test_nothing_of_it_is_ever_missing_or_late(move: Move, warehouse: Warehouse) -> None:
    move(Made("old", [("TCS", day, "5") for day in WEEK]))

    assert list_series(warehouse) == []
