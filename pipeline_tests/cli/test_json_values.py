"""``--json`` prints one JSON value on standard output and nothing else, whatever the command."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.exports.manifest import MANIFEST_NAME
from pipeline_defs.samples.generate import tiny_day
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.warehouse.cache import record_cache_use
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.loading import import_source
from pipeline_defs.warehouse.migrations import upgrade
from pipeline_defs.warehouse.named_bundles import BundleMember, add_to_bundle
from pipeline_tests.warehouse.deliveries import Delivery, StubSource, make_batch

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_tests.cli.conftest import Pipeline

DAY = "2025-08-13"
A = "NIFTY31JAN1910000CE"


@pytest.fixture(scope="session")
def template_url(template_url: str) -> str:
    """Migrated once; every test works on a copy."""
    upgrade(Warehouse(template_url))
    return template_url


@pytest.fixture
def warehouse(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """A database and a home of this test alone."""
    monkeypatch.setenv("PIPELINE_DATABASE_URL", database_url)
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    return Warehouse(database_url)


def value_of(pipeline: Pipeline, *arguments: object, code: int = 0) -> Any:
    """Run with ``--json``; the whole of standard output is one value."""
    ended = pipeline(*arguments, "--json")
    assert ended.code == code, (arguments, ended)
    return json.loads(ended.out)


def test_a_day_goes_in_and_comes_out_and_every_step_prints_one_value(
    pipeline: Pipeline, warehouse: Warehouse, tmp_path: Path
) -> None:
    del warehouse
    landing, catalogs = tiny_day(tmp_path / "tiny").landing, tmp_path / "catalogs"
    days = ("--start-date", DAY, "--end-date", DAY)
    dates = ("--from", DAY, "--to", DAY)

    loads = value_of(pipeline, "import", "--source", "nse-csv", "--path", landing, *days)["loads"]
    assert value_of(pipeline, "gaps", "--assess", *dates)["gaps"]
    assert value_of(pipeline, "backfill", "--dry-run", *dates)["done"] == []
    assert value_of(pipeline, "corrections") == {"corrections": []}
    known = ("--known-from", "2025-01-01T00:00Z", "--known-to", "2025-01-02T00:00Z")
    assert value_of(pipeline, "diff", "--dataset", "spot_prices", *known) == {"differences": []}
    assert value_of(pipeline, "quality", "--run", "--dataset", "spot_prices", "--all")["results"]
    assert value_of(pipeline, "reconcile", "--right", "bhavcopy", *dates)["reconciliations"]
    assert value_of(pipeline, "rates", "list") == {"rates": []}
    assert value_of(pipeline, "doctor")["problems"] == []
    assert value_of(pipeline, "db", "status")["in_order"] is True
    assert value_of(pipeline, "db", "upgrade") == {"applied": []}
    assert value_of(pipeline, "db", "upgrade", "--dry-run") == {"outstanding": []}
    assert value_of(pipeline, "db", "downgrade", "--to", "20", "--dry-run")["to_undo"][-1].startswith("common/0021")
    assert value_of(pipeline, "db", "retention")["policies"]
    assert value_of(pipeline, "db", "url")["url"].startswith("postgresql://")
    assert value_of(pipeline, "alerts")["notifiers"] == [{"name": "log", "works": True, "error": None}]
    assert value_of(pipeline, "uploads")["uploads"] == []
    assert value_of(pipeline, "cache", "list") == {"copies": []}
    assert value_of(pipeline, "cache", "clear") == {"removed": [], "kept": [], "dry_run": False}
    assert pipeline("quarantine", "--load", loads[0]["load_id"], "--json").code == 0

    asked = ("--format", "csv", "--underlying", "NIFTY", *days, "--output", catalogs / "csv")
    assert value_of(pipeline, "export", *asked)["path"] == str(catalogs / "csv")
    (sound,) = value_of(pipeline, "verify", catalogs / "csv")["exports"]
    assert (sound["passed"], sound["failures"]) == (True, [])
    assert sound["engine"].startswith("pyarrow ")

    shutil.copytree(catalogs / "csv", catalogs / "other")
    (catalogs / "csv" / "stray.csv").write_text("x")
    damaged = pipeline("verify", catalogs)
    assert damaged.code == 1
    assert f"{catalogs / 'csv'}: FAILED" in damaged.out
    assert "  stray.csv: is not in the manifest" in damaged.out
    assert damaged.out.splitlines()[-1] == "2 exports, 1 failed"
    quick = value_of(pipeline, "verify", catalogs, "--manifest-only", code=1)
    assert [one["passed"] for one in quick["exports"]] == [False, True]

    (catalogs / "csv" / MANIFEST_NAME).write_text("{")
    assert "FAILED" in pipeline("verify", catalogs / "csv", "--manifest-only").out
    nothing = pipeline("verify", landing)
    assert (nothing.code, nothing.out) == (1, "")
    assert "there is no export of ours" in nothing.err


def test_hits_and_misses_are_shown_by_day(pipeline: Pipeline, warehouse: Warehouse) -> None:
    nothing = pipeline("cache", "stats").out
    assert nothing == "nothing was asked for yet\nread cache: 0 copies, 0.0 of 10,737.4 MB\n"
    with warehouse.connect() as connection:
        record_cache_use(connection, hits=3, misses=1, size_bytes=2_000_000, latency_ms=250.0)
        connection.execute("SELECT record_cache_use(1, 0, 0, NULL, '2025-08-13T12:00Z')")

    header, *rows, _ = pipeline("cache", "stats").out.splitlines()
    assert header.split() == ["day", "hits", "misses", "hit", "share", "asked", "MB", "mean", "fetch", "ms"]
    assert rows[0].split() == ["2025-08-13", "1", "0", "100.0%", "0.0", "-"]
    assert rows[1].split()[1:] == ["3", "1", "75.0%", "2.0", "250.0"]
    told = value_of(pipeline, "cache", "stats", "--since", "2025-08-14")
    assert [(day["hits"], day["mean_fetch_latency_ms"]) for day in told["days"]] == [(3, 250.0)]
    assert told["read_cache"]["limit_bytes"] == 10 * 2**30


def test_bundles_are_listed_shown_and_forgotten(pipeline: Pipeline, warehouse: Warehouse) -> None:
    list(import_source(warehouse, StubSource(make_batch(Delivery([(A, 1, "1.50")]))), ImportRequest()))
    assert value_of(pipeline, "bundles", "list") == {"bundles": []}
    assert "no bundle has a name yet" in pipeline("bundles", "list").out
    with warehouse.connect() as connection:
        ((instrument_id,),) = connection.execute("SELECT max(instrument_id) FROM instruments").fetchall()
        add_to_bundle(connection, "my-data", [BundleMember(A, instrument_id, "nse_csv", "options_ticks", 60)])

    series = ["nse_csv", "options_ticks"]
    assert pipeline("bundles", "list").out.splitlines()[1].split()[:5] == ["my-data", "1", "1", *series]
    assert pipeline("bundles", "show", "my-data").out.splitlines()[1].split()[2:] == [*series, "1m"]
    assert value_of(pipeline, "bundles", "show", "my-data")["members"][0]["bar_seconds"] == 60
    misspelt = pipeline("bundles", "show", "my_data")
    assert (misspelt.code, "near it: my-data" in misspelt.err) == (1, True)

    assert value_of(pipeline, "bundles", "remove", "my-data", "--dry-run")["dry_run"] is True
    assert pipeline("bundles", "remove", "my-data").code == 2  # nobody can be asked
    assert pipeline("bundles", "show", "my-data").code == 0
    assert pipeline("bundles", "remove", "my-data", "--yes").out == "my-data: forgotten, 1 series stay stored\n"
    assert pipeline("bundles", "show", "my-data").code == 1
