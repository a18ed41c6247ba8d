from __future__ import annotations

import errno
import gzip
import io
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline_defs.errors import SourceError
from pipeline_defs.sources.nse_csv import entries
from pipeline_defs.sources.nse_csv.archives import Archives
from pipeline_defs.sources.nse_csv.gzipped import ArchiveLimits

type Zipped = Callable[[dict[str, bytes | str]], bytes]
type Write = Callable[..., Path]

CONTENT = b"a,b\n1,2\n"


def listing_of(path: Path, limits: ArchiveLimits | None = None) -> tuple[dict[str, bytes], dict[str, list[str]]]:
    """Read everything below a path: member (or path) to bytes, and the labels of what was left out."""
    with Archives(limits or ArchiveLimits()) as archives:
        listing = archives.list_files(path)
        contents = {entry.member or entry.path: archives.read(entry)[:] for entry in listing.entries}
        left_out = {
            kind: [entry.member or entry.path for entry in getattr(listing, kind)]
            for kind in ("unsafe", "empty_archives", "junk", "foreign")
        }
    return contents, left_out


def test_folder_is_walked_in_a_steady_order_through_zips_nested_zips_and_gzip(
    tmp_path: Path, write: Write, zipped: Zipped
) -> None:
    write("b/z.CSV", CONTENT)
    write("b/y.csv.gz", gzip.compress(CONTENT))
    inner = zipped({"w.csv": CONTENT, "deep/v.csv": CONTENT})
    write("a.zip", zipped({"Options/": b"", "Options/x.csv": CONTENT, "inner.ZIP": inner}))
    contents, left_out = listing_of(tmp_path)
    assert list(contents) == [
        "Options/x.csv",
        "inner.ZIP/w.csv",
        "inner.ZIP/deep/v.csv",
        str(tmp_path / "b/y.csv.gz"),
        str(tmp_path / "b/z.CSV"),
    ]
    assert set(contents.values()) == {CONTENT}
    assert not any(left_out.values())


def test_junk_is_left_out_by_name_before_it_is_looked_at(tmp_path: Path, write: Write, zipped: Zipped) -> None:
    write("._a.csv", b"\x00\x05\x16\x07")
    write(".DS_Store", b"\x00")
    write("Thumbs.db", b"")
    write("desktop.ini", b"")
    write("__MACOSX/a.csv", b"\x00")
    write("x.zip", zipped({"__MACOSX/Options/._x.csv": b"\x00\x01", "Options/._y.csv": b"\x00", "ok.csv": CONTENT}))
    contents, left_out = listing_of(tmp_path)
    assert list(contents) == ["ok.csv"]
    assert len(left_out["junk"]) == 7
    assert not left_out["foreign"]


def test_other_files_are_left_out_and_remembered(tmp_path: Path, write: Write) -> None:
    write("readme.txt", b"hello")
    os.mkfifo(tmp_path / "pipe.csv")
    contents, left_out = listing_of(tmp_path)
    assert not contents
    assert left_out["foreign"] == [str(tmp_path / "pipe.csv"), str(tmp_path / "readme.txt")]


def test_file_named_by_the_user_is_read_whatever_its_suffix(write: Write) -> None:
    contents, _ = listing_of(write("._data.txt", CONTENT))
    assert list(contents.values()) == [CONTENT]


@pytest.mark.parametrize("name", ["../evil.csv", "/etc/evil.csv", "a/../../evil.csv", "C:\\evil.csv", "..\\evil.csv"])
def test_member_that_points_outside_is_never_read(write: Write, zipped: Zipped, name: str) -> None:
    contents, left_out = listing_of(write("x.zip", zipped({name: CONTENT, "good.csv": CONTENT})))
    assert list(contents) == ["good.csv"]
    assert left_out["unsafe"] == [name.replace("\\", "/")]


def test_backslashes_of_windows_archives_are_folders(write: Write, zipped: Zipped) -> None:
    contents, _ = listing_of(write("x.zip", zipped({"Options\\x.csv": CONTENT})))
    assert list(contents) == ["Options/x.csv"]


def test_members_of_the_same_name_are_each_read(write: Write) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x.csv", b"one")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("x.csv", b"two")
    path = write("x.zip", buffer.getvalue())
    with Archives(ArchiveLimits()) as archives:
        assert [archives.read(entry) for entry in archives.list_files(path).entries] == [b"one", b"two"]


def test_empty_archive_and_missing_path_are_told_apart(tmp_path: Path, write: Write) -> None:
    write("x.zip", b"")
    assert listing_of(tmp_path)[1]["empty_archives"] == [str(tmp_path / "x.zip")]
    with pytest.raises(SourceError, match="nowhere: does not exist"):
        listing_of(tmp_path / "nowhere")


def test_broken_link_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "x.csv").symlink_to(tmp_path / "gone.csv")
    with pytest.raises(SourceError, match=r"x\.csv: cannot be read: No such file"):
        listing_of(tmp_path)


def test_folder_that_cannot_be_listed_is_an_error() -> None:
    # The superuser, as whom tests may run, can list every folder.
    with pytest.raises(SourceError, match="drop: cannot be read: Permission denied"):
        entries._refuse_folder(PermissionError(errno.EACCES, "Permission denied", "drop"))


def test_file_that_vanishes_between_listing_and_reading_is_an_error(write: Write) -> None:
    path = write("x.csv", CONTENT)
    with Archives(ArchiveLimits()) as archives:
        (entry,) = archives.list_files(path).entries
        path.unlink()
        with pytest.raises(SourceError, match=r"x\.csv: cannot be read whole"):
            archives.read(entry)


