"""A published prefix is what its manifest says, whoever else is at work and whenever a publisher dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import ExportError, StorageError
from pipeline_defs.exports.manifest import MANIFEST_NAME as OF_EXPORTS
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_defs.storage.contents import MANIFEST_NAME, read_contents_of
from pipeline_defs.storage.download import check_published, download_export, fetch, read_published
from pipeline_defs.storage.publish_objects import ASIDE, ETAGS, INCOMING, LEASE, Publication, look, publish_objects
from pipeline_tests.storage.exports import files_of, make_export

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.storage.locations import S3Location
    from pipeline_defs.storage.objects import ObjectStore
    from pipeline_tests.storage.door import Door

OLD = {f"data/{number}.parquet": b"old %d" % number for number in range(5)}
NEW = {**OLD, "data/1.parquet": b"new 1", "data/2.parquet": b"new 2", "data/9.parquet": b"new 9"}
NEW.pop("data/4.parquet")
PROGRAM = (
    "import sys; from pathlib import Path\n"
    "from pipeline_defs.storage.locations import parse_s3\n"
    "from pipeline_defs.storage.objects import ObjectStore\n"
    "from pipeline_defs.storage.publish_objects import publish_objects\n"
    "publish_objects(ObjectStore.open(concurrency=1), Path(sys.argv[1]), parse_s3(sys.argv[2]))\n"
)


def plain_paths(store: ObjectStore, prefix: S3Location) -> list[str]:
    return [path for path in store.list_below(prefix) if not path.startswith("_publication/")]


def test_storage_and_exports_mean_the_same_file_by_the_manifest() -> None:
    assert MANIFEST_NAME == OF_EXPORTS


def test_an_export_lies_under_plain_paths_and_is_read_as_it_was(
    store: ObjectStore, base: S3Location, tmp_path: Path
) -> None:
    export = make_export(tmp_path / "export", OLD)
    assert publish_objects(store, export, base) == Publication(uploaded=5, unchanged=0, removed=0)
    assert plain_paths(store, base) == [MANIFEST_NAME, *OLD]
    assert check_published(store, base, deep=True) == []
    download_export(store, base, tmp_path / "copy")
    assert files_of(tmp_path / "copy") == files_of(export)


def test_the_same_export_again_sends_nothing(s3: Door, store: ObjectStore, base: S3Location, tmp_path: Path) -> None:
    export = make_export(tmp_path / "export", OLD)
    publish_objects(store, export, base)
    s3.forget()
    assert publish_objects(store, export, base) == Publication(uploaded=0, unchanged=5, removed=0)
    assert {method for method, _ in s3.passed} == {"GET"}


def test_a_correction_sends_only_what_changed_and_removes_what_is_gone(
    s3: Door, store: ObjectStore, base: S3Location, tmp_path: Path
) -> None:
    publish_objects(store, make_export(tmp_path / "export", OLD), base)
    s3.forget()
    report = publish_objects(store, make_export(tmp_path / "export", NEW), base)
    assert report == Publication(uploaded=3, unchanged=2, removed=1)
    sent = [path for method, path in s3.passed if method == "PUT" and f"/{ASIDE}" in path]
    assert len(sent) == 3
    assert [path for method, path in s3.passed if method == "PUT" and "/data/" in path] == []
    assert [path for method, path in s3.passed if "/data/0.parquet" in path or "/data/3.parquet" in path] == []
    assert plain_paths(store, base) == [MANIFEST_NAME, *sorted(NEW)]
    assert check_published(store, base, deep=True) == []


def test_whoever_read_the_old_manifest_finds_its_objects_after_a_correction(
    store: ObjectStore, base: S3Location, tmp_path: Path
) -> None:
    publish_objects(store, make_export(tmp_path / "old", OLD), base)
    contents, _ = read_published(store, base)
    publish_objects(store, make_export(tmp_path / "new", NEW), base)
    fetch(store, base, contents, tmp_path / "copy")
    assert files_of(tmp_path / "copy") == files_of(tmp_path / "old")


def test_what_lies_aside_is_gone_with_the_publication_after_next(
    store: ObjectStore, base: S3Location, tmp_path: Path
) -> None:
    for number in range(4):
        publish_objects(store, make_export(tmp_path / "export", {"a": b"%d" % number, "b": b"same"}), base)
    assert len([path for path in store.list_below(base) if path.startswith(ASIDE)]) == 1
    assert INCOMING not in store.list_below(base)
    assert LEASE not in store.list_below(base)


def test_only_provenance_changed_sends_only_the_manifest(
    s3: Door, store: ObjectStore, base: S3Location, tmp_path: Path
) -> None:
    publish_objects(store, make_export(tmp_path / "export", OLD), base)
    s3.forget()
    report = publish_objects(store, make_export(tmp_path / "export", OLD, load_ids=[7]), base)
    assert report == Publication(uploaded=0, unchanged=5, removed=0)
    assert [path for method, path in s3.passed if method in {"PUT", "COPY"} and "_publication" not in path] == [
        f"/{base.bucket}/market%20data/{MANIFEST_NAME}"
    ]
    assert json.loads(read_published(store, base)[0].manifest)["load_ids"] == [7]


def test_objects_that_somebody_damaged_or_lost_are_made_whole(
    store: ObjectStore, base: S3Location, tmp_path: Path
) -> None:
    export = make_export(tmp_path / "export", OLD)
    publish_objects(store, export, base)
    store.write(base / "data/0.parquet", b"bad 0")  # of the same size
    store.delete_many([base / "data/1.parquet"])
    assert check_published(store, base) == [
        "data/0.parquet: is not the object that was published",
        "data/1.parquet: is missing",
    ]
    assert publish_objects(store, export, base).uploaded == 2
    assert check_published(store, base, deep=True) == []


def test_a_lost_record_of_etags_costs_an_upload_and_nothing_else(
    store: ObjectStore, base: S3Location, tmp_path: Path
) -> None:
    export = make_export(tmp_path / "export", OLD)
    publish_objects(store, export, base)
    store.write(base / ETAGS, b"[not json")
    assert publish_objects(store, export, base).uploaded == 5
    assert check_published(store, base, deep=True) == []


@pytest.mark.parametrize("has_export", [True, False])
def test_objects_of_strangers_are_never_replaced_or_removed(
    s3: Door, store: ObjectStore, base: S3Location, tmp_path: Path, *, has_export: bool
) -> None:
    if has_export:
        publish_objects(store, make_export(tmp_path / "export", OLD), base)
    store.write(base / "results/thesis.txt", b"years of work")
    store.write(base / "results/.DS_Store", b"")
    s3.forget()
    with pytest.raises(ExportError, match=r"holds 1 files .*: results/thesis\.txt$|holds 1 files .*thesis"):
        publish_objects(store, make_export(tmp_path / "export", NEW), base)
    assert {method for method, _ in s3.passed} == {"GET"}


def test_a_manifest_of_somebody_else_is_not_replaced(store: ObjectStore, base: S3Location, tmp_path: Path) -> None:
    store.write(base / MANIFEST_NAME, b'{"kind": "something else", "objects": []}')
    with pytest.raises(StorageError, match="is not the manifest of an export"):
        publish_objects(store, make_export(tmp_path / "export", NEW), base)


def test_two_publishers_queue_and_the_prefix_holds_one_of_their_exports_whole(
    store: ObjectStore, base: S3Location, tmp_path: Path
) -> None:
    exports = [
        make_export(tmp_path / str(number), {f"{name}.parquet": b"%d %d" % (number, name) for name in range(6)})
        for number in range(3)
    ]
    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(lambda export: publish_objects(store, export, base), exports))
    assert all(report.uploaded == 6 for report in reports)
    assert check_published(store, base, deep=True) == []
    contents, _ = read_published(store, base)
    assert contents.manifest in {read_contents_of(export).manifest for export in exports}


def test_a_publisher_that_does_not_get_its_turn_says_whose_it_is(
    s3: Door, store: ObjectStore, base: S3Location, tmp_path: Path
) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def hold(method: str, path: str) -> threading.Event | None:
        if method == "PUT" and "/data/" in path:
            reached.set()
            return go_on
        return None

    s3.fault = hold
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(publish_objects, store, make_export(tmp_path / "old", OLD), base)
        reached.wait(20)
        with pytest.raises(StorageError, match=f"another publisher is at work: process {os.getpid()} on "):
            publish_objects(store, make_export(tmp_path / "new", NEW), base, wait_seconds=0)
        s3.fault = lambda _method, _path: None
        go_on.set()
        first.result()
    assert check_published(store, base) == []


def test_a_manifest_written_by_another_hand_meanwhile_is_not_overwritten(
    s3: Door, store: ObjectStore, base: S3Location, tmp_path: Path
) -> None:
    publish_objects(store, make_export(tmp_path / "old", OLD), base)
    intruder = make_export(tmp_path / "intruder", OLD, by="another tool")

    def intrude(method: str, path: str) -> None:
        if method == "PUT" and path.endswith(ETAGS):
            s3.fault = lambda _method, _path: None
            store.write(base / MANIFEST_NAME, (intruder / MANIFEST_NAME).read_bytes())

    s3.fault = intrude
    with pytest.raises(StorageError, match="somebody else has written the manifest"):
        publish_objects(store, make_export(tmp_path / "new", NEW), base)
    assert read_published(store, base)[0].manifest == (intruder / MANIFEST_NAME).read_bytes()


def test_objects_that_vanish_before_the_manifest_is_written_keep_it_from_being_written(
    s3: Door, store: ObjectStore, base: S3Location, tmp_path: Path
) -> None:
    def lose(method: str, path: str) -> None:
        if method == "PUT" and path.endswith("/data/3.parquet"):
            return
        if method == "GET" and "list-type" in path and any("/data/4" in p for m, p in s3.passed if m == "PUT"):
            s3.fault = lambda _method, _path: None
            store.delete_many([base / "data/3.parquet"])

    s3.fault = lose
    with pytest.raises(StorageError, match=r"1 objects are not there as they were sent, the first data/3\.parquet"):
        publish_objects(store, make_export(tmp_path / "old", OLD), base)
    assert MANIFEST_NAME not in store.list_below(base)


def is_write(step: str, method: str, path: str) -> bool:
    if step == "first object aside":
        return method == "PUT" and f"/{ASIDE}" in path
    if step == "second copy into place":
        return method == "PUT" and path.endswith("/data/2.parquet")
    if step == "removal of strays":
        return method == "POST"
    if step == "manifest":
        return method == "PUT" and path.endswith(f"/{MANIFEST_NAME}")
    return False


@pytest.mark.parametrize("step", ["first object aside", "second copy into place", "removal of strays", "manifest"])
def test_killed_at_any_step_the_old_export_is_whole_for_readers_of_its_manifest(
    s3: Door, store: ObjectStore, base: S3Location, tmp_path: Path, step: str
) -> None:
    old, new = make_export(tmp_path / "old", OLD), make_export(tmp_path / "new", NEW)
    publish_objects(store, old, base)
    kill_at(s3, base, new, step)

    download_export(store, base, tmp_path / "copy")
    assert files_of(tmp_path / "copy") == files_of(old)
    publish_objects(store, new, base)  # without a wait: the one whose turn it was is dead
    assert check_published(store, base, deep=True) == []
    download_export(store, base, tmp_path / "copy")
    assert files_of(tmp_path / "copy") == files_of(new)
    assert plain_paths(store, base) == [MANIFEST_NAME, *sorted(NEW)]


def test_what_a_killed_first_publication_left_is_not_taken_for_a_strangers(
    s3: Door, store: ObjectStore, base: S3Location, tmp_path: Path
) -> None:
    other = {f"data/{number}.parquet": b"other" for number in (2, 7, 8)}
    kill_at(s3, base, make_export(tmp_path / "other", other), "second copy into place")
    with pytest.raises(StorageError, match="there is no export of ours"):
        download_export(store, base, tmp_path / "copy")
    kill_at(s3, base, make_export(tmp_path / "new", NEW), "second copy into place")
    store.write(base / "data/7.parquet", b"other")
    publish_objects(store, make_export(tmp_path / "old", OLD), base)
    assert plain_paths(store, base) == [MANIFEST_NAME, *OLD]
    assert check_published(store, base, deep=True) == []


def kill_at(s3: Door, base: S3Location, export: Path, step: str) -> None:
    """Publish in a process of its own, and kill it while the store has not yet answered one of its requests."""
    reached, go_on = threading.Event(), threading.Event()

    def hold(method: str, path: str) -> threading.Event | None:
        if is_write(step, method, path):
            reached.set()
            return go_on
        return None

    s3.fault = hold
    with subprocess.Popen([sys.executable, "-c", PROGRAM, export, str(base)], cwd=PROJECT_ROOT) as process:
        assert reached.wait(30)
        process.send_signal(signal.SIGKILL)
    s3.fault = lambda _method, _path: None
    go_on.set()


def test_a_site_without_anything_is_seen_as_such(store: ObjectStore, base: S3Location) -> None:
    site = look(store, base)
    assert (site.listing, site.published, site.manifest_etag, site.incoming, site.etags) == (
        {},
        None,
        None,
        frozenset(),
        {},
    )
