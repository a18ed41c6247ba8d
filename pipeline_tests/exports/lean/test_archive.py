from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.lean.archive import ZipFolder, compression_library

if TYPE_CHECKING:
    from pathlib import Path


def test_the_bytes_of_a_zip_depend_on_its_entries_alone(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        with ZipFolder(tmp_path / name) as zips:
            zips.write("a/b.zip", "one.csv", b"1,2\n")
            zips.write("c.zip", "three.csv", memoryview(b"3\n"))
            zips.write("a/b.zip", "two.csv", b"2\n")
    assert zips.paths == ["a/b.zip", "c.zip"]
    assert zips.entries == 3
    assert (tmp_path / "first/a/b.zip").read_bytes() == (tmp_path / "second/a/b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "first/a/b.zip") as archive:
        assert archive.namelist() == ["one.csv", "two.csv"]
        assert archive.read("one.csv") == b"1,2\n"
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_an_entry_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with ZipFolder(tmp_path) as zips:
        zips.write("a.zip", "one.csv", b"1\n")
        with pytest.raises(ExportError, match=r"a\.zip#one\.csv: the bars of one instrument and day came twice"):
            zips.write("a.zip", "one.csv", b"1\n")


def test_the_library_that_compresses_is_named_with_its_version() -> None:
    assert compression_library().startswith("zlib 1.")
