"""Packages that bring sources, installed as a real installer leaves them: modules, and a dist-info folder."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def template_url(migrated_url: str) -> str:
    """Every test works on a copy of a migrated database."""
    return migrated_url


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path, of this test alone."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def install(site: Path) -> Callable[..., Path]:
    """Install a distribution: its modules by name and text, its entry points by name and value."""

    def put(package: str, points: dict[str, str], modules: dict[str, str] | None = None) -> Path:
        info = site / f"{package.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
        lines = [f"{name} = {value}" for name, value in points.items()]
        text = "\n".join(["[market_data_pipeline.sources]", *lines])
        (info / "entry_points.txt").write_text(text + "\n", encoding="utf-8")
        for name, content in (modules or {}).items():
            path = site / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        importlib.invalidate_caches()
        return site

    return put


@pytest.fixture
def acme(install: Callable[..., Path]) -> Path:
    """The sample package; gives the folder that must be on the path."""
    modules = {f"acme_prices/{path.name}": path.read_text() for path in sorted((HERE / "acme_prices").glob("*.py"))}
    return install("acme-prices", {"acme": "acme_prices:ENTRY"}, modules)
