"""A drop folder and a migrated warehouse of each test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline_defs.settings import Settings, load_settings
from pipeline_defs.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def template_url(migrated_url: str) -> str:
    """Every test works on a copy of a migrated database."""
    return migrated_url


@pytest.fixture
def settings(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home and a database of this test alone."""
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIPELINE_DATABASE_URL", database_url)
    return load_settings()


@pytest.fixture
def warehouse(settings: Settings) -> Warehouse:
    """The database of `settings`."""
    assert settings.database_url is not None
    return Warehouse(settings.database_url)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty drop folder."""
    path = tmp_path / "home" / "uploads"
    path.mkdir(parents=True)
    return path
