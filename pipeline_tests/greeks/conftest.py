"""A migrated warehouse for each test, and one with a generated session in it."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest

from pipeline_defs.greeks.rate_files import read_rates
from pipeline_defs.greeks.rates import load_rates
from pipeline_defs.samples.generate import tiny_day
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.registry import get_source
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.loading import import_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TINY_DATE = dt.date(2025, 8, 13)

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def template_url(migrated_url: str) -> str:
    """Every test works on a copy of a migrated database."""
    return migrated_url


@pytest.fixture(scope="session")
def rates_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A flat rate and the yield of one index."""
    folder = tmp_path_factory.mktemp("rates")
    rates, yields = folder / "rates.csv", folder / "yields.csv"
    rates.write_text("currency,valid_from,rate,source\nINR,2025-01-01,0.065,T-bill\n", encoding="utf-8")
    yields.write_text(
        "underlying,valid_from,dividend_yield,source\nNIFTY,2025-01-01,0.0125,factsheet\n", encoding="utf-8"
    )
    return rates, yields


@pytest.fixture(scope="session")
def session_url(
    postgres_url: str,
    template_url: str,
    rates_files: tuple[Path, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """A database with the tiny session and rates, made once; tests work on copies."""
    url = _copy(postgres_url, template_url)
    sample = tiny_day(tmp_path_factory.mktemp("tiny"))
    source = get_source("nse_csv", path=str(sample.landing))
    list(import_source(Warehouse(url), source, ImportRequest(TINY_DATE, TINY_DATE)))
    for path in rates_files:
        load_rates(Warehouse(url), read_rates(path))
    return url


@pytest.fixture
def imported(postgres_url: str, session_url: str) -> Iterator[Warehouse]:
    """A warehouse of this test alone with the tiny session and rates."""
    url = _copy(postgres_url, session_url)
    yield Warehouse(url)
    _execute(postgres_url, f"DROP DATABASE {_name(url)} WITH (FORCE)")


@pytest.fixture
def ask() -> Callable[..., list[tuple[Any, ...]]]:
    """Run a statement, commit it, and give its rows."""

    def run(warehouse: Warehouse, query: str, *values: object) -> list[tuple[Any, ...]]:
        with warehouse.connect() as connection:
            cursor = connection.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

    return run


def _copy(postgres_url: str, url: str) -> str:
    name = f"greeks_{next(_NUMBERS)}"
    _execute(postgres_url, f"CREATE DATABASE {name} TEMPLATE {_name(url)} STRATEGY file_copy")
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def _name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())
