"""Objects up and down, one and thousands, and what the store is asked for them."""

from __future__ import annotations

import hashlib
import subprocess
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import StorageError
from pipeline_defs.storage.answers import Answer, Content, Upload
from pipeline_defs.storage.download import check_published, download_export
from pipeline_defs.storage.objects import PART_BYTES, ObjectStore
from pipeline_defs.storage.publish_objects import publish_objects
from pipeline_tests.storage.door import CUT, Door
from pipeline_tests.storage.exports import make_export

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.storage.locations import S3Location


def test_more_objects_than_a_page_lists_go_up_and_come_down_as_they_were(  # noqa: PLR0917 -- fixtures
    s3: Door,
    store: ObjectStore,
    base: S3Location,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    s3_address: dict[str, str],
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_address["AWS_ENDPOINT_URL_S3"])  # past the door, which costs time
    direct = ObjectStore.open()
    files = {f"data/bar/NIFTY{number:04}.NSE-1-MINUTE/part-0.parquet": b"%d" % number for number in range(1_010)}
    export = make_export(tmp_path / "export", files)
    report = publish_objects(direct, export, base)
    assert report.uploaded == 1_010

    s3.forget()
    assert check_published(store, base) == []
    assert s3.counted()["list"] == 2  # 1,010 objects, the manifest and publishing's own: more than a page
    download_export(direct, base, tmp_path / "copy")
    done = subprocess.run(["diff", "-r", export, tmp_path / "copy"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "export"]


def test_more_than_a_thousand_objects_are_deleted(s3: Door, store: ObjectStore, base: S3Location) -> None:
    store.each(lambda number: store.write(base / str(number), b""), range(30))
    everything = [*(base / str(number) for number in range(30)), *(base / f"not there {n}" for n in range(1_200))]
    s3.forget()
    store.delete_many(everything)
    assert s3.counted()["POST data"] == 2
    assert store.list_below(base) == {}


def test_a_large_object_goes_in_parts_and_comes_back_whole(
    s3: Door, store: ObjectStore, base: S3Location, tmp_path: Path
) -> None:
    data = bytes(range(256)) * (2 * PART_BYTES // 256) + b"and one more"
    (tmp_path / "large").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    store.upload(Upload(tmp_path / "large", base / "large", digest, len(data)))
    parts = [path for method, path in s3.passed if method == "PUT" and "partNumber=" in path]
    assert len(parts) == 3
    assert store.download(base / "large", tmp_path / "back") == digest
    assert (tmp_path / "back").read_bytes() == data
    head = store.client.head_object(Bucket=base.bucket, Key=f"{base.key}/large")
    assert head["Metadata"] == {"sha256": digest}
    store.copy(base / "large", base / "copy", len(data))
    assert store.digest(base / "copy") == digest


def test_the_store_refuses_bytes_that_are_not_those_that_were_named(
    store: ObjectStore, base: S3Location, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"changed since")
    with pytest.raises(StorageError, match="was changed while it was published"):
        store.upload(Upload(tmp_path / "file", base / "file", hashlib.sha256(b"before").hexdigest(), 13))
    assert store.list_below(base) == {}


def test_conditions_decide_whether_an_object_is_written(store: ObjectStore, base: S3Location) -> None:
    place = base / "lease"
    assert store.write(place, b"0", if_etag='"none"') is None
    first = store.write(place, b"1", if_absent=True)
    assert first is not None
    assert store.write(place, b"2", if_absent=True) is None
    second = store.write(place, b"2", if_etag=first)
    assert second not in {None, first}
    assert store.write(place, b"3", if_etag=first) is None
    content = store.read(place)
    assert isinstance(content, Content)
    assert (content.data, content.etag) == (b"2", second)
    assert 0 <= content.age_seconds < 60
    assert store.read(place, unless_etag=second) is Answer.UNCHANGED
    assert store.read(base / "other") is Answer.MISSING


def test_the_first_failure_ends_the_work_of_many(s3: Door, store: ObjectStore, base: S3Location) -> None:
    s3.fault = lambda _method, path: 403 if path.endswith("/7") else None
    with pytest.raises(StorageError, match="/7: "):
        store.each(lambda number: store.write(base / str(number), b""), range(500))
    assert len(s3.passed) < 400


def test_an_answer_that_breaks_off_is_asked_for_again(
    s3: Door, store: ObjectStore, base: S3Location, tmp_path: Path
) -> None:
    data = b"x" * 100_000
    store.write(base / "a", data)
    s3.forget()
    s3.fault = lambda _method, _path: CUT if len(s3.passed) < 2 else None
    assert store.download(base / "a", tmp_path / "a") == hashlib.sha256(data).hexdigest()
    assert s3.counted()["GET data"] == 3
    s3.fault = lambda _method, _path: CUT
    with pytest.raises(StorageError, match="cannot be reached"):
        store.download(base / "a", tmp_path / "a")


def test_what_was_not_deleted_is_said(store: ObjectStore, base: S3Location, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = {"Errors": [{"Key": f"{base.key}/a", "Code": "AccessDenied", "Message": "no"}]}
    monkeypatch.setattr(store.client, "delete_objects", lambda **_: refused)
    with pytest.raises(StorageError, match="1 objects were not deleted, the first for AccessDenied"):
        store.delete_many([base / "a"])


def test_a_large_object_of_which_a_part_is_refused_is_an_error_that_names_it(
    s3: Door, store: ObjectStore, base: S3Location, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(bytes(PART_BYTES + 1))
    s3.fault = lambda _method, path: 503 if "partNumber=2" in path else None
    with pytest.raises(StorageError, match="market data/large: the store failed with 503"):
        store.upload(Upload(tmp_path / "large", base / "large", "0" * 64, PART_BYTES + 1))
    assert store.list_below(base) == {}
    assert "Uploads" not in store.client.list_multipart_uploads(Bucket=base.bucket)  # what arrived is not left there
