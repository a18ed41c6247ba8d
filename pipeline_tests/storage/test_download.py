"""A download is every byte of what was published, or an error, and goes on where it was broken off."""

from __future__ import annotations

import fcntl
import json
import os
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import ExportError, StorageError
from pipeline_defs.storage.contents import MANIFEST_NAME, parse_contents, read_contents_of
from pipeline_defs.storage.download import check_published, download_export, list_exports
from pipeline_defs.storage.publish_objects import publish_objects
from pipeline_tests.storage.exports import files_of, make_export

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.storage.locations import S3Location
    from pipeline_defs.storage.objects import ObjectStore
    from pipeline_tests.storage.door import Door

FILES = {f"data/{number}.parquet": b"%d" % number for number in range(8)}


@pytest.fixture
def export(store: ObjectStore, base: S3Location, tmp_path: Path) -> Path:
    folder = make_export(tmp_path / "export", FILES)
    publish_objects(store, folder, base)
    return folder


def test_a_download_that_failed_goes_on_where_it_was(
    s3: Door, store: ObjectStore, base: S3Location, export: Path, tmp_path: Path
) -> None:
    s3.fault = lambda _method, path: 403 if "/data/7" in path else None
    with pytest.raises(StorageError, match=r"access is denied|the store refused"):
        download_export(store, base, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    fetched = len(list((tmp_path / ".copy.partial").rglob("*.parquet")))
    assert fetched == 7
    s3.fault = lambda _method, _path: None
    s3.forget()
    download_export(store, base, tmp_path / "copy")
    assert s3.counted() == {"GET own": 1, "GET data": 1}
    assert files_of(tmp_path / "copy") == files_of(export)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "export"]


def test_a_download_replaces_an_older_copy_and_nothing_else(
    store: ObjectStore, base: S3Location, export: Path, tmp_path: Path
) -> None:
    make_export(tmp_path / "copy", {"old": b"old"})
    download_export(store, base, tmp_path / "copy")
    assert files_of(tmp_path / "copy") == files_of(export)
    (tmp_path / "copy" / "notes.txt").write_text("mine")
    with pytest.raises(ExportError, match=r"notes\.txt"):
        download_export(store, base, tmp_path / "copy")


def test_two_downloads_of_one_folder_do_not_mix(
    store: ObjectStore, base: S3Location, export: Path, tmp_path: Path
) -> None:
    assert export.exists()
    (tmp_path / ".copy.partial").mkdir()
    other = os.open(tmp_path / ".copy.partial", os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(StorageError, match="is being downloaded by another process"):
        download_export(store, base, tmp_path / "copy")
    os.close(other)


def test_every_kind_of_difference_is_found(store: ObjectStore, base: S3Location, export: Path) -> None:
    assert export.exists()
    store.write(base / "data/0.parquet", b"x")
    store.write(base / "data/1.parquet", b"longer")
    store.write(base / "extra", b"")
    store.delete_many([base / "data/2.parquet"])
    assert check_published(store, base) == [
        "data/0.parquet: is not the object that was published",
        "data/1.parquet: expected 1 bytes, found 6",
        "data/2.parquet: is missing",
        "extra: is not in the manifest",
    ]
    (line, *_) = check_published(store, base, deep=True)
    assert line.startswith("data/0.parquet: expected sha256 5feceb66")


def test_exports_are_listed_with_what_they_hold(store: ObjectStore, base: S3Location, tmp_path: Path) -> None:
    months = [base / "catalogs" / "nautilus" / "NIFTY" / month for month in ("2025-08", "2025-09")]
    for month in months:
        publish_objects(store, make_export(tmp_path / "export", FILES, at=str(month)), month)
    store.write(base / "catalogs" / "notes.txt", b"not of an export")
    size = read_contents_of(tmp_path / "export").size_bytes
    assert list_exports(store, base / "catalogs") == [(month, 9, size) for month in months]
    assert list_exports(store, months[0]) == [(months[0], 9, size)]
    assert list_exports(store, base / "raw") == []
    with pytest.raises(StorageError, match="there is no export of ours"):
        check_published(store, base / "catalogs")


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a//b", "a/./b", "", "a\\b", "_publication/lease.json", MANIFEST_NAME]
)
def test_a_manifest_that_names_a_place_outside_is_refused(path: str) -> None:
    objects = [{"path": path, "sha256": "", "size_bytes": 0}]
    manifest = json.dumps({"kind": "market-data-pipeline export", "objects": objects})
    with pytest.raises(StorageError, match="is not the manifest of an export"):
        parse_contents(manifest.encode(), "here")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "market-data-pipeline export", "objects": [1]}', "\xff"])
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(StorageError, match="here: is not the manifest of an export"):
        parse_contents(text.encode("latin-1"), "here")


def test_a_folder_without_a_manifest_is_not_an_export(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"holds no readable _manifest\.json"):
        read_contents_of(tmp_path)
