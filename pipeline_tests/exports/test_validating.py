from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.exports import registry
from pipeline_defs.exports.manifest import MANIFEST_NAME, catalog_hash, list_objects
from pipeline_defs.exports.validating import validate_export
from pipeline_defs.schema.exports import Verification

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def formats(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("Plain", "Looking"):
        monkeypatch.setitem(registry.EXPORTERS, name.lower(), f"pipeline_tests.exports.looking:{name}Exporter")


def _export(root: Path, format_name: str, said: str = "1", **changes: Any) -> Path:
    (root / "data.csv").write_text(said)
    objects = list_objects(root)
    content = {
        "kind": "market-data-pipeline export",
        "version": 1,
        "format": format_name,
        "engine": "engine 1",
        "objects": objects,
        "catalog_hash": catalog_hash(objects),
    }
    (root / MANIFEST_NAME).write_text(json.dumps(content | changes))
    return root


def test_a_format_without_checks_of_its_own_is_checked_by_its_manifest(tmp_path: Path) -> None:
    root = _export(tmp_path, "plain")
    assert validate_export(root) == Verification(
        passed=True, engine="engine 1", checks={"manifest_objects": 1}, failures=()
    )
    (root / "data.csv").write_text("2")
    changed = validate_export(root)
    assert not changed.passed
    assert changed.failures[0].startswith("data.csv: expected 1 bytes with sha256")


def test_what_a_format_finds_is_told_once_and_makes_it_fail(tmp_path: Path) -> None:
    found = validate_export(_export(tmp_path, "looking"))
    assert found == Verification(
        passed=False, engine="engine 2", checks={"manifest_objects": 1, "looked": 1}, failures=("data.csv: is odd",)
    )


def test_a_format_that_raises_is_a_failure(tmp_path: Path) -> None:
    found = validate_export(_export(tmp_path, "looking", "raise"))
    assert (found.passed, found.engine) == (False, "engine 1")
    assert "cannot be looked at" in found.failures[0]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": "nobody's"}, 'no export format "nobody\'s", expected one of'),
        ({"version": 99}, "has version 99, expected at most"),
        ({"objects": None}, "the manifest or a file cannot be read: TypeError"),
        ({"objects": [{"size_bytes": 1}]}, "the manifest or a file cannot be read: KeyError"),
        ({"kind": "something"}, "does not say that it is"),
    ],
)
def test_a_damaged_manifest_is_a_failure_with_its_reason(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    found = validate_export(_export(tmp_path, "plain", **changes))
    assert not found.passed
    assert reason in found.failures[0]


def test_a_folder_without_a_manifest_and_no_folder_at_all_are_failures(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "none"):
        (failure,) = validate_export(root).failures
        assert "holds no _manifest.json" in failure
