"""The statements of the quality checks on every server: what they find is tested in the room of their own."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from pipeline_defs.markets.market import market
from pipeline_defs.quality.results import list_failures, list_results
from pipeline_defs.quality.running import check_partition
from pipeline_defs.quality.specs import specs_of
from pipeline_defs.schema.tables import OBSERVATION_TABLES
from pipeline_tests.warehouse.deliveries import TRADE_DATE, Delivery, make_batch, option

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.reports import LoadReport


def test_every_check_of_every_table_is_answered_and_stored(
    warehouse: Warehouse, load: Callable[..., LoadReport]
) -> None:
    minutes = range(1, 61)
    index = {"kind": "SPOT", "symbol": "NIFTY", "underlying": "NIFTY", "venue": "NSE", "currency": "INR"}
    future = option("NIFTYFUT") | {"kind": "FUT", "strike": None, "option_type": None}
    share = index | {"kind": "EQ", "symbol": "S", "underlying": "S", "series": "EQ"}
    spike = Delivery(
        [("A", minute, "900" if minute == 30 else "300") for minute in minutes],
        contracts={"A": option("A")},
        rejects=[(99, "high_below_low", "line")],
    )
    load(make_batch(spike))
    load(
        make_batch(
            Delivery([("NIFTY", minute, "10800") for minute in minutes], contracts={"NIFTY": index}),
            table="spot_prices",
        )
    )
    load(
        make_batch(
            Delivery([("NIFTYFUT", minute, f"108{minute:02}") for minute in minutes], contracts={"NIFTYFUT": future}),
            table="futures_ticks",
        )
    )
    load(make_batch(Delivery([("S", 375, "100")], contracts={"S": share}), table="equity_daily", bar_seconds=86_400))

    for _ in range(2):
        for dataset in OBSERVATION_TABLES:
            check_partition(
                warehouse, dataset, "nse_csv", TRADE_DATE, market("NSE"), now=dt.datetime(2019, 2, 1, tzinfo=dt.UTC)
            )
    results = list_results(warehouse, history=True)
    failing = {(result.dataset, result.check_name): result for result in results if not result.passed}

    assert len(results) == sum(len(specs_of(dataset)) for dataset in OBSERVATION_TABLES)
    assert set(failing) == {
        ("options_ticks", "outliers"),
        ("options_ticks", "ohlc_refused"),
        ("spot_prices", "row_count"),
        ("spot_prices", "stale_prices"),
    }
    outlier = failing["options_ticks", "outliers"]
    (row,) = list_failures(warehouse, [outlier.check_id])[outlier.check_id]
    assert (row.symbol, row.timestamp) == ("A", dt.datetime(2019, 1, 1, 4, 15, tzinfo=dt.UTC))
