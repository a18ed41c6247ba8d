"""A few catalogs for all tests of the room: building is cheap, but verifying starts a process."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.exports.nautilus.exporter import NautilusExporter
from pipeline_defs.exports.nautilus.reading_2 import ENVIRONMENT
from pipeline_defs.exports.run import export_slice
from pipeline_tests.exports.nautilus.slices import nifty_slice, pair_slice, rich_slice

if TYPE_CHECKING:
    from pipeline_defs.exports.run import PublishedExport
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


@pytest.fixture(scope="session")
def rich_market() -> MarketSlice:
    """Four resolutions, ticks and settlement prices."""
    return rich_slice()


@pytest.fixture(scope="session")
def published(rich_market: MarketSlice, tmp_path_factory: pytest.TempPathFactory) -> PublishedExport[Path]:
    """The catalog of `rich_market`, verified and with its manifest."""
    return export_slice("nautilus", rich_market, tmp_path_factory.mktemp("published") / "catalog")


@pytest.fixture(scope="session")
def pairs_market() -> MarketSlice:
    """Two pairs with fractions of a unit, at two resolutions, with ticks."""
    return pair_slice()


@pytest.fixture(scope="session")
def published_pairs(pairs_market: MarketSlice, tmp_path_factory: pytest.TempPathFactory) -> PublishedExport[Path]:
    """The catalog of `pairs_market`."""
    return export_slice("nautilus", pairs_market, tmp_path_factory.mktemp("published") / "catalog")


@pytest.fixture(scope="session")
def nautilus_2() -> Path:
    """The Python of Nautilus 2; `make test` makes its environment."""
    python = Path(os.environ.get(ENVIRONMENT.variable) or ENVIRONMENT.default)
    if not python.exists():
        reason = f"{python} does not exist: make it with 'sh tools/nautilus2.sh'"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return python


@pytest.fixture(scope="session")
def published_2(
    rich_market: MarketSlice,
    nautilus_2: Path,  # noqa: ARG001 -- it verifies
    tmp_path_factory: pytest.TempPathFactory,
) -> PublishedExport[Path]:
    """The catalog of `rich_market` for version 2."""
    return export_slice("nautilus-2", rich_market, tmp_path_factory.mktemp("published") / "catalog")


@pytest.fixture(scope="session")
def published_pairs_2(
    pairs_market: MarketSlice,
    nautilus_2: Path,  # noqa: ARG001 -- it verifies
    tmp_path_factory: pytest.TempPathFactory,
) -> PublishedExport[Path]:
    """The catalog of `pairs_market` for version 2."""
    return export_slice("nautilus-2", pairs_market, tmp_path_factory.mktemp("published") / "catalog")
