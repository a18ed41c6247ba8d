"""The manifest names every byte of an export, and notices when one changes."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.backtrader.build import build_files
from pipeline_defs.exports.manifest import (
    MANIFEST_NAME,
    catalog_hash,
    check_manifest,
    list_objects,
    read_manifest,
    write_manifest,
)
from pipeline_defs.schema.exports import Verification
from pipeline_tests.exports.backtrader.slices import nifty_slice

VERIFICATION = Verification(passed=True, engine="backtrader 1", checks={"bars": 480}, failures=())
FUTURE = "NIFTY_250814_FUT_1m.csv"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("export")
    market = nifty_slice()
    write_manifest(root, "backtrader", market, build_files(market, root), VERIFICATION)
    return root


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "export"))


def test_a_manifest_says_what_was_exported_from_what_and_what_the_engine_found(original: Path) -> None:
    manifest = read_manifest(original)
    assert manifest["version"] == 1
    assert manifest["format"] == "backtrader"
    assert manifest["engine"].startswith("backtrader 1.9")
    assert set(manifest["written_by"]) == {"market-data-pipeline", "polars", "pyarrow"}
    assert manifest["partition"] == {
        "underlying": "NIFTY",
        "start_date": "2025-08-13",
        "end_date": "2025-08-14",
        "bar_seconds": 60,
        "timezone": "Asia/Kolkata",
        "start": "2025-08-13T03:45:00+00:00",
        "end": "2025-08-14T10:00:00+00:00",
    }
    assert manifest["counts"] == {"bars": 480, "instruments": 8}
    assert manifest["first_timestamp"] == "2025-08-13T09:31:00+00:00"
    assert manifest["last_timestamp"] == "2025-08-14T10:00:00+00:00"
    assert manifest["load_ids"] == [1, 7]
    assert manifest["verification"] == {
        "passed": True,
        "engine": "backtrader 1",
        "checks": {"bars": 480},
        "failures": [],
    }
    assert manifest["details"]["timeframe"] == "Minutes"


def test_a_manifest_names_every_other_file_with_its_size_and_hash_in_order(original: Path) -> None:
    objects = read_manifest(original)["objects"]
    files = sorted(path.name for path in original.iterdir() if path.name != MANIFEST_NAME)
    assert [entry["path"] for entry in objects] == files
    for entry in objects:
        content = (original / entry["path"]).read_bytes()
        assert entry["size_bytes"] == len(content)
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()


def test_the_catalog_hash_depends_on_the_files_and_on_nothing_else(original: Path) -> None:
    objects = list_objects(original)
    assert read_manifest(original)["catalog_hash"] == catalog_hash(objects)
    for key, value in (("path", "other.csv"), ("size_bytes", 1), ("sha256", "0" * 64)):
        assert catalog_hash([{**objects[0], key: value}, *objects[1:]]) != catalog_hash(objects)


def test_the_same_inputs_give_the_same_bytes(original: Path, tmp_path: Path) -> None:
    market = nifty_slice()
    write_manifest(tmp_path, "backtrader", market, build_files(market, tmp_path), VERIFICATION)
    assert (tmp_path / MANIFEST_NAME).read_bytes() == (original / MANIFEST_NAME).read_bytes()


def test_the_keys_are_sorted_and_the_text_ends_with_one_newline(original: Path) -> None:
    text = (original / MANIFEST_NAME).read_text()
    assert list(json.loads(text)) == sorted(json.loads(text))
    assert text.endswith("}\n")


def test_an_export_as_it_was_published_has_no_differences(original: Path) -> None:
    assert check_manifest(original) == []


def test_a_changed_a_missing_and_an_added_file_are_each_told(root: Path) -> None:
    content = (root / FUTURE).read_bytes()
    (root / FUTURE).write_bytes(content.replace(b"24600.05", b"24600.06", 1))
    (root / "NIFTY_IDX_1m.csv").unlink()
    (root / "sub").mkdir()
    (root / "sub" / "tmp-1.csv").write_text("")
    differences = check_manifest(root)
    assert [line.split(":")[0] for line in differences] == [FUTURE, "NIFTY_IDX_1m.csv", "sub/tmp-1.csv"]
    assert f"expected {len(content)} bytes with sha256" in differences[0]
    assert differences[1].endswith("is missing")
    assert differences[2].endswith("is not in the manifest")


def test_a_folder_without_a_manifest_is_not_an_export(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"holds no _manifest\.json, so it is not one of our exports"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not readable as JSON"),
        ("[]", "does not say that it is a 'market-data-pipeline export'"),
        ('{"kind": "something else"}', "does not say that it is a 'market-data-pipeline export'"),
        ('{"kind": "market-data-pipeline export", "version": 2}', "has version 2, expected at most 1"),
    ],
)
def test_a_manifest_that_cannot_be_trusted_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / MANIFEST_NAME).write_text(text)
    with pytest.raises(ExportError, match=message):
        read_manifest(tmp_path)


@pytest.mark.parametrize("version", ["", '"version": "1",', '"version": null,'])
def test_a_manifest_without_a_version_that_is_a_number_is_refused(tmp_path: Path, version: str) -> None:
    (tmp_path / "_manifest.json").write_text(f'{{{version} "kind": "market-data-pipeline export"}}')
    with pytest.raises(ExportError, match="expected a number"):
        read_manifest(tmp_path)
