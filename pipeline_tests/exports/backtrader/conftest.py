"""An export of a small slice, built once, and a way to build others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline_defs.exports.backtrader.build import build_files
from pipeline_tests.exports.backtrader.slices import nifty_slice

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice


@pytest.fixture(scope="session")
def market() -> MarketSlice:
    return nifty_slice()


@pytest.fixture(scope="session")
def export(market: MarketSlice, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of `market`; not to be changed."""
    root = tmp_path_factory.mktemp("export")
    build_files(market, root)
    return root


@pytest.fixture
def build(tmp_path: Path) -> Callable[[MarketSlice], BuiltExport]:
    def build_into_empty_folder(market: MarketSlice) -> BuiltExport:
        root = tmp_path / "built"
        root.mkdir(exist_ok=True)
        return build_files(market, root)

    return build_into_empty_folder
