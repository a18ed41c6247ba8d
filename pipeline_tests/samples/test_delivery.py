from __future__ import annotations

import gzip
import io
import zipfile
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.samples import delivery

if TYPE_CHECKING:
    from pathlib import Path


def make(**changes: object) -> delivery.Delivery:
    arguments: dict[str, object] = {
        "product": "things",
        "names": ("a.csv", "empty.csv", "b.csv"),
        "header": "x,y",
        "fields": ("x", "y"),
        "rows": pl.DataFrame(
            {"file": [0, 0, 2], "x": ["1", "2", "3"], "y": ["é", "", "-"]}, schema_overrides={"file": pl.UInt32}
        ),
        "bar_seconds": 60,
    } | changes
    return delivery.Delivery(**arguments)  # type: ignore[arg-type]  # names are checked by the call


def test_rows_go_to_their_files_with_the_header_on_top() -> None:
    members = delivery.render(make(newline="\r\n"))
    assert [member.content.decode() for member in members] == [
        *("x,y\r\n1,é\r\n2,\r\n", "x,y\r\n", "x,y\r\n3,-\r\n"),
    ]


def test_headerless_files_begin_with_data() -> None:
    headerless = make(header="")
    assert delivery.render(headerless)[0].content.decode() == "1,é\n2,\n"
    assert headerless.first_line() == 1
    assert delivery.render(make(header="", rows=make().rows.clear()))[2].content == b""


def test_nested_archives_hold_the_files(tmp_path: Path) -> None:
    nested = make(archives=("outer.zip", "inner.zip"))
    (path,) = delivery.write(tmp_path, nested, delivery.render(nested))
    assert path == tmp_path / "landing" / "things" / "outer.zip"
    with zipfile.ZipFile(path) as outer, zipfile.ZipFile(io.BytesIO(outer.read("inner.zip"))) as inner:
        assert inner.namelist() == ["a.csv", "empty.csv", "b.csv"]
        assert inner.read("b.csv") == b"x,y\n3,-\n"
    assert nested.path_of(2) == ("landing/things/outer.zip", "inner.zip/b.csv")
    assert make().path_of(2) == ("landing/things/b.csv", "")


@pytest.mark.parametrize(
    "pack", [lambda: delivery.zip_bytes([("a", b"1" * 99)]), lambda: delivery.gzip_bytes(b"1" * 99)]
)
def test_archives_tell_no_time(pack: object, monkeypatch: pytest.MonkeyPatch) -> None:
    first = pack()  # type: ignore[operator]  # one of the functions above
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    assert pack() == first  # type: ignore[operator]  # one of the functions above


def test_compressed_twin_unpacks_to_the_same() -> None:
    assert gzip.decompress(delivery.gzip_bytes(b"some rows")) == b"some rows"


@given(st.lists(st.integers(1, 10**13), min_size=1))
def test_shortest_text_is_exact_and_has_no_zeros_to_spare(values: list[int]) -> None:
    for value, text in zip(values, delivery.shortest_text(pl.Series(values)), strict=True):
        assert Decimal(text) * 10_000 == value
        assert "e" not in text
        assert not ("." in text and text.endswith(("0", ".")))


@given(st.lists(st.integers(0, 10**15), min_size=1))
def test_two_decimals_are_always_there(paise: list[int]) -> None:
    for value, text in zip(paise, delivery.two_decimals(pl.Series(paise) * 100), strict=True):
        assert Decimal(text) * 100 == value
        assert text[-3] == "."
