"""Packages of others: what they bring is a source like ours, and what is wrong with them is said by their name."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import sys
import warnings
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_defs.sources import registry
from pipeline_defs.sources.asking.calling import Patience
from pipeline_defs.sources.asking.universe import SourceUniverse
from pipeline_defs.sources.plugins import Plugins, PluginWarning, find_plugins
from pipeline_defs.sources.registry import get_source
from pipeline_tests.sources.plugin.acme_server import AcmeServer, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline_defs.schema.batches import ImportBatch, Source

ENTRY = "from pipeline_defs.sources.entry import SourceEntry\nENTRY = SourceEntry('{module}:Source')\n"
DAY = dt.date(2025, 8, 13)
QUICK = Patience(tries=3, total_seconds=5, first_wait_seconds=0.01)


@pytest.fixture
def vendor() -> Iterator[AcmeServer]:
    with serving() as running:
        yield running


def use(monkeypatch: pytest.MonkeyPatch, plugins: Plugins) -> None:
    """Let the registry know of packages as if it had been imported with them."""
    monkeypatch.setattr(registry, "PLUGINS", plugins)
    monkeypatch.setattr(registry, "SOURCES", registry.SOURCES | plugins.entries)


@pytest.fixture
def source(acme: Path, vendor: AcmeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Source:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    use(monkeypatch, find_plugins(()))
    assert acme.is_dir()
    universe = SourceUniverse.model_validate({"equities": ["AAPL"]})
    return get_source("acme", endpoint=vendor.url, universe=universe, patience=QUICK)


def fetch(source: Source, first: dt.date, last: dt.date) -> list[ImportBatch]:
    return list(source.fetch(ImportRequest(first, last)))


# The sample package.


def test_the_sample_gives_every_digit_at_the_close_of_the_day(source: Source, vendor: AcmeServer) -> None:
    first, second = fetch(source, DAY - dt.timedelta(days=1), DAY)

    source.validate_data(first)
    assert vendor.asked == ["/bars/AAPL?from=2025-08-12&to=2025-08-13"]
    assert (first.table, first.trade_date, second.trade_date) == ("equity_daily", dt.date(2025, 8, 12), DAY)
    (row,) = first.observations.to_dicts()
    assert row["open"] == Decimal("228.005")
    assert row["timestamp"] == dt.datetime(2025, 8, 12, 20, tzinfo=dt.UTC)
    (row,) = second.observations.to_dicts()
    assert (row["high"], row["volume"]) == (Decimal(235), 69878500)
    assert second.contracts.select("symbol", "currency", "kind").row(0) == ("AAPL", "USD", "EQ")


def test_a_closed_day_is_confirmed_without_a_request(source: Source, vendor: AcmeServer) -> None:
    (batch,) = fetch(source, dt.date(2025, 8, 16), dt.date(2025, 8, 16))

    assert batch.empty_reason == "weekend"
    assert vendor.asked == []


@pytest.mark.parametrize("status", [429, 503])
def test_the_sample_asks_again_where_that_helps(source: Source, vendor: AcmeServer, status: int) -> None:
    vendor.next_statuses = [status, status]

    assert fetch(source, DAY, DAY)[0].observations.height == 1
    assert len(vendor.asked) == 3


def test_a_refusal_is_not_repeated_and_names_the_symbol(source: Source, vendor: AcmeServer) -> None:
    vendor.next_statuses = [404]

    with pytest.raises(SourceError, match="acme AAPL equity_daily 2025-08-13: Acme answered 404 for AAPL"):
        fetch(source, DAY, DAY)
    assert len(vendor.asked) == 1


@pytest.mark.parametrize("body", ['{"bars": [', "{}"])
def test_a_reply_that_is_not_whole_is_asked_for_again_and_never_stored(
    source: Source, vendor: AcmeServer, body: str
) -> None:
    vendor.body = body

    with pytest.raises(SourceError, match=r"Acme's reply was not whole: \w+; gave up after 3 tries"):
        fetch(source, DAY, DAY)


def test_a_price_that_is_none_is_refused_by_the_shared_rules_and_the_rest_goes_on(
    source: Source, vendor: AcmeServer
) -> None:
    bars = [{"day": "2025-08-12", "open": 1.5, "high": 2, "low": 1, "close": "n/a", "volume": 1},
            {"day": "2025-08-13", "open": 1.5, "high": 2, "low": 1, "close": 1.25, "volume": 1}]  # fmt: skip
    vendor.body = json.dumps({"bars": bars})

    batches = fetch(source, dt.date(2025, 8, 12), DAY)

    assert [batch.rejects["reason"].to_list() for batch in batches] == [["bad_price"], []]


# In Dagster, without a change here.


def test_an_installed_package_becomes_an_asset_and_materialises(
    acme: Path, vendor: AcmeServer, database_url: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "universe.yaml").write_text("acme:\n  equities: [AAPL]\n", encoding="utf-8")
    program = (
        "import json, sys\n"
        "import dagster as dg, psycopg\n"
        "from pipeline_defs.definitions import defs\n"
        "from pipeline_defs.orchestration.runs import materialize_partition\n"
        "heavy = [name for name in ('polars', 'acme_prices.adapter') if name in sys.modules]\n"
        "keys = [key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()]\n"
        "with dg.DagsterInstance.ephemeral() as instance:\n"
        "    run = materialize_partition('key:\"acme/equity_daily\"', '2025-08-13', instance)\n"
        "with psycopg.connect(sys.argv[1]) as connection:\n"
        "    rows = connection.execute('SELECT source, close::text, volume::text FROM equity_daily').fetchall()\n"
        "print(json.dumps([heavy, 'acme/equity_daily' in keys, 'nse_csv/equity_daily' in keys, run.succeeded,"
        " run.failures, rows]))\n"
    )
    environment = os.environ | {
        "PIPELINE_HOME": str(home),
        "PIPELINE_DATABASE_URL": database_url,
        "PIPELINE_ACME_ENDPOINT": vendor.url,
        "PYTHONPATH": os.pathsep.join([str(acme), str(PROJECT_ROOT)]),
    }
    completed = subprocess.run(
        [sys.executable, "-c", program, database_url], env=environment, capture_output=True, text=True, check=False
    )

    assert completed.returncode == 0, completed.stderr
    told = json.loads(completed.stdout.splitlines()[-1])
    assert told == [[], True, True, True, [], [["acme", "233.33", "69878500"]]]


def test_assets_of_the_others_load_when_a_package_does_not_and_a_warning_is_shown(
    install: Callable[..., Path], tmp_path: Path
) -> None:
    site = install("broken-prices", {"broken": "broken_prices:ENTRY"}, {"broken_prices.py": "import no_such_library\n"})
    program = (
        "from pipeline_defs.definitions import defs\n"
        "print(sorted({key.path[0] for key in defs.resolve_asset_graph().get_all_asset_keys()}))\n"
        "from pipeline_defs.sources.registry import get_source\n"
        "get_source('broken')\n"
    )
    environment = os.environ | {
        "PIPELINE_HOME": str(tmp_path / "home"),
        "PYTHONPATH": os.pathsep.join([str(site), str(PROJECT_ROOT)]),
    }
    completed = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )

    assert "'nse_csv'" in completed.stdout
    assert "'broken'" not in completed.stdout
    trouble = "ModuleNotFoundError: No module named 'no_such_library'"
    assert f"PluginWarning: source broken of the package broken-prices is left out: {trouble}" in completed.stderr
    assert f"source broken of the package broken-prices: cannot be loaded: {trouble}" in completed.stderr


# What can be wrong with a package.


def test_without_packages_there_is_nothing() -> None:
    assert find_plugins(["nse_csv"]) == Plugins()


def test_what_a_package_brings_is_found_and_its_adapter_is_not_imported(acme: Path) -> None:
    found = find_plugins(["nse_csv"])

    assert found.distributions == {"acme": "acme-prices"}
    assert found.entries["acme"].market == "US"
    assert "acme_prices.adapter" not in sys.modules
    assert acme.is_dir()


def test_a_name_of_ours_is_refused_naming_both_packages(install: Callable[..., Path]) -> None:
    install("other-nse", {"nse-csv": "other_nse:ENTRY"}, {"other_nse.py": ENTRY.format(module="other_nse")})

    with pytest.raises(
        ConfigurationError,
        match=r"the packages market-data-pipeline and other-nse both bring a source 'nse_csv'\nNext: remove other-nse",
    ):
        find_plugins(["nse_csv"])


def test_a_name_that_two_packages_bring_is_refused_naming_both(install: Callable[..., Path]) -> None:
    install("a-prices", {"prices": "a_prices:ENTRY"}, {"a_prices.py": ENTRY.format(module="a_prices")})
    install("b-prices", {"prices": "b_prices:ENTRY"}, {"b_prices.py": ENTRY.format(module="b_prices")})

    with pytest.raises(ConfigurationError, match="the packages a-prices and b-prices both bring a source 'prices'"):
        find_plugins(())


@pytest.mark.parametrize(
    ("name", "module", "said"),
    [
        ("odd", "ENTRY = 'odd:Source'", "odd:ENTRY is str, expected pipeline_defs.sources.entry.SourceEntry"),
        ("odd", "", "module 'odd' has no attribute 'ENTRY'"),
        ("odd", "raise ZeroDivisionError('at import')", "ZeroDivisionError: at import"),
        ("odd", "from pipeline_defs.sources.entry import SourceEntry\nENTRY = SourceEntry('odd')", "form module:Class"),
        (
            "odd",
            "from pipeline_defs.sources.entry import SourceEntry\nENTRY = SourceEntry('odd:S', market='MARS')",
            "market 'MARS' is none of NSE, US, CRYPTO",
        ),
        ("Odd Prices", ENTRY.format(module="odd"), "is not of small letters, digits and single underscores"),
    ],
)
def test_a_package_that_is_not_well_is_left_out_with_a_warning_and_an_error_for_who_asks(
    install: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, name: str, module: str, said: str
) -> None:
    install("odd-prices", {name: "odd:ENTRY"}, {"odd.py": module})
    install("good-prices", {"good": "good:ENTRY"}, {"good.py": ENTRY.format(module="good")})

    with pytest.warns(PluginWarning, match=f"source {name} of the package odd-prices is left out: .*{re.escape(said)}"):
        found = find_plugins(["nse_csv"])
    use(monkeypatch, found)

    assert list(found.entries) == ["good"]
    with pytest.raises(ConfigurationError, match=f"source {name} of the package odd-prices: cannot be loaded"):
        get_source(name)


@pytest.mark.parametrize(
    ("adapter", "said"),
    [
        ("import no_such_library", r"late\.adapter:Source cannot be loaded: ModuleNotFoundError: No module named"),
        ("", r"late\.adapter:Source cannot be loaded: AttributeError"),
        ("class Source:\n    name = 'other'\n", r"late\.adapter:Source calls itself 'other'"),
    ],
)
def test_an_adapter_that_fails_when_it_is_used_names_its_package(
    install: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, adapter: str, said: str
) -> None:
    modules = {"late/__init__.py": ENTRY.format(module="late.adapter"), "late/adapter.py": adapter}
    install("late-prices", {"late": "late:ENTRY"}, modules)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        use(monkeypatch, find_plugins(()))

    with pytest.raises(ConfigurationError, match=f"source late of the package late-prices: {said}"):
        get_source("late")


# The page that walks through it.

PAGE = PROJECT_ROOT / "docs" / "adding-a-source.md"
SAMPLE = Path(__file__).parent / "acme_prices"


@pytest.mark.parametrize("name", ["__init__.py", "adapter.py"])
def test_the_page_shows_the_files_of_the_sample_as_they_are(name: str) -> None:
    assert f"```python\n{(SAMPLE / name).read_text()}```" in PAGE.read_text()


def test_a_source_is_less_than_sixty_lines() -> None:
    assert sum(len((SAMPLE / name).read_text().splitlines()) for name in ("__init__.py", "adapter.py")) < 60


def test_the_page_shows_the_entry_point_that_the_tests_install(acme: Path) -> None:
    installed = (acme / "acme_prices-1.0.dist-info" / "entry_points.txt").read_text()

    assert installed == "[market_data_pipeline.sources]\nacme = acme_prices:ENTRY\n"
    assert '[project.entry-points."market_data_pipeline.sources"]\nacme = "acme_prices:ENTRY"\n' in PAGE.read_text()
