"""One clean session of the sample market, imported once: minutes, ticks of some contracts, and the bhavcopies."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest

from pipeline_defs.samples.generate import DEMO, GeneratedSample, generate
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.registry import get_source
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.loading import import_source

if TYPE_CHECKING:
    from collections.abc import Iterator

TRADE_DATE = dt.date(2025, 8, 13)


@pytest.fixture(scope="session")
def template_url(migrated_url: str) -> str:
    """Every test works on a copy of a migrated database."""
    return migrated_url


@pytest.fixture(scope="session")
def day(tmp_path_factory: pytest.TempPathFactory) -> GeneratedSample:
    spec = dataclasses.replace(
        DEMO,
        start_date=TRADE_DATE,
        end_date=TRADE_DATE,
        dirty_date=None,
        tick_dates=(TRADE_DATE,),
        symbols=("RELIANCE",),
        activity=0.3,
    )
    return generate(spec, tmp_path_factory.mktemp("day"))


@pytest.fixture(scope="session")
def filled_url(template_url: str, postgres_url: str, day: GeneratedSample) -> Iterator[str]:
    name = f"{urlsplit(template_url).path.removeprefix('/')}_day"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {urlsplit(template_url).path.removeprefix('/')}".encode())
    url = urlsplit(postgres_url)._replace(path=f"/{name}").geturl()
    for report in import_source(Warehouse(url), get_source("nse_csv"), ImportRequest(path=day.landing)):
        assert report.status == "complete"
    yield url
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def warehouse(database_url: str, filled_url: str, postgres_url: str) -> Warehouse:
    """A copy of the filled warehouse for this test alone."""
    name, filled = (urlsplit(url).path.removeprefix("/") for url in (database_url, filled_url))
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {filled} STRATEGY file_copy".encode())
    return Warehouse(database_url)
