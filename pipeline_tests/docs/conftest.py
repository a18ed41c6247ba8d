"""The state that the pages are about, once for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest

from pipeline_tests.docs.sample import Sample, make_sample

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def sample(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    """The demo's five sessions; PIPELINE_HOME and PIPELINE_DATABASE_URL lead there meanwhile."""
    home = tmp_path_factory.mktemp("docs") / ".pipeline"
    home.mkdir()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE docs")
    url = urlsplit(postgres_url)._replace(path="/docs").geturl()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIPELINE_HOME", str(home))
        patch.setenv("PIPELINE_DATABASE_URL", url)
        yield make_sample(home, url)
