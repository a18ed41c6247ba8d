"""The read cache: nothing asked for twice, never too much, never what somebody reads, never half a catalog."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import StorageError
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_defs.storage.cache import CatalogCache, cached_catalog
from pipeline_defs.storage.contents import read_contents_of
from pipeline_defs.storage.publish_objects import publish_objects
from pipeline_tests.storage.exports import files_of, make_export

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.storage.locations import S3Location
    from pipeline_defs.storage.objects import ObjectStore
    from pipeline_tests.storage.door import Door

MANY = 1 << 30
FILES = {f"data/{number}.parquet": b"%d" % number * 10 for number in range(6)}
READER = (
    "import sys; from pathlib import Path\n"
    "from pipeline_defs.storage.cache import CatalogCache\n"
    "from pipeline_defs.storage.locations import parse_s3\n"
    "with CatalogCache(Path(sys.argv[1]), 1 << 30).open(parse_s3(sys.argv[2])) as folder:\n"
    "    print(folder, flush=True)\n"
    "    sys.stdin.read()\n"
)


@pytest.fixture
def export(store: ObjectStore, base: S3Location, tmp_path: Path) -> Path:
    folder = make_export(tmp_path / "export", FILES)
    publish_objects(store, folder, base)
    return folder


@pytest.fixture
def cache(store: ObjectStore, tmp_path: Path) -> CatalogCache:
    return CatalogCache(tmp_path / "cache", MANY, store)


def catalogs_in(cache: CatalogCache) -> list[Path]:
    return [path for path in cache.folder.iterdir() if path.is_dir()]


def test_a_second_read_asks_for_the_manifest_and_for_no_data(
    s3: Door, base: S3Location, cache: CatalogCache, export: Path
) -> None:
    s3.forget()
    with cache.open(base) as folder:
        assert files_of(folder) == files_of(export)
        assert s3.counted() == {"GET own": 1, "GET data": 6}
    s3.forget()
    with cache.open(base) as again:
        assert again == folder
        assert s3.counted() == {"GET own": 1}
    (copy,) = cache.catalogs()
    assert (copy.url, copy.is_complete, copy.size_bytes) == (str(base), True, read_contents_of(export).size_bytes)


def test_a_correction_is_seen_at_once_and_only_what_changed_is_fetched(  # noqa: PLR0917 -- fixtures
    s3: Door, store: ObjectStore, base: S3Location, cache: CatalogCache, export: Path, tmp_path: Path
) -> None:
    with cache.open(base) as before:
        publish_objects(store, make_export(tmp_path / "new", {**FILES, "data/3.parquet": b"corrected"}), base)
        s3.forget()
        with cache.open(base) as after:
            assert s3.counted() == {"GET own": 1, "GET data": 1}
            assert files_of(after) == files_of(tmp_path / "new")
            assert files_of(before) == files_of(export)  # for who reads it, nothing changes
        assert len(catalogs_in(cache)) == 2
    with cache.open(base):
        pass
    publish_objects(store, make_export(tmp_path / "new", FILES), base)
    with cache.open(base) as third:
        assert catalogs_in(cache) == [third]  # what nobody reads and nobody will ask for again is gone


def test_files_of_a_copy_cannot_be_written_by_accident(base: S3Location, cache: CatalogCache, export: Path) -> None:
    assert export.exists()
    with cache.open(base) as folder:
        modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*.parquet")}
    assert modes == {0o444}


def test_a_copy_that_lost_a_file_is_completed(s3: Door, base: S3Location, cache: CatalogCache, export: Path) -> None:
    with cache.open(base) as folder:
        pass
    (folder / "data/2.parquet").unlink()
    s3.forget()
    with cache.open(base) as again:
        assert files_of(again) == files_of(export)
        assert s3.counted()["GET data"] == 1


def publish_months(store: ObjectStore, base: S3Location, tmp_path: Path, count: int) -> list[S3Location]:
    months = [base / f"2025-{number:02}" for number in range(1, count + 1)]
    for month in months:
        publish_objects(store, make_export(tmp_path / "month", {"data.parquet": b"x" * 10_000}, at=str(month)), month)
    return months


def used_in_order(cache: CatalogCache) -> None:
    """Set the times of use apart, which a test is too fast for."""
    for age, copy in enumerate(reversed(cache.catalogs())):
        os.utime(cache.folder / f"{copy.name}.json", (1e9 - age, 1e9 - age))


def test_what_was_used_longest_ago_goes_first_and_never_what_is_being_read(
    store: ObjectStore, base: S3Location, tmp_path: Path
) -> None:
    first, second, third, fourth = publish_months(store, base, tmp_path, 4)
    cache = CatalogCache(tmp_path / "cache", 25_000, store)
    with cache.open(first) as read_now:
        with cache.open(second):
            used_in_order(cache)
        with cache.open(third):
            assert {copy.url for copy in cache.catalogs()} == {str(first), str(third)}
            with pytest.raises(StorageError, match="are being read") as caught, cache.open(fourth):
                pass
            assert "PIPELINE_CACHE_GIB" in str(caught.value)
        assert (read_now / "data.parquet").exists()
        with cache.open(fourth):
            assert {copy.url for copy in cache.catalogs()} == {str(first), str(fourth)}
    assert sum(copy.size_bytes for copy in cache.catalogs()) <= 25_000


def test_a_catalog_larger_than_the_cache_is_refused_before_anything_is_fetched(
    s3: Door, store: ObjectStore, base: S3Location, tmp_path: Path, export: Path
) -> None:
    s3.forget()
    cache = CatalogCache(tmp_path / "cache", read_contents_of(export).size_bytes - 1, store)
    with pytest.raises(StorageError, match="more than the cache may hold"), cache.open(base):
        pass
    assert s3.counted()["GET data"] == 0
    assert cache.catalogs() == []


def test_readers_at_once_fetch_a_catalog_once(s3: Door, base: S3Location, cache: CatalogCache, export: Path) -> None:
    s3.forget()

    def read(_number: int) -> dict[str, bytes]:
        with cache.open(base) as folder:
            return files_of(folder)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(read, range(4))) == [files_of(export)] * 4
    assert s3.counted()["GET data"] == 6


def test_another_processs_catalog_is_not_removed_until_it_ends_or_is_killed(
    base: S3Location, cache: CatalogCache, export: Path
) -> None:
    command = [sys.executable, "-c", READER, str(cache.folder), str(base)]
    with subprocess.Popen(
        command, cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        folder = cache.folder / reader.stdout.readline().strip()
        assert files_of(folder) == files_of(export)
        removed, kept = cache.clear()
        assert (len(removed), len(kept)) == (0, 1)
        assert files_of(folder) == files_of(export)
        reader.send_signal(signal.SIGKILL)
    removed, kept = cache.clear()
    assert (len(removed), len(kept)) == (1, 0)
    assert not folder.exists()
    assert [path.name for path in cache.folder.iterdir()] == ["lock"]


def test_a_download_killed_on_its_way_is_never_seen_and_is_gone_on_with(
    s3: Door, base: S3Location, cache: CatalogCache, export: Path
) -> None:
    reached, go_on = threading.Event(), threading.Event()
    count = iter(range(100))

    def hold(method: str, path: str) -> threading.Event | None:
        if method == "GET" and "/data/" in path and next(count) >= 3:
            reached.set()
            return go_on
        return None

    s3.fault = hold
    with subprocess.Popen(
        [sys.executable, "-c", READER, cache.folder, str(base)], cwd=PROJECT_ROOT, stdin=subprocess.PIPE
    ) as reader:
        assert reached.wait(30)
        while len(list(cache.folder.glob("*.partial/data/*.parquet"))) < 3:
            assert reader.poll() is None
        reader.send_signal(signal.SIGKILL)
    s3.fault = lambda _method, _path: None
    go_on.set()
    assert [copy.is_complete for copy in cache.catalogs()] == [False]
    s3.forget()
    with cache.open(base) as folder:
        assert files_of(folder) == files_of(export)
        assert s3.counted()["GET data"] == 3


def test_an_export_that_is_not_there_is_an_error_and_leaves_nothing(base: S3Location, cache: CatalogCache) -> None:
    with pytest.raises(StorageError, match="there is no export of ours"), cache.open(base):
        pass
    assert cache.catalogs() == []


def test_a_damaged_object_is_an_error_and_no_catalog(
    store: ObjectStore, base: S3Location, cache: CatalogCache, export: Path
) -> None:
    assert export.exists()
    store.write(base / "data/1.parquet", b"damaged")
    with (
        pytest.raises(StorageError, match=r"1 objects are not as the manifest says: data/1\.parquet"),
        cache.open(base),
    ):
        pass
    assert [copy.is_complete for copy in cache.catalogs()] == [False]
    assert cache.clear()[1] == []


def test_an_export_replaced_twice_while_it_is_fetched_is_fetched_again(  # noqa: PLR0917 -- fixtures
    s3: Door, store: ObjectStore, base: S3Location, cache: CatalogCache, export: Path, tmp_path: Path
) -> None:
    assert export.exists()
    newest = make_export(tmp_path / "newest", {path: data + b"!!" for path, data in FILES.items()})

    def replace_twice(method: str, path: str) -> None:
        if method == "GET" and path.endswith("/data/0.parquet"):
            s3.fault = lambda _method, _path: None
            publish_objects(store, make_export(tmp_path / "newer", {p: d + b"!" for p, d in FILES.items()}), base)
            publish_objects(store, newest, base)

    s3.fault = replace_twice
    with cache.open(base) as folder:
        assert files_of(folder) == files_of(newest)


def test_the_cache_of_the_settings_is_found_by_a_url(
    s3: Door, base: S3Location, export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert s3.url
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    with cached_catalog(str(base)) as folder:
        assert folder.is_relative_to(tmp_path / "home" / "cache")
        assert files_of(folder) == files_of(export)
