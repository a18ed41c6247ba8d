"""Exports into an object store by the same way as into a folder, and the commands around them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import dagster as dg
import pytest
from typer.testing import CliRunner

from pipeline_defs.cli.main import commands
from pipeline_defs.errors import ConfigurationError, ExportError, PipelineError, StorageError
from pipeline_defs.exports import registry
from pipeline_defs.exports.manifest import MANIFEST_NAME, check_manifest, read_manifest
from pipeline_defs.exports.published import validate_below
from pipeline_defs.exports.run import export_slice
from pipeline_defs.orchestration.checks import judge_manifest
from pipeline_defs.orchestration.commands.exports import EXPORT_JOB
from pipeline_defs.orchestration.commands.running import run_command
from pipeline_defs.orchestration.commands.telling import Listener
from pipeline_defs.orchestration.resources import FolderExport
from pipeline_defs.orchestration.runs import open_instance
from pipeline_defs.samples.generate import tiny_day
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.settings import GIB, load_settings
from pipeline_defs.sources.registry import get_source
from pipeline_defs.storage.download import download_export
from pipeline_defs.storage.locations import S3Location, as_uri
from pipeline_defs.storage.publish_objects import publish_objects
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.loading import import_source
from pipeline_tests.exports.backtrader.slices import nifty_slice
from pipeline_tests.storage.exports import files_of, make_export

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.storage.objects import ObjectStore
    from pipeline_tests.storage.door import Door


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: S3Location) -> Path:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIPELINE_OBJECT_STORE", str(base))
    return tmp_path / "home"


def run(*arguments: object, fails: bool = False) -> str:
    result = CliRunner().invoke(commands, [str(argument) for argument in arguments])
    if isinstance(result.exception, PipelineError):
        raise result.exception
    assert (result.exit_code != 0) is fails, result.output
    return result.output


def test_a_slice_is_exported_as_to_a_folder_and_again_without_sending_anything(
    s3: Door, store: ObjectStore, base: S3Location, tmp_path: Path, home: Path
) -> None:
    prefix = base / "catalogs" / "backtrader" / "NIFTY" / "2025-08"
    published = export_slice("backtrader", nifty_slice(2), prefix)
    assert published.to_json()["path"] == str(prefix)
    assert published.to_json()["manifest"] == f"{prefix}/{MANIFEST_NAME}"
    download_export(store, prefix, tmp_path / "copy")
    assert check_manifest(tmp_path / "copy") == []
    assert read_manifest(tmp_path / "copy")["catalog_hash"] == published.catalog_hash
    assert list((home / "publishing").iterdir()) == []
    assert judge_manifest(prefix).passed
    (sound,) = validate_below(base)
    assert (sound.place, sound.verification.passed) == (str(prefix), True)
    assert sound.verification.engine.startswith("backtrader ")

    s3.forget()
    export_slice("backtrader", nifty_slice(2), prefix)
    assert {method for method, _ in s3.passed} == {"GET"}
    store.delete_many([prefix / "contracts.json"])
    assert not judge_manifest(prefix).passed


def test_strangers_objects_are_refused_before_anything_is_built(
    store: ObjectStore, base: S3Location, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(base / "thesis.txt", b"years of work")
    monkeypatch.setitem(registry.EXPORTERS, "damaging", "pipeline_tests.exports.damaging:DamagingExporter")
    with pytest.raises(ExportError, match=r"thesis\.txt"):
        export_slice("damaging", nifty_slice(2), base)
    assert not home.exists()


def test_what_the_engine_does_not_confirm_leaves_the_store_as_it_was(
    s3: Door, base: S3Location, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.EXPORTERS, "damaging", "pipeline_tests.exports.damaging:DamagingExporter")
    with pytest.raises(ExportError, match="did not confirm it"):
        export_slice("damaging", nifty_slice(2), base)
    assert {method for method, _ in s3.passed} == {"GET"}
    assert list((home / "publishing").iterdir()) == []


def test_the_orchestration_publishes_where_the_settings_say(
    base: S3Location, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = FolderExport(format_name="nautilus")
    assert port.place("NIFTY", "2025-08") == base / "catalogs/nautilus/NIFTY/2025-08"
    assert FolderExport(format_name="lean", folder="s3://other/x").place("M&M", "2025-08") == S3Location(
        "other", "x/lean/M&M/2025-08"
    )
    assert as_uri(base) == str(base)
    assert as_uri(tmp_path) == tmp_path.as_uri()
    monkeypatch.delenv("PIPELINE_OBJECT_STORE")
    assert port.place("NIFTY", "2025-08") == home / "catalogs" / "nautilus" / "NIFTY" / "2025-08"


def test_an_export_goes_round_by_the_commands(base: S3Location, home: Path, tmp_path: Path, store: ObjectStore) -> None:
    export = make_export(tmp_path / "export", {"a.csv": b"1", "b.csv": b"2"})
    url = base / "catalogs" / "generic" / "NIFTY" / "2025-08"
    assert run("storage", "publish", export, url) == f"{url}: 2 sent, 0 unchanged, 0 removed\n"
    report = json.loads(run("storage", "publish", export, url, "--json"))
    assert report == {"url": str(url), "uploaded": 0, "unchanged": 2, "removed": 0}
    assert run("storage", "list").startswith(f"{url}  3 objects, 0.0 MB")
    assert json.loads(run("storage", "list", base, "--json"))["exports"][0]["objects"] == 3
    assert run("storage", "verify", url) == "as it was published\n"
    assert "2 files" in run("storage", "download", url, tmp_path / "copy")
    assert files_of(tmp_path / "copy") == files_of(export)

    assert run("cache", "get", url).strip().startswith(str(home / "cache"))
    assert str(url) in run("cache", "list")
    assert json.loads(run("cache", "list", "--json"))["copies"][0]["is_complete"]
    assert run("cache", "clear", "--dry-run") == "1 would be removed, 0.0 MB\n"
    assert "--yes" in run("cache", "clear", fails=True)
    assert json.loads(run("cache", "clear", "--yes", "--json"))["removed"][0]["url"] == str(url)

    store.write(url / "a.csv", b"x")
    assert run("storage", "verify", url, fails=True) == "a.csv: is not the object that was published\n"
    damaged = run("verify", url, "--manifest-only", fails=True)
    assert damaged == f"{url}: FAILED by manifest\n  a.csv: is not the object that was published\n"
    assert run("verify", base / "catalogs", fails=True) == damaged
    assert "expected sha256" in run("storage", "verify", url, "--deep", "--json", fails=True)
    (export / "a.csv").write_bytes(b"changed")
    with pytest.raises(ConfigurationError, match="is not as it was exported"):
        run("storage", "publish", export, url)


def test_a_copy_that_is_being_read_is_named_when_the_cache_is_cleared(
    base: S3Location, home: Path, tmp_path: Path, store: ObjectStore
) -> None:
    from pipeline_defs.storage.cache import cached_catalog  # noqa: PLC0415 -- what a backtest would do

    assert not home.exists()
    publish_objects(store, make_export(tmp_path / "export", {"a.csv": b"1"}), base)
    with cached_catalog(str(base)):
        assert run("cache", "clear", "--dry-run") == f"0 would be removed, 0.0 MB\nbeing read: {base}\n"
        assert run("cache", "clear") == f"0 removed, 0.0 MB\nbeing read: {base}\n"


def test_rules_are_shown_and_applied_by_the_commands(base: S3Location, home: Path, store: ObjectStore) -> None:
    assert not home.exists()
    assert f"s3://{base.bucket} has no rules" in run("storage", "lifecycle", "show")
    said = run("storage", "lifecycle", "apply", "--raw-class", "GLACIER_IR", "--raw-expire-after", 400)
    assert "market data/raw/: moves to GLACIER_IR after 90 days, deleted after 400 days" in said
    assert json.loads(run("storage", "lifecycle", "show", "--json"))[0]["Status"] == "Enabled"
    rule = {"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    store.client.put_bucket_lifecycle_configuration(Bucket=base.bucket, LifecycleConfiguration={"Rules": [rule]})
    assert "warning: this rule deletes catalogs" in run("storage", "lifecycle", "show")


def test_commands_that_need_a_base_say_so(monkeypatch: pytest.MonkeyPatch, s3: Door) -> None:
    assert s3.url
    monkeypatch.delenv("PIPELINE_OBJECT_STORE", raising=False)
    with pytest.raises(ConfigurationError, match="PIPELINE_OBJECT_STORE is not set"):
        run("storage", "list")
    with pytest.raises(StorageError, match="there is no such bucket"):
        run("storage", "list", "s3://no-such-bucket/x")


def test_settings_of_storage_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    assert load_settings().cache_bytes == 10 * GIB
    assert load_settings().raw_archive is None
    monkeypatch.setenv("PIPELINE_CACHE_GIB", "0.5")
    monkeypatch.setenv("PIPELINE_RAW_ARCHIVE", "on")
    assert load_settings().cache_bytes == GIB // 2
    assert load_settings().raw_archive == str(tmp_path)
    monkeypatch.setenv("PIPELINE_OBJECT_STORE", "s3://bucket/x")
    assert load_settings().raw_archive == "s3://bucket/x"
    for wrong in ("much", "-1", "0", "nan", "inf"):
        monkeypatch.setenv("PIPELINE_CACHE_GIB", wrong)
        with pytest.raises(ConfigurationError, match="expected a positive number of GiB"):
            load_settings()


def test_an_export_to_a_bucket_is_a_run_that_tells_where(
    base: S3Location, home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PIPELINE_DATABASE_URL", database_url)
    landing = tiny_day(tmp_path / "tiny").landing
    list(import_source(Warehouse(database_url), get_source("nse_csv", path=str(landing)), ImportRequest()))
    place = base / "catalogs" / "csv" / "NIFTY" / "2025-08"
    config = {
        "format": "csv",
        "underlying": "NIFTY",
        "start_date": "2025-08-01",
        "end_date": "2025-08-31",
        "output": str(place),
    }
    run_id = run_command(EXPORT_JOB, config, load_settings(), Listener(), tags={})

    with open_instance(load_settings()) as instance:
        (entry,) = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    event = entry.asset_materialization
    assert event is not None
    assert (str(event.partition), event.metadata["dagster/uri"].value) == ("2025-08|NIFTY", as_uri(place))
    assert judge_manifest(place).passed
    assert (home / "dagster").is_dir()
