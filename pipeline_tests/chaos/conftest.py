"""One engine for all tests of this room: its server is restarted, crashed and flooded, so nobody else's may be used."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline_tests.chaos.running import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def template_url(migrated_url: str) -> str:
    """Every test works on a copy of a migrated database."""
    return migrated_url


@pytest.fixture(scope="session")
def engine(pipeline_home: Path) -> Iterator[Engine]:
    """A server, an object store and a reference."""
    del pipeline_home
    # Not below pytest's own folder: the server's account must be able to enter it.
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, Engine(Path(folder)) as running:
        yield running
