from __future__ import annotations

import datetime as dt
import json
import re
import stat
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from pipeline_defs.cli.main import commands
from pipeline_defs.errors import ConfigurationError
from pipeline_defs.reporting.building import DataReport
from pipeline_defs.reporting.elements import Fact, Folded, Section, Status, Table, Tone
from pipeline_defs.reporting.rendering import render, write_report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.warehouse.connection import Warehouse

HOSTILE = "<script>alert('x')</script>\"&{{ 7*7 }}"


class Page(HTMLParser):
    """What a browser would find in the page: elements, attributes that load something, words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.handlers: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in {"src", "href", "srcset", "action", "data", "poster"} and not (value or "").startswith("#"):
                self.loads.append(f"{tag} {name}={value}")
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_data(self, data: str) -> None:
        self.words += data


def of_text(text: str) -> DataReport:
    table = Table("t", text, (text, text), [(text, Status(text, Tone.BAD)), (Folded(text, [text]), None)], text)
    return DataReport(text, text, text, [Section("s", text, text, [Fact("f", text, text)], tables=[table], empty=text)])


@given(st.text(alphabet=st.characters(exclude_characters="\r\x00", exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_every_text_is_shown_and_none_becomes_markup(text: str) -> None:
    page, plain = Page(render(of_text(text))), Page(render(of_text("plain")))

    assert page.tags == plain.tags
    assert page.handlers == []
    assert page.words.count(text.strip()) >= 12


def test_a_hostile_symbol_is_a_word_wherever_it_comes_from(
    watched: Warehouse,
    load: Callable[..., int],
    option: Callable[[str], int],
    write: Callable[..., None],
    report: Callable[..., DataReport],
) -> None:
    del watched
    load_id = load("2025-08-14", message=HOSTILE, checksum=HOSTILE, code_version=HOSTILE)
    where = {"dataset": HOSTILE, "source": HOSTILE, "trade_date": "2025-08-14", "bar_seconds": 60}
    load("2025-08-14", source=HOSTILE, dataset=HOSTILE)
    times = {"gap_start": "2025-08-14 04:00+00", "gap_end": "2025-08-14 04:30+00", "minutes": 30}
    cause = {"cause": "source_missing", "fillable": True, "detail": HOSTILE, "instruments": 1}
    write("gap_assessments", **where, instruments=2, expected_minutes=9, present_minutes=1, assessed_at="2025-08-15")
    write("session_gaps", **where, instrument_id=option(HOSTILE), **times, **cause)
    write("quarantine", load_id=load_id, file_index=0, line=3, reason=HOSTILE, text="x")
    path = {"path": HOSTILE, "logical_name": "x", "layout": HOSTILE}
    write("load_files", load_id=load_id, file_index=0, **path, sha256="ab", size_bytes=1)
    text = render(report())

    assert Page(text).tags.count("script") == 1
    assert "<script>alert" not in text
    assert "{{ 7*7 }}" in Page(text).words
    assert text.count("&lt;script&gt;") > 10


def test_the_page_fetches_nothing_and_says_so(load: Callable[..., int], report: Callable[..., DataReport]) -> None:
    load("2025-08-14")
    text = render(report())

    assert Page(text).loads == []
    assert "default-src 'none'" in text
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", text)


def test_the_same_database_and_moment_give_the_same_bytes(
    load: Callable[..., int], report: Callable[..., DataReport]
) -> None:
    load("2025-08-13")
    load("2025-08-14", source="zerodha")

    assert render(report()) == render(report())


def test_tables_and_pictures_can_be_read_by_those_who_do_not_see_them(
    load: Callable[..., int], report: Callable[..., DataReport]
) -> None:
    load("2025-08-14")
    page = Page(text := render(report()))

    assert page.tags.count("caption") == page.tags.count("table") > 3
    assert page.tags.count("title") == 1 + page.tags.count("svg")
    assert text.count("<h1>") == 1
    assert text.count('role="img"') == page.tags.count("svg") > 0
    assert '<html lang="en">' in text


def test_a_report_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    output = tmp_path / "made" / "report.html"
    write_report(of_text("old"), output)
    written = write_report(of_text("new"), output)

    assert output.stat().st_size == written
    assert stat.S_IMODE(output.stat().st_mode) == 0o644
    assert "<h1>Data report</h1>" in output.read_text()
    assert "old" not in Page(output.read_text()).words.split()
    assert [path.name for path in output.parent.iterdir()] == ["report.html"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is a folder, expected a file"):
        write_report(of_text("x"), tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be written: "):
        write_report(of_text("x"), tmp_path / "file" / "report.html")


def test_the_command_writes_the_file_and_tells_the_key_numbers(
    load: Callable[..., int], warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load("2025-08-14")
    monkeypatch.setenv("PIPELINE_DATABASE_URL", warehouse.url)
    output = tmp_path / "report.html"
    arguments = ["report", "--output", str(output), "--now", "2025-08-18T23:00+05:30", "--sessions", "9"]
    told = json.loads(CliRunner().invoke(commands, [*arguments, "--json"]).stdout)
    shown = CliRunner().invoke(commands, arguments).stdout

    assert told["made_at"] == "2025-08-18 23:00 IST"
    assert told["facts"]["freshness-late"] == "1 of 1"
    assert shown == f"{output}: {told['size_bytes']:,} bytes, as of 2025-08-18 23:00 IST\n"


def test_the_page_holds_the_moment_it_is_about(report: Callable[..., DataReport]) -> None:
    moment = dt.datetime(2025, 8, 18, 12, tzinfo=dt.UTC)

    assert '<strong id="made-at">2025-08-18 17:30 IST</strong>' in render(report(moment))
