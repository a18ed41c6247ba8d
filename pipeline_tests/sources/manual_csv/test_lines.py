"""Each physical line is read as a row or refused by its number, however the file was put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipeline_defs.errors import SourceError
from pipeline_defs.sources.manual_csv import lines
from pipeline_defs.sources.manual_csv.lines import LINE, read_header, read_lines

if TYPE_CHECKING:
    from pathlib import Path

type Found = tuple[list[tuple[object, ...]], list[tuple[object, ...]]]


def read(path: Path, separator: str = ",") -> Found:
    header = read_header(path, separator)
    chunks = list(read_lines(path, header, separator))
    rows = [row for chunk in chunks for row in chunk.fields.select(LINE, *header).rows()]
    return rows, [row for chunk in chunks for row in chunk.unfit.rows()]


def file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,2\n3,4\n",
        b"a,b\n1,2\n3,4",
        b"a,b\r\n1,2\r\n3,4\r\n",
        b"\xef\xbb\xbfa,b\n1,2\n3,4\n",
        b'"a","b"\n"1","2"\n"3",4\n',
        b'"a",b\r\n1,"2"\r\n3,4\r\n',
    ],
)
def test_line_ends_marks_and_quotes_make_no_difference(tmp_path: Path, content: bytes) -> None:
    assert read(file(tmp_path / "x.csv", content)) == ([(2, "1", "2"), (3, "3", "4")], [])


def test_lines_that_do_not_fit_are_named_and_the_others_read(tmp_path: Path) -> None:
    content = b'a,b\n1,2\n\n  \n1,2,3\n1\n\xff,2\n"x,y",2\n"open,2\n"x"y,2\n"1","2","3"\nlast,line\n'

    rows, unfit = read(file(tmp_path / "x.csv", content))

    assert rows == [(2, "1", "2"), (8, "x,y", "2"), (12, "last", "line")]
    assert [(line, reason) for line, reason, _ in unfit] == [
        (3, "blank_line"),
        (4, "blank_line"),
        (5, "wrong_field_count"),
        (6, "wrong_field_count"),
        (7, "not_utf8"),
        (9, "bad_quotes"),
        (10, "bad_quotes"),
        (11, "wrong_field_count"),
    ]
    assert unfit[2][2] == "1,2,3"


def test_a_line_too_long_does_not_make_up_for_one_too_short(tmp_path: Path) -> None:
    rows, unfit = read(file(tmp_path / "x.csv", b"a,b,c\n1,2\n1,2,3,4\n1,2,3\n"))

    assert rows == [(4, "1", "2", "3")]
    assert [line for line, *_ in unfit] == [2, 3]


def test_a_line_end_within_quotes_spoils_its_lines_and_no_others(tmp_path: Path) -> None:
    rows, unfit = read(file(tmp_path / "x.csv", b'a,b\n1,"2\n3",4\n5,6\n'))

    assert rows == [(4, "5", "6")]
    assert [(line, reason) for line, reason, _ in unfit] == [(2, "bad_quotes"), (3, "bad_quotes")]


@pytest.mark.parametrize("size", [1, 7, 16, 40])
@pytest.mark.parametrize("last", [b"", b"9,line\n", b"9,line", b"9"])
def test_portions_of_any_size_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, last: bytes
) -> None:
    content = b"a,b\n" + b"".join(b"%d,%d\n" % (k, k * k) for k in range(9)) + b"x\n" + last
    whole = read(file(tmp_path / "x.csv", content))
    monkeypatch.setattr(lines, "PORTION_BYTES", size)

    header = ["a", "b"]
    chunks = list(read_lines(tmp_path / "x.csv", header, ","))
    assert len(chunks) > 1
    assert [row for chunk in chunks for row in chunk.fields.select(LINE, *header).rows()] == whole[0]
    assert pl.concat(chunk.unfit for chunk in chunks).rows() == whole[1]
    assert whole[0][8] == (10, "8", "64")


def test_another_separator_is_taken_as_declared(tmp_path: Path) -> None:
    assert read(file(tmp_path / "x.csv", b"a;b\n1,5;2\n"), ";") == ([(2, "1,5", "2")], [])


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"a,b,a\n1,2,3\n", "expected several distinct names"),
        (b"a;b\n1;2\n", "expected several distinct names separated by ','"),
        (b"a,,b\n1,2,3\n", "expected several distinct names"),
        (b"\xff\xfea,b\n", "the first line is no header"),
        (b'"a,b\n1,2\n', "the first line is no header"),
    ],
)
def test_a_first_line_that_is_no_header_is_refused(tmp_path: Path, content: bytes, what: str) -> None:
    with pytest.raises(SourceError, match=what):
        read_header(file(tmp_path / "x.csv", content), ",")


def test_a_file_without_line_ends_is_no_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "PORTION_BYTES", 16)
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 32)

    with pytest.raises(SourceError, match="has a line of more than 32 bytes"):
        read(file(tmp_path / "x.csv", b"a,b\n1,2\n" + b"x" * 1000))


def test_an_empty_file_has_no_columns(tmp_path: Path) -> None:
    assert read_header(file(tmp_path / "x.csv", b""), ",") == []


def test_a_file_that_begins_with_a_blank_line_does_not_pass_for_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\n\na,b\n1,2\n")
    with pytest.raises(SourceError, match="the first line is blank"):
        read_header(path, ",")
    path.write_bytes(b"\n \r\n")
    assert read_header(path, ",") == []


@pytest.mark.parametrize("name", ["*", "^a.*$", "#line"])
def test_a_column_that_polars_would_take_for_a_pattern_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"a,{name}\n1,2\n")
    with pytest.raises(SourceError, match="the header was"):
        read_header(path, ",")


def test_a_last_line_that_is_cut_off_is_refused_also_where_others_are_quoted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'a,b,c\n1,"2",3\n4,5\n')
    chunks = list(read_lines(path, ["a", "b", "c"], ","))
    assert [row for chunk in chunks for row in chunk.unfit.rows()] == [(3, "wrong_field_count", "4,5")]


def test_a_return_within_a_line_that_is_taken_apart_refuses_that_line_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'a,b\n1\rx,"2"\n3,"4"\n5\n')
    chunks = list(read_lines(path, ["a", "b"], ","))
    assert [line for chunk in chunks for line in chunk.unfit["#line"]] == [2, 4]
    assert [line for chunk in chunks for line in chunk.fields[LINE]] == [3]
