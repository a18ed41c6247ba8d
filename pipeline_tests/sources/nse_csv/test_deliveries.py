from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.errors import SchemaDriftError, SourceError

if TYPE_CHECKING:
    from pipeline_defs.schema.batches import ImportBatch

type Write = Callable[..., Path]
type Row = Callable[..., str]
type Read = Callable[..., Any]
type Zipped = Callable[..., bytes]

MINUTE_HEADER = "Ticker,Date,Time,Open,High,Low,Close,Volume,Open Interest"
TICK_HEADER = "Ticker,Date,Time,LTP,BuyPrice,BuyQty,SellPrice,SellQty,LTQ,OpenInterest"
MINUTE_FILE = "GFDLNFO_OPTIONS_20082025.csv"


def ignored(batch: ImportBatch) -> str:
    (finding,) = (finding for finding in batch.findings if finding.check == "ignored_files")
    return f"{finding.passed}: {finding.found}: {finding.detail}"


def test_file_is_described_with_its_identity(read: Read, write: Write, minute_row: Row) -> None:
    path = write(MINUTE_FILE, MINUTE_HEADER, minute_row())
    assert read(path).only.files.rows() == [
        (
            0,
            str(path),
            None,
            "minute/2025-08-20/gfdlnfo_options_20082025.csv",
            hashlib.sha256(path.read_bytes()).hexdigest(),
            path.stat().st_size,
            "gdfl-minute",
        )
    ]


def test_identity_is_the_same_in_a_folder_a_zip_and_a_gzip(
    read: Read, tmp_path: Path, write: Write, zipped: Zipped, tick_row: Row
) -> None:
    content = f"{TICK_HEADER}\n{tick_row()}\n".encode()
    name = "NIFTY28AUG2524500CE.NFO.csv"
    write(f"folder/GFDLNFO_TICK_20082025/Options/{name}", content)
    write("zip/GFDLNFO_TICK_20082025.zip", zipped({f"Options/{name}": content}))
    write(f"gzip/GFDLNFO_TICK_20082025/{name}.gz", gzip.compress(content))
    identities = {read(tmp_path / kind).only.files["logical_name"][0] for kind in ("folder", "zip", "gzip")}
    assert identities == {"tick/2025-08-20/nifty28aug2524500ce.nfo.csv"}


def test_identity_of_a_file_without_a_date_in_its_name_has_that_of_its_first_row(
    read: Read, tmp_path: Path, write: Write, minute_row: Row
) -> None:
    write("monday/NIFTY.csv", MINUTE_HEADER, minute_row(date="18/08/2025"))
    write("tuesday/NIFTY.csv", MINUTE_HEADER, minute_row(date="19/08/2025"))
    names = [batch.files["logical_name"][0] for batch in read(tmp_path).batches.values()]
    assert names == ["minute/2025-08-18/nifty.csv", "minute/2025-08-19/nifty.csv"]


@pytest.mark.parametrize("twin", [f"{MINUTE_FILE}.gz", f"again/{MINUTE_FILE}", "GFDLNFO_OPTIONS_20082025 (1).csv"])
def test_second_file_of_the_same_identity_and_content_is_left_out_and_reported(
    read: Read, tmp_path: Path, write: Write, minute_row: Row, twin: str
) -> None:
    content = f"{MINUTE_HEADER}\n{minute_row()}\n".encode()
    write(MINUTE_FILE, content)
    write(twin, gzip.compress(content) if twin.endswith(".gz") else content)
    found = read(tmp_path)
    assert found.lines_read == 1
    assert found.only.files.height == 1
    assert re.fullmatch(r"True: 1 twins: .* \(same as .*\)", ignored(found.only))


def test_zip_beside_its_unpacked_folder_does_not_double_the_ticks(
    read: Read, tmp_path: Path, write: Write, zipped: Zipped, tick_row: Row
) -> None:
    content = f"{TICK_HEADER}\n{tick_row()}\n{tick_row()}\n"
    write("GFDLNFO_TICK_20082025/Options/X.NFO.csv", content.encode())
    write("GFDLNFO_TICK_20082025.zip", zipped({"GFDLNFO_TICK_20082025/Options/X.NFO.csv": content}))
    assert read(tmp_path).only.observations.height == 2


