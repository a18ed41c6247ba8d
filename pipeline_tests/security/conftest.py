"""An authority for the session, and a migrated database where a test needs one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline_tests.security.authority import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def template_url(migrated_url: str) -> str:
    """Every test works on a copy of a migrated database."""
    return migrated_url


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"), "An authority of tests")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another authority, which nobody trusts."""
    return Authority.make(tmp_path_factory.mktemp("stranger"), "A stranger")


@pytest.fixture(scope="session")
def s3_server() -> Iterator[dict[str, str]]:
    from pipeline_tests.storage.s3_server import serving  # noqa: PLC0415 -- starts a process of its own

    with serving() as variables:
        yield variables
