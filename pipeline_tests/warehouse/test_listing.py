"""What people see of the warehouse: refused lines, its address, published catalogs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.errors import WarehouseError
from pipeline_defs.schema.exports import Verification
from pipeline_defs.warehouse.catalogs import record_catalog
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.listing import list_quarantine
from pipeline_defs.warehouse.slices import open_market_slice
from pipeline_tests.warehouse.deliveries import TRADE_DATE, Delivery, make_batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.warehouse.reports import LoadReport

A = "NIFTY31JAN1910000CE"


def test_refused_lines_are_listed_with_file_line_and_reason(
    warehouse: Warehouse, load: Callable[..., LoadReport]
) -> None:
    report = load(make_batch(Delivery([(A, 1, "1.5")], rejects=[(9, "bad_price", "Ā,x"), (3, "bad_time", "y")])))

    assert [json.loads(line.to_json()) for line in list_quarantine(warehouse, report.load_id)] == [
        {"file": "folder/day.csv", "member": None, "line": 3, "reason": "bad_time", "text": "y"},
        {"file": "folder/day.csv", "member": None, "line": 9, "reason": "bad_price", "text": "Ā,x"},
    ]


def test_an_unknown_load_is_an_error(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError, match="there is no load 77"):
        list(list_quarantine(warehouse, 77))


def test_a_password_is_masked_wherever_the_url_is_shown() -> None:
    warehouse = Warehouse("postgresql://trader:s3cret@127.0.0.1:1/pipeline")

    assert warehouse.public_url == "postgresql://trader:***@127.0.0.1:1/pipeline"
    assert "s3cret" not in repr(warehouse)
    with pytest.raises(WarehouseError, match="did not accept a connection") as caught:
        warehouse.connect()
    assert "s3cret" not in str(caught.value)


def test_the_same_catalog_is_recorded_once_and_a_changed_one_again(
    warehouse: Warehouse, load: Callable[..., LoadReport], ask: Callable[..., list[tuple[Any, ...]]]
) -> None:
    load(make_batch(Delivery([(A, 1, "1.5")])))
    with open_market_slice(warehouse, "NIFTY", TRADE_DATE, TRADE_DATE) as market:
        pass
    confirmed = Verification(passed=True, engine="engine 1", checks={"rows": 1}, failures=())

    def record(content: str) -> int:
        return record_catalog(
            warehouse,
            market,
            format_name="nautilus",
            path=Path("there"),
            catalog_hash=content,
            size_bytes=7,
            verification=confirmed,
        )

    assert record("a") == record("a") != record("b")
    assert ask("SELECT format, underlying, path, catalog_hash, engine, rows, load_ids FROM catalogs ORDER BY 1, 4") == [
        ("nautilus", "NIFTY", "there", "a", "engine 1", 1, [1]),
        ("nautilus", "NIFTY", "there", "b", "engine 1", 1, [1]),
    ]
