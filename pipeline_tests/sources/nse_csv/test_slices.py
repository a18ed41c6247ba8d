"""A date that is read in slices gives what it gives when it is read at once."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Final

import pytest
from polars.testing import assert_frame_equal

from pipeline_defs.samples.generate import DEMO, generate
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.nse_csv import deliveries, lines, parts, reading, settling
from pipeline_defs.sources.nse_csv.adapter import NseCsvSource
from pipeline_defs.spilling import PackedFrame

if TYPE_CHECKING:
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
