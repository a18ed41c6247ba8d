"""Exports built once: what only looks at them shares them, what damages one copies it first."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.exports.registry import get_exporter
from pipeline_defs.exports.run import export_slice
from pipeline_tests.exports.generic.slices import daily_slice, nifty_slice, pair_slice

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.exports.run import PublishedExport
    from pipeline_defs.schema.exports import MarketSlice

FORMATS = ("csv", "parquet")
SLICES: dict[str, Callable[[], MarketSlice]] = {"nifty": nifty_slice, "daily": daily_slice, "pair": pair_slice}


@dataclass(frozen=True)
class Exports:
    """Published exports by format and slice; each is made when it is first asked for."""

    root: Path
    made: dict[tuple[str, str], PublishedExport[Path]]

    def of(self, file_format: str, name: str = "nifty") -> PublishedExport[Path]:
        key = (file_format, name)
        if key not in self.made:
            self.made[key] = export_slice(file_format, SLICES[name](), self.root / file_format / name)
        return self.made[key]


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    return Exports(tmp_path_factory.mktemp("exports"), {})


@pytest.fixture
def copied(exports: Exports, tmp_path: Path) -> Callable[..., Path]:
    """Give a copy of an export, to be damaged."""

    def copy(file_format: str, name: str = "nifty") -> Path:
        return shutil.copytree(exports.of(file_format, name).path, tmp_path / f"{file_format}-{name}")

    return copy


@pytest.fixture
def built_files(tmp_path: Path) -> Callable[[str, MarketSlice], Path]:
    """Build a slice without verifying it."""

    def build(file_format: str, market: MarketSlice) -> Path:
        folder = tmp_path / f"built-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        get_exporter(file_format).build(market, folder)
        return folder

    return build
