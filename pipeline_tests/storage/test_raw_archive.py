"""What was delivered is kept as it came, under its digest, and nothing is ever overwritten."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import io
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.errors import StorageError
from pipeline_defs.settings import Settings
from pipeline_defs.storage.raw_archive import RawArchive, holds_contents, open_raw_archive

if TYPE_CHECKING:
    from pipeline_defs.storage.locations import Location, S3Location
    from pipeline_defs.storage.objects import ObjectStore
    from pipeline_tests.storage.door import Door

DAY = dt.date(2025, 8, 14)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(params=["folder", "object store"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> RawArchive:
    if request.param == "folder":
        return RawArchive(tmp_path / "archive", "nse_csv")
    base: Location = request.getfixturevalue("base")
    return RawArchive(base, "nse_csv", request.getfixturevalue("store"))


def test_deliveries_of_one_name_and_other_bytes_lie_beside_each_other(archive: RawArchive, tmp_path: Path) -> None:
    file = tmp_path / "GFDLNFO_14082025.csv"
    for age, data in enumerate((b"first", b"corrected", b"first")):
        file.write_bytes(data)
        os.utime(file, (age, age))
        archive.keep(str(file), DAY)
    kept = {found.sha256: found for found in archive.files()}
    assert set(kept) == {digest(b"first"), digest(b"corrected")}
    for data in (b"first", b"corrected"):
        found = kept[digest(data)]
        assert str(found.place) == f"{archive.base}/raw/nse_csv/08-2025/{digest(data)}/{file.name}"
        archive.fetch(found, tmp_path / "back" / "there.csv")
        assert (tmp_path / "back" / "there.csv").read_bytes() == data


def test_a_file_without_a_date_is_kept_by_its_time_stamp(archive: RawArchive, tmp_path: Path) -> None:
    (tmp_path / "undated.csv").write_bytes(b"rows")
    os.utime(tmp_path / "undated.csv", (1.7e9, 1.7e9))
    archive.keep(str(tmp_path / "undated.csv"), None)
    (found,) = archive.files()
    assert "/raw/nse_csv/11-2023/" in str(found.place)


def test_a_damaged_archive_is_noticed(archive: RawArchive, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"rows")
    archive.keep(str(tmp_path / "a.csv"), DAY)
    (found,) = archive.files()
    if isinstance(found.place, Path):
        assert found.place.stat().st_mode & 0o222 == 0
        found.place.chmod(0o644)
        found.place.write_bytes(b"bad")
    else:
        archive.store.write(found.place, b"bad")
    with pytest.raises(StorageError, match=f"expected sha256 {digest(b'rows')}, found {digest(b'bad')}"):
        archive.fetch(found, tmp_path / "back.csv")


def test_what_is_there_already_is_not_sent_again(
    s3: Door, store: ObjectStore, base: S3Location, tmp_path: Path
) -> None:
    for number in range(5):
        (tmp_path / f"{number}.csv").write_bytes(b"rows %d" % number)
    for _ in range(2):
        s3.forget()
        archive = RawArchive(base, "nse_csv", store)
        for number in [*range(5), *range(5)]:
            archive.keep(str(tmp_path / f"{number}.csv"), DAY)
    assert s3.counted() == {"list": 1}


def test_what_cannot_be_kept_is_an_error_and_leaves_nothing_half_there(tmp_path: Path) -> None:
    archive = RawArchive(tmp_path / "archive", "nse_csv")
    with pytest.raises(StorageError, match="cannot be read: No such file"):
        archive.keep(str(tmp_path / "none.csv"), DAY)
    (tmp_path / "a.csv").write_bytes(b"rows")
    (tmp_path / "archive").write_text("a file in the way")
    with pytest.raises(StorageError, match="cannot be kept") as caught:
        archive.keep(str(tmp_path / "a.csv"), DAY)
    assert "PIPELINE_RAW_ARCHIVE" in str(caught.value)


def test_a_file_that_changes_while_it_is_kept_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_bytes(b"rows")
    monkeypatch.setattr("pipeline_defs.storage.raw_archive.shutil.copyfileobj", lambda *_: None)
    archive = RawArchive(tmp_path / "archive", "nse_csv")
    with pytest.raises(StorageError, match="was changed while it was kept"):
        archive.keep(str(tmp_path / "a.csv"), DAY)
    assert [path for path in (tmp_path / "archive").rglob("*") if path.is_file()] == []


def test_without_the_setting_there_is_no_archive(tmp_path: Path) -> None:
    assert open_raw_archive(Settings(tmp_path, None), "nse_csv") is None
    archive = open_raw_archive(Settings(tmp_path, None, raw_archive=str(tmp_path)), "nse_csv")
    assert archive is not None
    assert archive.base == tmp_path


def packed(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.mkdir("folder")
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@given(st.binary(max_size=50), st.binary(max_size=50), st.binary(min_size=51, max_size=60))
def test_contents_are_found_however_they_are_packed(first: bytes, second: bytes, absent: bytes) -> None:
    inner = packed({"second.csv.gz": gzip.compress(second)})
    outer = packed({"a/first.csv": first, "inner.zip": inner})
    folder = Path(os.environ["PIPELINE_HOME"])
    for name, data, wanted in (
        ("plain.csv", first, {digest(first)}),
        ("first.csv.gz", gzip.compress(first), {digest(first)}),
        ("outer.zip", outer, {digest(first), digest(second)}),
        ("outer.zip", outer, {digest(outer)}),
    ):
        (folder / name).write_bytes(data)
        assert holds_contents(folder / name, wanted)
        assert not holds_contents(folder / name, wanted | {digest(absent)})


@pytest.mark.parametrize("name", ["broken.zip", "broken.csv.gz"])
def test_what_cannot_be_unpacked_holds_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK or not")
    assert not holds_contents(tmp_path / name, {digest(b"rows")})


def test_what_a_process_killed_while_keeping_a_file_left_is_written_over_and_does_not_stay(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"rows")
    program = (
        "import datetime, os, signal, sys\n"
        "from pathlib import Path\n"
        "from pipeline_defs.storage.raw_archive import RawArchive\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "RawArchive(Path(sys.argv[1]), 'nse_csv').keep(sys.argv[2], datetime.date(2025, 8, 13))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "archive"), str(tmp_path / "a.csv")]
    for _ in range(2):
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert len([path for path in (tmp_path / "archive").rglob("*") if path.is_file()]) == 1

    (tmp_path / "b.csv").write_bytes(b"other rows")
    RawArchive(tmp_path / "archive", "nse_csv").keep(str(tmp_path / "b.csv"), DAY)
    assert [path.name for path in (tmp_path / "archive").rglob("*") if path.is_file()] == ["b.csv"]
    (tmp_path / "archive").rename(tmp_path / "other")

    archive = RawArchive(tmp_path / "archive", "nse_csv")
    archive.keep(str(tmp_path / "a.csv"), DAY)

    (kept,) = (path for path in (tmp_path / "archive").rglob("*") if path.is_file())
    assert (kept.name, kept.read_bytes()) == ("a.csv", b"rows")
