from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.sources.nse_csv import lines
from pipeline_defs.sources.nse_csv.lines import FileBody, LineReader

if TYPE_CHECKING:
    import pytest

FIELD = st.text(alphabet='aé1 ."\x00\x1f\t', max_size=4)
LINE = st.lists(FIELD, min_size=1, max_size=5).map(",".join)
NEWLINE = st.sampled_from(["\n", "\r\n"])


@st.composite
def file_bytes(draw: st.DrawFn) -> bytes:
    newline = draw(NEWLINE)
    text = newline.join(draw(st.lists(LINE, max_size=8)))
    return (text + draw(st.sampled_from(["", newline]))).encode()


def physical_lines(data: bytes) -> list[str]:
    text = data.decode("utf-8", "replace")
    found = text.split("\n")
    if found[-1] == "":
        found.pop()
    return [line.removesuffix("\r") for line in found]


def take_in(reader: LineReader, body: FileBody) -> None:
    for portion in body.portions():
        reader.add_portion(portion)


@given(st.lists(file_bytes(), max_size=5))
def test_every_physical_line_is_either_fields_or_a_reject(contents: list[bytes]) -> None:
    reader = LineReader(("a", "b", "c"))
    for index, data in enumerate(contents):
        take_in(reader, FileBody(index, data, 0, 2))
    fields, rejects = reader.finish()
    found = {
        (index, line): ("fields", f"{a},{b},{c}")
        for index, line, a, b, c in fields.select("file_index", "line", "a", "b", "c").iter_rows()
    }
    found |= {(index, line): (reason, text) for index, line, reason, text in rejects.iter_rows()}
    expected = {}
    for index, data in enumerate(contents):
        for line, text in enumerate(physical_lines(data), start=2):
            outcome = "fields" if text.count(",") == 2 else "wrong_field_count"
            expected[index, line] = ("blank_line" if not text.strip(" \t\r") else outcome, text)
    assert found == expected
    assert fields.height + rejects.height == len(expected)
    assert fields.select("file_index", "line").rows() == sorted(fields.select("file_index", "line").rows())


def test_surplus_and_missing_fields_that_cancel_out_are_both_found() -> None:
    reader = LineReader(("a", "b", "c"))
    take_in(reader, FileBody(0, b"1,2,3\n4,5,6\n", 0, 1))
    take_in(reader, FileBody(1, b"1,2,3,4\n4,5\n7,8,9\n", 0, 1))
    fields, rejects = reader.finish()
    assert fields.select("file_index", "line", "c").rows() == [(0, 1, "3"), (0, 2, "6"), (1, 3, "9")]
    assert rejects.rows() == [(1, 1, "wrong_field_count", "1,2,3,4"), (1, 2, "wrong_field_count", "4,5")]


def test_only_the_damaged_portion_of_a_large_file_is_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_CHUNK_BYTES", 100)
    rows = [f"{n},x,y" for n in range(200)]
    rows[150] = "broken"
    reader = LineReader(("a", "b", "c"))
    take_in(reader, FileBody(0, "\n".join(rows).encode(), 0, 2))
    fields, rejects = reader.finish()
    assert rejects.rows() == [(0, 152, "wrong_field_count", "broken")]
    assert fields["line"].to_list() == [line for line in range(2, 202) if line != 152]
    assert fields["a"].cast(pl.Int64()).to_list() == [n for n in range(200) if n != 150]


def test_line_longer_than_a_portion_is_refused_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_CHUNK_BYTES", 100)
    reader = LineReader(("a", "b"))
    take_in(reader, FileBody(0, b"1,2\n" + b"x" * 1000 + b"\n3,4\n", 0, 1))
    fields, rejects = reader.finish()
    assert fields.select("line", "a").rows() == [(1, "1"), (3, "3")]
    assert rejects.select("line", pl.col("text").str.len_chars()).rows() == [(2, 500)]


def test_undecodable_bytes_are_shown_as_replacement_characters() -> None:
    reader = LineReader(("a", "b"))
    take_in(reader, FileBody(0, b"caf\xe9\n\xe9,1\n", 0, 1))
    fields, rejects = reader.finish()
    assert rejects["text"].to_list() == ["caf�"]
    assert fields["a"].to_list() == ["�"]


def test_nothing_taken_in_gives_empty_frames_with_all_columns() -> None:
    fields, rejects = LineReader(("a",)).finish()
    assert fields.columns == ["file_index", "line", "a"]
    assert fields.is_empty()
    assert rejects.is_empty()
