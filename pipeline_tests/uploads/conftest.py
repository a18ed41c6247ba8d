"""A drop folder and a migrated warehouse of each test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline_defs.settings import Settings, load_settings
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.migrations import upgrade

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def template_url(template_url: str) -> str:
    """Migrated once; every test works on a copy."""
    upgrade(Warehouse(template_url))
    return template_url


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
