"""A date that is read in slices gives what it gives when it is read at once."""

from __future__ import annotations

import dataclasses
import datetime as dt
import gzip
import shutil
import zipfile
from typing import IO, TYPE_CHECKING, Final

import pytest
from polars.testing import assert_frame_equal

from pipeline_defs import spilling
from pipeline_defs.errors import SourceError
from pipeline_defs.samples.generate import DEMO, generate
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.nse_csv import archives, deliveries, lines, parts, reading, settling
from pipeline_defs.sources.nse_csv.adapter import NseCsvSource
from pipeline_defs.spilling import PackedFrame

if TYPE_CHECKING:
    import mmap
    from pathlib import Path

    from pipeline_defs.schema.batches import ImportBatch

DIRTY: Final = dt.date(2025, 8, 12)


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session with every known defect planted, of minutes and of ticks."""
    day = dataclasses.replace(DEMO, start_date=DIRTY, end_date=DIRTY)
    return generate(day, tmp_path_factory.mktemp("dirty")).landing


def batches(path: Path) -> list[ImportBatch]:
    return list(NseCsvSource().fetch(ImportRequest(path=path)))


def in_slices(monkeypatch: pytest.MonkeyPatch, *, slice_lines: int, chunk_bytes: int) -> list[int]:
    """Read in slices from now on; the list is filled with the lines of each that was kept packed."""
    monkeypatch.setattr(deliveries, "SLICE_LINES", slice_lines)
    monkeypatch.setattr(lines, "_CHUNK_BYTES", chunk_bytes)
    monkeypatch.setattr(reading, "SLICE_LINES", 1)
    monkeypatch.setattr(settling, "HEAVY_ROWS", slice_lines)
    monkeypatch.setattr(settling, "SLICE_ROWS", slice_lines)
    packed: list[int] = []
    pack = parts.Part.packed

    def counting(part: parts.Part) -> parts.Part:
        made = pack(part)
        if isinstance(made.fields, PackedFrame):
            packed.append(made.lines().height)
        return made

    monkeypatch.setattr(parts.Part, "packed", counting)
    return packed


@pytest.mark.parametrize(("slice_lines", "chunk_bytes", "slices"), [(1, 1 << 23, 5), (300, 1 << 12, 30)])
def test_a_dirty_session_in_slices_gives_the_same_rows_contracts_refused_lines_and_findings(
    landing: Path, monkeypatch: pytest.MonkeyPatch, slice_lines: int, chunk_bytes: int, slices: int
) -> None:
    at_once = batches(landing)
    packed = in_slices(monkeypatch, slice_lines=slice_lines, chunk_bytes=chunk_bytes)

    sliced = batches(landing)

    assert len(packed) > slices
    assert len(sliced) == len(at_once) > 3
    assert sum(batch.rejects.height for batch in sliced) > 20
    for one, other in zip(sliced, at_once, strict=True):
        for name in ("contracts", "observations", "rejects", "files"):
            assert_frame_equal(getattr(one, name), getattr(other, name))
        assert (one.table, one.bar_seconds, one.findings) == (other.table, other.bar_seconds, other.findings)
        assert one.delivery == other.delivery


@pytest.mark.parametrize("kind", ["folder", "zip", "gzip"])
def test_large_files_read_from_the_disk_give_the_same(
    landing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    files = sorted(path for path in landing.rglob("*.csv") if path.is_file())[:4]
    files += [path for path in landing.rglob("*.csv") if path.read_bytes()[:3] == b"\xef\xbb\xbf"]
    (tmp_path / "blank.csv").write_bytes(b" \r\n" * 500)
    where = tmp_path / "all"
    where.mkdir()
    for path in {*files, tmp_path / "blank.csv"}:
        if kind == "zip":
            with zipfile.ZipFile(where / "files.zip", "a", zipfile.ZIP_DEFLATED) as archive:
                archive.write(path, path.name)
        elif kind == "gzip":
            (where / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        else:
            shutil.copy(path, where)
    in_memory = batches(where)
    monkeypatch.setattr(archives, "LARGE_BYTES", 100)
    monkeypatch.setattr(spilling, "LARGE_BYTES", 100)
    monkeypatch.setattr(spilling, "_PIECE_BYTES", 1000)
    monkeypatch.setattr(lines, "_CHUNK_BYTES", 4096)
    mapped: list[int] = []
    put = spilling._mapped

    def counting(file: IO[bytes]) -> mmap.mmap:
        mapped.append(file.tell())
        return put(file)

    monkeypatch.setattr(spilling, "_mapped", counting)

    from_disk = batches(where)

    assert len(mapped) > 2
    assert sum(batch.observations.height for batch in from_disk) > 100
    for one, other in zip(from_disk, in_memory, strict=True):
        for name in ("contracts", "observations", "rejects", "files"):
            assert_frame_equal(getattr(one, name), getattr(other, name))


def test_contracts_of_which_nothing_is_left_are_left_out_wherever_a_slice_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = "Ticker,Date,Time,Open,High,Low,Close,Volume,Open Interest"
    rows = [
        f"NIFTY14AUG25{strike}CE.NFO,12/08/2025,09:{minute}:59,1,1,1,{close},5,5"
        for strike in range(24000, 25000, 50)
        for minute in (15, 16)
        for close in ([1, "0.5"] if strike % 150 == 0 else [1])
    ]
    conflicting = [row.replace(",1,1,1,0.5,", ",1,1,0.5,0.5,") for row in rows]
    (tmp_path / "GFDLNFO_OPTIONS_12082025.csv").write_text("\n".join([header, *conflicting]) + "\n")
    (at_once,) = batches(tmp_path)
    in_slices(monkeypatch, slice_lines=3, chunk_bytes=256)

    (sliced,) = batches(tmp_path)

    assert at_once.contracts.height == 13  # of 20, 7 have nothing but conflicts
    assert at_once.rejects["reason"].unique().to_list() == ["conflicting_duplicate"]
    assert sliced.observations["contract_key"].unique().sort().to_list() == list(range(13))
    for name in ("contracts", "observations", "rejects"):
        assert_frame_equal(getattr(sliced, name), getattr(at_once, name))


def test_ticks_of_two_files_at_one_time_are_refused_with_all_their_contracts_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = "Ticker,Date,Time,LTP,BuyPrice,BuyQty,SellPrice,SellQty,LTQ,OpenInterest"
    rows = [f"NIFTY14AUG25{strike}CE.NFO,12/08/2025,09:20:01,1,1,5,1,5,5,5" for strike in range(24000, 24350, 50)]
    for name in ("GFDLNFO_TICK_12082025.csv", "GFDLNFO_TICK_12082025_2.csv"):
        (tmp_path / name).write_text("\n".join([header, *rows]) + "\n")
        rows = [*rows, rows[-1].replace(":01,", ":02,")]
    with pytest.raises(SourceError, match="7 contracts at the same time") as at_once:
        batches(tmp_path)
    in_slices(monkeypatch, slice_lines=2, chunk_bytes=128)

    with pytest.raises(SourceError) as sliced:
        batches(tmp_path)

    assert str(sliced.value) == str(at_once.value)


def test_files_without_a_date_in_slices_belong_to_the_date_of_most_of_their_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"NIFTY-I.NFO,{day}/08/2025,09:{minute}:59,1,1,1,1,5,5" for day in (12, 13) for minute in range(15, 40)]
    header = "Ticker,Date,Time,Open,High,Low,Close,Volume,Open Interest"
    (tmp_path / "export.csv").write_text("\n".join([header, *rows, "NIFTY-I.NFO,broken", *rows[-2:]]) + "\n")
    at_once = batches(tmp_path)
    in_slices(monkeypatch, slice_lines=10, chunk_bytes=512)

    sliced = batches(tmp_path)

    assert [batch.trade_date.day for batch in sliced] == [12, 13]
    assert [batch.rejects["reason"].to_list() for batch in sliced] == [[], ["wrong_field_count", *["duplicate"] * 2]]
    for one, other in zip(sliced, at_once, strict=True):
        assert_frame_equal(one.observations, other.observations)
        assert_frame_equal(one.rejects, other.rejects)
