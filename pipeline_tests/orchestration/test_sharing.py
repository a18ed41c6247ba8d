"""What is refused when runs are executed on many hosts and would lean on the disk of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import ConfigurationError, UnknownNameError
from pipeline_defs.orchestration.assets.report import report_path
from pipeline_defs.orchestration.executors import executor_name, refuse_child_processes
from pipeline_defs.orchestration.places import catalogs_place, landing_place
from pipeline_defs.orchestration.sharing import (
    configuration_digest,
    refuse_other_configuration,
    require_shared_state,
    runs_on_many_hosts,
)
from pipeline_defs.storage.locations import S3Location

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OBJECT_STORE", "LANDING", "SHARED_FOLDER", "RAW_ARCHIVE", "EXECUTOR", "UNIVERSE"):
        monkeypatch.delenv(f"PIPELINE_{name}", raising=False)
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    monkeypatch.setenv("PIPELINE_DATABASE_URL", "postgresql://db/market")
    monkeypatch.setenv("PIPELINE_HOSTS", "many")


def test_on_one_host_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_HOSTS", "one")
    monkeypatch.delenv("PIPELINE_DATABASE_URL")

    require_shared_state()
    assert landing_place() == tmp_path / "landing"
    assert catalogs_place() == tmp_path / "catalogs"
    assert report_path().is_relative_to(tmp_path)


@pytest.mark.parametrize("place", [landing_place, catalogs_place, report_path])
def test_a_folder_of_one_host_is_refused(place: object) -> None:
    assert callable(place)
    with pytest.raises(ConfigurationError, match="would lie on the disk of one host"):
        place()


def test_a_folder_that_is_declared_shared_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_SHARED_FOLDER", str(tmp_path))
    assert landing_place() == tmp_path / "landing"
    monkeypatch.setenv("PIPELINE_SHARED_FOLDER", str(tmp_path / "elsewhere"))
    with pytest.raises(ConfigurationError, match="PIPELINE_SHARED_FOLDER"):
        landing_place()


def test_a_bucket_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_LANDING", "s3://bucket/landing")
    monkeypatch.setenv("PIPELINE_OBJECT_STORE", "s3://bucket")
    require_shared_state()
    assert landing_place() == S3Location("bucket", "landing")
    assert catalogs_place() == S3Location("bucket", "catalogs")


def test_a_worker_refuses_the_embedded_database_and_a_local_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match="catalogs would lie on the disk of one host"):
        require_shared_state()
    monkeypatch.setenv("PIPELINE_OBJECT_STORE", "s3://bucket")
    monkeypatch.setenv("PIPELINE_RAW_ARCHIVE", str(tmp_path))
    with pytest.raises(ConfigurationError, match="the archive of deliveries"):
        require_shared_state()
    monkeypatch.delenv("PIPELINE_DATABASE_URL")
    with pytest.raises(ConfigurationError, match="the embedded database is of one host"):
        require_shared_state()


def test_the_celery_executor_means_many_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_HOSTS", "one")
    assert not runs_on_many_hosts()
    monkeypatch.setenv("PIPELINE_EXECUTOR", "celery")
    assert runs_on_many_hosts()


def test_a_worker_refuses_the_executor_that_it_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("in_process", "celery"):
        monkeypatch.setenv("PIPELINE_EXECUTOR", name)
        refuse_child_processes()
    monkeypatch.setenv("PIPELINE_EXECUTOR", "multiprocess")
    with pytest.raises(ConfigurationError, match=r"PIPELINE_EXECUTOR: is multiprocess(?s:.*)unset it on this worker"):
        refuse_child_processes()


def test_misspelt_switches_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_HOSTS", "several")
    with pytest.raises(UnknownNameError, match="PIPELINE_HOSTS"):
        runs_on_many_hosts()
    monkeypatch.setenv("PIPELINE_EXECUTOR", "selery")
    with pytest.raises(UnknownNameError, match="celery"):
        executor_name()


def test_a_host_with_other_deciding_files_refuses_a_run(tmp_path: Path) -> None:
    sent = configuration_digest()
    refuse_other_configuration(sent, "north")
    refuse_other_configuration(None, "north")
    (tmp_path / "precedence.yaml").write_text("NSE: {}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="north: this host has another version"):
        refuse_other_configuration(sent, "north")