def test_same_identity_with_other_content_is_an_error_that_names_both(
    read: Read, tmp_path: Path, write: Write, minute_row: Row
) -> None:
    write(f"a/{MINUTE_FILE}", MINUTE_HEADER, minute_row())
    write(f"b/{MINUTE_FILE}", MINUTE_HEADER, minute_row(close="100"))
    with pytest.raises(
        SourceError, match=rf"b/{MINUTE_FILE}: is the same delivery .* as .*a/{MINUTE_FILE}, with different"
    ):
        read(tmp_path)


def test_junk_and_foreign_files_are_reported_and_only_the_foreign_ones_fail(
    read: Read, tmp_path: Path, write: Write, minute_row: Row
) -> None:
    write(MINUTE_FILE, MINUTE_HEADER, minute_row())
    write(".DS_Store", b"x")
    assert ignored(read(tmp_path).only).startswith("True: 1 junk: ")
    write("notes.xlsx", b"x")
    assert ignored(read(tmp_path).only).startswith("False: 1 junk, 1 not CSV: ")


@pytest.mark.parametrize(
    "content", [b"", b" \r\n\r\n", b"\xef\xbb\xbf", f"{MINUTE_HEADER}\r\n".encode(), MINUTE_HEADER.encode()]
)
def test_file_without_a_data_line_is_refused_as_a_whole(
    read: Read, tmp_path: Path, write: Write, minute_row: Row, content: bytes
) -> None:
    write(MINUTE_FILE, MINUTE_HEADER, minute_row())
    write("GFDLNFO_BACKADJUSTED_20082025.csv", content)
    found = read(tmp_path)
    assert found.reasons() == {0: "empty_file"}
    assert found.lines_read == 1


def test_day_of_which_only_an_empty_file_came_still_has_a_batch(read: Read, write: Write) -> None:
    batch = read(write("GFDLCM_INDICES_TICK_20082025.csv", b"")).only
    assert (batch.table, batch.bar_seconds, str(batch.trade_date)) == ("spot_prices", 0, "2025-08-20")
    assert batch.observations.is_empty()


def test_unsafe_members_and_empty_archives_are_rejects_of_their_day(
    read: Read, tmp_path: Path, write: Write, zipped: Zipped, tick_row: Row
) -> None:
    content = f"{TICK_HEADER}\n{tick_row()}\n"
    write("GFDLNFO_TICK_20082025.zip", zipped({"Options/x.csv": content, "../evil.csv": content, "/abs.csv": "x"}))
    write("GFDLNFO_TICK_20082025_2.zip", b"")
    batch = read(tmp_path).only
    assert batch.rejects.select("line", "reason", "text").rows() == [
        (0, "unsafe_member_path", "../evil.csv"),
        (0, "unsafe_member_path", "/abs.csv"),
        (0, "empty_file", "archive of zero bytes"),
    ]
    described = batch.files.filter(batch.files["member"] == "../evil.csv")
    assert described.select("sha256", "size_bytes").row(0) == ("", len(content))


def test_minute_bars_in_a_tick_delivery_are_refused_as_a_whole(
    read: Read, write: Write, zipped: Zipped, tick_row: Row, minute_row: Row
) -> None:
    members = {"a.csv": f"{TICK_HEADER}\n{tick_row()}\n", "b.csv": f"{MINUTE_HEADER}\n{minute_row()}\n"}
    batch = read(write("GFDLNFO_TICK_20082025.zip", zipped(members))).only
    assert batch.rejects.select("line", "reason", "text").rows() == [
        (0, "other_product", "layout gdfl-minute in a delivery of gdfl-tick")
    ]
    assert (batch.bar_seconds, batch.observations.height) == (0, 1)


def test_unknown_header_names_the_member(read: Read, write: Write, zipped: Zipped) -> None:
    path = write("GFDLNFO_TICK_20082025.zip", zipped({"x.csv": f"{TICK_HEADER},Greeks\n"}))
    with pytest.raises(SchemaDriftError, match=r"GFDLNFO_TICK_20082025\.zip::x\.csv: unknown header"):
        read(path)
