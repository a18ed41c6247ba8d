"""One catalog for all tests of the room: building is cheap, but verifying starts a process."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.exports.nautilus.exporter import NautilusExporter
from pipeline_tests.exports.nautilus.slices import nifty_slice

if TYPE_CHECKING:
    from pipeline_defs.schema.exports import BuiltExport, MarketSlice


@pytest.fixture(scope="session")
def market() -> MarketSlice:
    return nifty_slice()


@pytest.fixture(scope="session")
def built(market: MarketSlice, tmp_path_factory: pytest.TempPathFactory) -> BuiltExport:
    """A catalog of `market`; tests that change it copy it first."""
    return NautilusExporter().build(market, tmp_path_factory.mktemp("catalog"))


@pytest.fixture
def copy(built: BuiltExport, tmp_path: Path) -> BuiltExport:
    """A catalog that a test may damage."""
    return dataclasses.replace(built, root=Path(shutil.copytree(built.root, tmp_path / "catalog")))
