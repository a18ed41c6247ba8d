"""A session with more rows than memory shall hold: read in slices, it makes the same files as read at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline_defs.exports.generic import datasets
from pipeline_defs.exports.lean import writing as lean_writing
from pipeline_defs.exports.manifest import list_objects
from pipeline_defs.exports.registry import get_exporter
from pipeline_defs.samples.generate import tiny_day
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.nse_csv.adapter import NseCsvSource
from pipeline_defs.warehouse import observations, transport
from pipeline_defs.warehouse.loading import import_source
from pipeline_defs.warehouse.slices import open_market_slice

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport
    from pipeline_defs.warehouse.connection import Warehouse

FORMATS = ("backtrader", "csv", "lean", "nautilus", "parquet")


@pytest.fixture(scope="session")
def template_url(migrated_url: str) -> str:
    """Take a migrated database."""
    return migrated_url


def test_every_format_is_byte_for_byte_what_it_is_without_slices(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = tiny_day(tmp_path / "day")
    assert all(
        report.status == "complete"
        for report in import_source(warehouse, NseCsvSource(), ImportRequest(path=sample.landing))
    )
    (day,) = sample.trade_dates

    def build(name: str, root: Path) -> BuiltExport:
        root.mkdir(parents=True)
        with open_market_slice(warehouse, "NIFTY", day, day, resolutions=[300]) as market:
            parts.add(len(list(market.read_bars())))
            return get_exporter(name).build(market, root)

    parts: set[int] = set()
    whole = {name: build(name, tmp_path / "whole" / name) for name in FORMATS}
    assert parts == {1}

    monkeypatch.setattr(observations, "ROWS_AT_A_TIME", 50)
    monkeypatch.setattr(transport, "PORTION_BYTES", 1_000)
    monkeypatch.setattr(datasets, "PIECE", 7)
    monkeypatch.setattr(lean_writing, "ROWS_AT_A_TIME", 100)
    parts.clear()
    sliced = {name: build(name, tmp_path / "sliced" / name) for name in FORMATS}
    assert min(parts) > 5

    for name, built in whole.items():
        assert list_objects(built.root), name
        assert list_objects(sliced[name].root) == list_objects(built.root), name
        assert sliced[name].counts == built.counts, name
        assert sliced[name].details == built.details, name
        assert sliced[name].instruments.equals(built.instruments), name
