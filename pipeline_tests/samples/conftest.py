from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipeline_defs.samples.generate import DEMO, GeneratedSample, generate
from pipeline_defs.samples.truth import Truth, read_truth

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> GeneratedSample:
    return generate(DEMO, tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="session")
def truth(demo: GeneratedSample) -> Truth:
    assert demo.truth_path is not None
    return read_truth(demo.truth_path)


@pytest.fixture(scope="session")
def read_bytes(demo: GeneratedSample) -> Callable[[str, str], bytes]:
    """Read a file, or a member through nested archives, as the truth names it."""

    def read(file: str, member: str) -> bytes:
        content = (demo.root / file).read_bytes()
        while member:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                step = next(name for name in archive.namelist() if member == name or member.startswith(f"{name}/"))
                content = archive.read(step)
            member = member.removeprefix(step).removeprefix("/")
        return content

    return read


def _minute_frame(paths: list[Path]) -> pl.DataFrame:
    """Read undamaged minute files with nothing of the package under test."""
    rows = pl.concat(pl.read_csv(path, infer_schema=False) for path in paths)
    prices = pl.col("Open", "High", "Low", "Close").cast(pl.Decimal(18, 4))
    return rows.with_columns(prices, pl.col("Volume", "Open Interest").cast(pl.Int64))


@pytest.fixture(scope="session")
def clean_paths(demo: GeneratedSample) -> Callable[[str], list[Path]]:
    """Files of a product on the undamaged days."""

    def paths(product: str) -> list[Path]:
        files = [path for path in demo.files if path.parent.name == product]
        return [path for path in files if f"{DEMO.dirty_date:%d%m%Y}" not in path.name]

    return paths


@pytest.fixture(scope="session")
def derivatives(clean_paths: Callable[[str], list[Path]]) -> pl.DataFrame:
    return _minute_frame(clean_paths("gdfl_fo_minute"))


@pytest.fixture(scope="session")
def options(derivatives: pl.DataFrame, clean_paths: Callable[[str], list[Path]]) -> pl.DataFrame:
    """Options with the index of the same minute beside them."""
    index = _minute_frame(clean_paths("gdfl_index_minute")).filter(pl.col("Ticker") == "NIFTY 50.NSE_IDX")
    parts = pl.col("Ticker").str.extract_groups(r"^NIFTY(?<expiry>\d\d[A-Z]{3}\d\d)(?<strike>\d+)(?<side>[CP]E)\.NFO$")
    return (
        derivatives.filter(pl.col("Ticker").str.contains(r"[CP]E\.NFO$"))
        .with_columns(parts.struct.unnest())
        .with_columns(pl.col("strike").cast(pl.Decimal(18, 4)))
        .join(index.select("Date", "Time", Spot="Close"), on=["Date", "Time"], how="left")
    )
