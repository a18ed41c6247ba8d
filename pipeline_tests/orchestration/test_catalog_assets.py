from __future__ import annotations

import json
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from pipeline_defs.exports.registry import EXPORTERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.orchestration.runs import CheckOutcome, PartitionRun
    from pipeline_defs.settings import Settings
    from pipeline_defs.warehouse.connection import Warehouse

    type Materialize = Callable[[str, str], PartitionRun]

MONTH = "2025-08|NIFTY"
FORMATS = sorted(EXPORTERS)
CERTIFICATE = "catalogs/certificate"


def outcome(run: PartitionRun, asset: str, name: str) -> CheckOutcome:
    (found,) = [check for check in run.checks if (check.asset, check.name) == (asset, name)]
    return found


def select(format_name: str) -> str:
    return f'key:"catalogs/{format_name}"'


def test_a_month_is_published_in_every_format_verified_described_and_certified(
    imported: Warehouse, materialize: Materialize, settings: Settings
) -> None:
    run = materialize("group:catalogs", MONTH)

    assert run.succeeded, run.failures
    for format_name in FORMATS:
        asset = f"catalogs/{format_name}"
        folder = settings.catalogs_dir / format_name / "NIFTY" / "2025-08"
        manifest = json.loads((folder / "_manifest.json").read_text())
        metadata = run.metadata[asset]
        assert metadata["path"] == str(folder)
        assert metadata["dagster/uri"] == folder.as_uri()
        assert metadata["coverage"].startswith("Share of the minutes of NIFTY options that have a bar, 2025-08-01")
        assert metadata["catalog_hash"] == manifest["catalog_hash"]
        assert metadata["dagster/partition_row_count"] == metadata["count_bars"] == manifest["counts"]["bars"] > 0
        assert (metadata["first_session"], metadata["last_session"]) == ("2025-08-01", "2025-08-29")
        assert outcome(run, asset, "engine_verified").passed
        assert outcome(run, asset, "manifest_intact").passed

    parity = outcome(run, CERTIFICATE, "parity")
    assert (parity.passed, parity.blocking) == (True, True)
    written = settings.catalogs_dir / "certificates" / "NIFTY" / "2025-08" / "certificate.json"
    certificate = json.loads(written.read_text())
    assert run.metadata[CERTIFICATE]["path"] == str(written)
    assert [catalog["format"] for catalog in certificate["catalogs"]] == FORMATS
    assert [part["bar_seconds"] for part in certificate["resolutions"]] == [60, 3600, 86_400]

    with imported.connect() as connection:
        connection.execute("UPDATE catalog_readbacks SET volume_sum = volume_sum + 1 WHERE engine_id = 'NIFTY.NSE'")
    parity = outcome(materialize(select("certificate"), MONTH), CERTIFICATE, "parity")
    assert not parity.passed
    assert "bars of NIFTY.NSE from" in parity.metadata["found"]


def test_without_a_catalog_nothing_is_certified(materialize: Materialize) -> None:
    run = materialize(select("certificate"), MONTH)

    assert not run.succeeded
    assert "no catalog was published" in run.failures[0]


@pytest.mark.usefixtures("imported")
def test_a_month_that_lacks_sessions_warns_and_names_them(materialize: Materialize) -> None:
    run = materialize(select("backtrader"), MONTH)

    present = outcome(run, "catalogs/backtrader", "sessions_present")
    assert run.succeeded
    assert (present.passed, present.blocking) == (False, False)
    assert (present.metadata["expected"], present.metadata["found"]) == ("19 sessions", "1 sessions")
    assert "2025-08-14" in present.metadata["detail"]
    assert "2025-08-13" not in present.metadata["detail"]


@pytest.mark.usefixtures("imported")
def test_what_the_engine_does_not_confirm_is_not_published_and_fails_the_check(
    materialize: Materialize, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXPORTERS, "backtrader", "pipeline_tests.orchestration.damaging:BarLosingExporter")

    run = materialize(select("backtrader"), MONTH)

    verified = outcome(run, "catalogs/backtrader", "engine_verified")
    assert not run.succeeded
    assert (verified.passed, verified.blocking) == (False, True)
    assert "did not confirm" in verified.metadata["found"]
    assert "did not confirm" in run.failures[0]
    assert run.metadata == {}
    assert [path for path in settings.catalogs_dir.rglob("*") if path.is_file()] == []


@pytest.mark.usefixtures("imported")
def test_a_failed_export_leaves_the_published_catalog_as_it_was(
    materialize: Materialize, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    materialize(select("backtrader"), MONTH)
    folder = settings.catalogs_dir / "backtrader" / "NIFTY" / "2025-08"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    monkeypatch.setitem(EXPORTERS, "backtrader", "pipeline_tests.orchestration.damaging:BarLosingExporter")

    assert not materialize(select("backtrader"), MONTH).succeeded

    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.usefixtures("imported")
def test_the_same_data_give_the_same_data_version(materialize: Materialize, instance: dg.DagsterInstance) -> None:
    versions = []
    for _ in range(2):
        materialize(select("backtrader"), MONTH)
        event = instance.get_latest_materialization_event(dg.AssetKey(["catalogs", "backtrader"]))
        assert event is not None
        assert event.asset_materialization is not None
        versions.append((event.asset_materialization.tags or {})["dagster/data_version"])

    assert versions[0] == versions[1]


def test_a_month_without_data_fails_and_says_what_to_do(materialize: Materialize) -> None:
    run = materialize(select("backtrader"), "2025-07|BANKNIFTY")

    assert not run.succeeded
    assert "BANKNIFTY" in run.failures[0]
    assert "import the days first" in run.failures[0]
    assert not outcome(run, "catalogs/backtrader", "engine_verified").passed