class TestBombs:
    def test_ratio_is_refused_before_reading(self, write: Write, zipped: Zipped) -> None:
        path = write("x.zip", zipped({"zeros.csv": b"0" * (4 << 20)}))
        with pytest.raises(
            SourceError, match=r"x\.zip::zeros\.csv: refused as an archive bomb: .* unpack to 4,194,304"
        ):
            listing_of(path)

    def test_small_members_may_be_as_regular_as_they_like(self, write: Write, zipped: Zipped) -> None:
        contents, _ = listing_of(write("x.zip", zipped({"zeros.csv": b"0" * (1 << 20)})))
        assert len(contents["zeros.csv"]) == 1 << 20

    def test_declared_size_is_refused(self, write: Write, zipped: Zipped) -> None:
        path = write("x.zip", zipped({"x.csv": os.urandom(2000)}))
        with pytest.raises(SourceError, match="declares 2,000 bytes, more than 1,000"):
            listing_of(path, ArchiveLimits(max_member_bytes=1000))

    def test_sum_of_members_through_nested_archives_is_refused(self, write: Write, zipped: Zipped) -> None:
        inner = zipped({f"{n}.csv": os.urandom(500) for n in range(4)})
        path = write("x.zip", zipped({"inner.zip": inner}))
        with pytest.raises(SourceError, match="more than 3,000 bytes in all"):
            listing_of(path, ArchiveLimits(max_archive_bytes=3000))

    def test_count_of_members_is_refused(self, write: Write, zipped: Zipped) -> None:
        path = write("x.zip", zipped({f"{n}.csv": b"" for n in range(11)}))
        with pytest.raises(SourceError, match="holds 11 members, more than 10"):
            listing_of(path, ArchiveLimits(max_members=10))

    def test_depth_is_refused(self, write: Write, zipped: Zipped) -> None:
        content: bytes = CONTENT
        for level in range(5):
            content = zipped({f"level{level}.zip" if level else "x.csv": content})
        with pytest.raises(SourceError, match="nested 5 deep, more than 4"):
            listing_of(write("x.zip", content))

    def test_lying_sizes_do_not_get_more_bytes_out(self, write: Write, zipped: Zipped) -> None:
        content = bytearray(zipped({"x.csv": os.urandom(5000)}))
        for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
            at = content.index(signature) + offset
            content[at : at + 4] = struct.pack("<I", 10)
        with pytest.raises(SourceError, match=r"x\.zip::x\.csv: cannot be read whole"):
            listing_of(write("x.zip", bytes(content)))

    def test_gzip_is_stopped_while_it_unpacks(self, write: Write) -> None:
        path = write("x.csv.gz", gzip.compress(b"0" * (64 << 20)))
        with pytest.raises(SourceError, match=r"x\.csv\.gz: refused as an archive bomb: .* more than 16,777,216"):
            listing_of(path)

    def test_gzip_above_the_size_is_refused(self, write: Write) -> None:
        path = write("x.csv.gz", gzip.compress(os.urandom(5000)))
        with pytest.raises(SourceError, match="archive bomb"):
            listing_of(path, ArchiveLimits(max_member_bytes=1000))


class TestDamage:
    def test_encrypted_member_is_named(self, write: Write, zipped: Zipped) -> None:
        content = bytearray(zipped({"x.csv": CONTENT}))
        content[content.index(b"PK\x01\x02") + 8] |= 1
        with pytest.raises(SourceError, match=r"x\.zip::x\.csv: is encrypted"):
            listing_of(write("x.zip", bytes(content)))

    def test_truncated_archive_is_named(self, write: Write, zipped: Zipped) -> None:
        content = zipped({"x.csv": os.urandom(5000)})
        with pytest.raises(SourceError, match=r"x\.zip: cannot be read whole \(BadZipFile"):
            listing_of(write("x.zip", content[:-100]))

    def test_nested_archive_that_is_none_is_named(self, write: Write, zipped: Zipped) -> None:
        with pytest.raises(SourceError, match=r"x\.zip::inner\.zip: cannot be read whole"):
            listing_of(write("x.zip", zipped({"inner.zip": b"not a zip at all"})))

    def test_flipped_byte_is_noticed(self, write: Write, zipped: Zipped) -> None:
        content = bytearray(zipped({"x.csv": os.urandom(5000)}))
        content[2000] ^= 0xFF
        with pytest.raises(SourceError, match=r"x\.zip::x\.csv: cannot be read whole"):
            listing_of(write("x.zip", bytes(content)))

    @pytest.mark.parametrize("damage", [lambda data: data[:-10], lambda _: b"plain text", lambda data: data + b"x"])
    def test_damaged_gzip_is_named(self, write: Write, damage: Callable[[bytes], bytes]) -> None:
        path = write("x.csv.gz", damage(gzip.compress(os.urandom(5000))))
        with pytest.raises(SourceError, match=r"x\.csv\.gz: cannot be read whole"):
            listing_of(path)


def test_archives_are_reopened_when_the_reader_moves_on_and_comes_back(
    tmp_path: Path, write: Write, zipped: Zipped
) -> None:
    for name in ("a.zip", "b.zip"):
        write(name, zipped({"inner.zip": zipped({"x.csv": name.encode(), "y.csv": name.encode()})}))
    with Archives(ArchiveLimits()) as archives:
        entries = archives.list_files(tmp_path).entries
        order = [entries[0], entries[2], entries[1], entries[3], entries[0]]
        assert [archives.read(entry) for entry in order] == [b"a.zip", b"b.zip", b"a.zip", b"b.zip", b"a.zip"]
