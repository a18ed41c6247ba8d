"""Roots built and verified once: what only looks at them shares them, what damages one copies it first."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.exports.run import export_slice
from pipeline_defs.exports.rustybt.exporter import RustybtExporter
from pipeline_defs.exports.rustybt.reading import ENVIRONMENT
from pipeline_tests.exports.rustybt.slices import index_slice, pair_slice, share_slice

if TYPE_CHECKING:
    from pipeline_defs.exports.run import PublishedExport
    from pipeline_defs.schema.exports import BuiltExport


@pytest.fixture(scope="session")
def built_share(tmp_path_factory: pytest.TempPathFactory) -> BuiltExport:
    """The root of `share_slice`; needs no rustybt."""
    return RustybtExporter().build(share_slice(), tmp_path_factory.mktemp("share"))


@pytest.fixture(scope="session")
def built_days(tmp_path_factory: pytest.TempPathFactory) -> BuiltExport:
    """The root of the days of `share_slice` alone."""
    market = share_slice()
    days = dataclasses.replace(market.resolutions[0], actions=market.actions)
    return RustybtExporter().build(days, tmp_path_factory.mktemp("days"))


@pytest.fixture(scope="session")
def built_pair(tmp_path_factory: pytest.TempPathFactory) -> BuiltExport:
    """The root of `pair_slice`; needs no rustybt."""
    return RustybtExporter().build(pair_slice(), tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="session")
def rustybt() -> Path:
    """The Python of rustybt; `make environment-rustybt` makes its environment, a minute of compiling."""
    python = Path(os.environ.get(ENVIRONMENT.variable) or ENVIRONMENT.default)
    if not python.exists():
        pytest.skip(f"{python} does not exist: make it with 'make environment-rustybt'")
    return python


@pytest.fixture(scope="session")
def published_share(
    rustybt: Path,  # noqa: ARG001 -- it verifies
    tmp_path_factory: pytest.TempPathFactory,
) -> PublishedExport[Path]:
    """The root of `share_slice`, verified by rustybt and with its manifest."""
    return export_slice("rustybt", share_slice(), tmp_path_factory.mktemp("published") / "share")


@pytest.fixture(scope="session")
def published_pair(
    rustybt: Path,  # noqa: ARG001 -- it verifies
    tmp_path_factory: pytest.TempPathFactory,
) -> PublishedExport[Path]:
    """The root of `pair_slice`, verified by rustybt."""
    return export_slice("rustybt", pair_slice(), tmp_path_factory.mktemp("published") / "pair")


@pytest.fixture(scope="session")
def published_index(
    rustybt: Path,  # noqa: ARG001 -- it verifies
    tmp_path_factory: pytest.TempPathFactory,
) -> PublishedExport[Path]:
    """The root of `index_slice`, verified by rustybt."""
    return export_slice("rustybt", index_slice(), tmp_path_factory.mktemp("published") / "index")
