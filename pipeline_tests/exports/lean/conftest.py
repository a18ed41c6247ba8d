"""Exports of small slices, built once, and a way to build others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline_defs.exports.lean.exporter import LeanExporter
from pipeline_tests.exports.lean.slices import nifty_slice, pair_slice, share_slice

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice


@pytest.fixture(scope="session")
def market() -> MarketSlice:
    return nifty_slice()


@pytest.fixture(scope="session")
def built(market: MarketSlice, tmp_path_factory: pytest.TempPathFactory) -> BuiltExport:
    """The export of `market`; not to be changed."""
    return LeanExporter().build(market, tmp_path_factory.mktemp("nifty"))


@pytest.fixture(scope="session")
def share(tmp_path_factory: pytest.TempPathFactory) -> BuiltExport:
    return LeanExporter().build(share_slice(), tmp_path_factory.mktemp("share"))


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> BuiltExport:
    return LeanExporter().build(pair_slice(), tmp_path_factory.mktemp("pair"))


@pytest.fixture
def build(tmp_path: Path) -> Callable[[MarketSlice], BuiltExport]:
    def build_into_empty_folder(market: MarketSlice) -> BuiltExport:
        root = tmp_path / "built"
        root.mkdir()
        return LeanExporter().build(market, root)

    return build_into_empty_folder
