"""Certificates: all formats of a partition give the same, or the contract, the format and both values are named."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipeline_defs.errors import ExportError
from pipeline_defs.schema.exports import READBACK_SCHEMA, Verification
from pipeline_defs.warehouse.catalogs import record_catalog
from pipeline_defs.warehouse.certificates import Certificate, certify
from pipeline_defs.warehouse.slices import open_market_slice
from pipeline_tests.warehouse.deliveries import SESSION_OPEN, TRADE_DATE, Delivery, make_batch

if TYPE_CHECKING:
    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.reports import LoadReport

type Load = Callable[..., LoadReport]
type Ask = Callable[..., list[tuple[Any, ...]]]
type Publish = Callable[..., int]

HELD = {
    "engine": "e 1",
    "instrument": "X",
    "instrument_id": 1,
    "quantity": 75,
    "fills": [{"side": "BUY", "price": "135.15", "timestamp": "t"}],
    "settlement_price": "131.05",
    "gross_pnl": "-307.50",
}


def readback(*rows: tuple[int, int, str]) -> pl.DataFrame:
    """Instrument, bar length and sum of closes."""
    return pl.DataFrame(
        [
            {
                "instrument_id": instrument_id,
                "bar_seconds": seconds,
                "rows": 2,
                "first_timestamp": SESSION_OPEN,
                "last_timestamp": SESSION_OPEN + dt.timedelta(minutes=1),
                "close_sum": Decimal(closes),
                "volume_sum": Decimal(150),
            }
            for instrument_id, seconds, closes in rows
        ],
        schema=READBACK_SCHEMA,
    )


@pytest.fixture
def publish(warehouse: Warehouse, load: Load) -> Publish:
    """Record a catalog as if a format had been published and read back."""
    load(make_batch(Delivery([("A", 1, "10.5"), ("A", 2, "10")])))

    def run(name: str, *rows: tuple[int, int, str], trial: dict[str, Any] | None = None, content: str = "1") -> int:
        checks = {} if trial is None else {"trial": {"hold_to_expiry": trial}}
        read = readback(*rows)
        # As in a real export, the slice is closed before its catalog is recorded.
        with open_market_slice(warehouse, "NIFTY", TRADE_DATE, TRADE_DATE) as market:
            pass
        return record_catalog(
            warehouse,
            market,
            format_name=name,
            path=Path("/catalogs") / name,
            catalog_hash=f"{name}-{content}",
            size_bytes=1,
            verification=Verification(passed=True, engine=f"{name} 1", checks=checks, failures=(), readback=read),
            instruments=read.select("instrument_id", engine_id=pl.format(f"{name}-{{}}", "instrument_id")),
        )

    return run


def certified(warehouse: Warehouse) -> Certificate:
    return certify(warehouse, "NIFTY", TRADE_DATE, TRADE_DATE)


def test_equal_readings_are_certified_and_recorded(warehouse: Warehouse, publish: Publish, ask: Ask) -> None:
    publish("backtrader", (1, 60, "20.5"), (2, 60, "7"), trial=HELD)
    publish("nautilus", (1, 60, "20.50000000"), (2, 60, "7"), trial=HELD | {"gross_pnl": "-307.5", "instrument": "Y"})

    certificate = certified(warehouse)

    assert certificate.passed
    (minutes,) = certificate.resolutions
    assert (minutes.formats, minutes.contracts, minutes.rows, minutes.differing) == (
        ("backtrader", "nautilus"),
        2,
        4,
        0,
    )
    assert [catalog.catalog_hash for catalog in certificate.catalogs] == ["backtrader-1", "nautilus-1"]
    assert "agree" in certificate.to_text()
    assert ask("SELECT certificate_id, passed, content -> 'differences' FROM certificates") == [
        (certificate.certificate_id, True, [])
    ]


def test_a_different_sum_names_the_contract_and_both_values(warehouse: Warehouse, publish: Publish) -> None:
    publish("backtrader", (1, 60, "20.5"))
    publish("nautilus", (1, 60, "20.55"))

    certificate = certified(warehouse)

    assert not certificate.passed
    (line,) = certificate.differences
    assert line.startswith("instrument 1, 60 s: backtrader has 2 bars of backtrader-1 from ")
    assert "closes 20.5, volume 150; nautilus has 2 bars of nautilus-1" in line
    assert "closes 20.55" in line
    assert "DO NOT agree" in certificate.to_text()


def test_a_contract_that_one_format_lacks_is_a_difference(warehouse: Warehouse, publish: Publish) -> None:
    publish("backtrader", (1, 60, "20.5"))
    publish("nautilus", (1, 60, "20.5"), (2, 60, "7"))

    (line,) = certified(warehouse).differences

    assert line.startswith("instrument 2, 60 s: backtrader does not hold it; nautilus has 2 bars")


def test_a_bar_length_for_which_a_format_has_no_place_is_no_difference(warehouse: Warehouse, publish: Publish) -> None:
    publish("lean", (1, 60, "20.5"))
    publish("nautilus", (1, 60, "20.5"), (1, 300, "9"))

    certificate = certified(warehouse)

    assert certificate.passed
    assert [(part.bar_seconds, part.formats) for part in certificate.resolutions] == [
        (60, ("lean", "nautilus")),
        (300, ("nautilus",)),
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"gross_pnl": "-307.55"},
        {"settlement_price": "131"},
        {"fills": [{"side": "BUY", "price": "135.2", "timestamp": "t"}]},
        {"instrument_id": 2},
        {"quantity": 150},
    ],
)
def test_a_strategy_with_another_outcome_is_a_difference(
    warehouse: Warehouse, publish: Publish, other: dict[str, Any]
) -> None:
    publish("backtrader", (1, 60, "20.5"), trial=HELD)
    publish("nautilus", (1, 60, "20.5"), trial=HELD | other)

    certificate = certified(warehouse)

    assert not certificate.passed
    assert certificate.differences[0].startswith("strategy: backtrader held 75 x X, settled at 131.05, profit -307.50;")


def test_only_the_newest_catalog_at_a_path_counts(warehouse: Warehouse, publish: Publish) -> None:
    publish("nautilus", (1, 60, "19"))
    publish("backtrader", (1, 60, "20.5"))
    publish("nautilus", (1, 60, "20.5"), content="2")

    certificate = certified(warehouse)

    assert certificate.passed
    assert [catalog.catalog_hash for catalog in certificate.catalogs] == ["backtrader-1", "nautilus-2"]
    assert certificate.to_json()["start_date"] == TRADE_DATE.isoformat()


def test_without_a_published_catalog_there_is_nothing_to_certify(warehouse: Warehouse) -> None:
    with pytest.raises(ExportError, match="no catalog was published"):
        certified(warehouse)
