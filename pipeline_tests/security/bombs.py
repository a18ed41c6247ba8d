"""Files that are small, or cost nothing, and unfold to far too much: read one after another in bounded memory.

Run as a process of its own, whose address space is bounded; prints as JSON what each was answered.
"""

from __future__ import annotations

import gzip
import io
import json
import resource
import struct
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.manual_csv.adapter import ManualCsvSource
from pipeline_defs.sources.nse_csv.archives import Archives
from pipeline_defs.sources.nse_csv.gzipped import ArchiveLimits
from pipeline_defs.sources.terms.tables import read_table
from pipeline_tests.sources.manual_csv.reading import HEADER

if TYPE_CHECKING:
    from collections.abc import Callable

ROOM_BYTES: Final = 1 << 30
"""Of address space, beside what the libraries have reserved before anything is read."""

ZEROS: Final = bytes(32 << 20)


def zipped(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def _nested(path: Path) -> Path:
    content = b"a,b\n1,2\n"
    for depth in range(7):
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w") as archive:
            archive.writestr("inner.zip" if depth else "day.csv", content)
        content = held.getvalue()
    path.write_bytes(content)
    return path


def _overlapping(path: Path) -> Path:
    """Name one member a hundred times in the directory, each time as another file."""
    content = zipped(path, {"day.csv": b"a,b\n1,2\n" * 500}).read_bytes()
    begins = content.index(b"PK\x01\x02")
    ends = content.index(b"PK\x05\x06")
    entry = content[begins:ends]
    entries = b"".join(entry.replace(b"day.csv", f"d{number:02}.csv".encode()) for number in range(100))
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 100, 100, len(entries), begins, 0)
    path.write_bytes(content[:begins] + entries + end)
    return path


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _sparse(path: Path, begin: bytes, size_bytes: int) -> Path:
    with path.open("wb") as file:
        file.write(begin)
        file.truncate(size_bytes)
    return path


_SHEET: Final = (
    '<?xml version="1.0"?>{}<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    '<dimension ref="A1:XFD1048576"/><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>{}</t></is></c></row>'
    '<row r="{row}"><c r="{cell}"><v>1</v></c></row></sheetData></worksheet>'
)
_LAST: Final = {"row": "1048576", "cell": "XFD1048576"}
_ENTITIES: Final = (
    '<!DOCTYPE x [<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12)) + "]>"
)


def _book(path: Path, sheet: str) -> Path:
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    rels = "http://schemas.openxmlformats.org/package/2006/relationships"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    parts = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{rels}"><Relationship Id="r1" Type="{office}/officeDocument"'
        ' Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet name="S" sheetId="1"'
        ' r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{rels}"><Relationship Id="r1" Type="{office}/worksheet"'
        ' Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": sheet,
    }
    return zipped(path, {name: text.encode() for name, text in parts.items()})


MAKERS: Final[dict[str, tuple[str, Callable[[Path], Path]]]] = {
    "nse zip, ratio": ("nse", lambda at: zipped(at / "ratio.zip", {"day.csv": ZEROS})),
    "nse zip, nested": ("nse", lambda at: _nested(at / "nested.zip")),
    "nse zip, members": ("nse", lambda at: zipped(at / "many.zip", {f"{n}.csv": b"" for n in range(2001)})),
    "nse zip, overlapping": ("nse", lambda at: _overlapping(at / "overlapping.zip")),
    "nse zip, bzip2": ("nse", lambda at: zipped(at / "bz.zip", {"day.csv": b"a" * 4096}, zipfile.ZIP_BZIP2)),
    "nse zip, lzma": ("nse", lambda at: zipped(at / "lz.zip", {"day.csv": b"a" * 4096}, zipfile.ZIP_LZMA)),
    "nse gzip, ratio": ("nse", lambda at: _written(at / "day.csv.gz", gzip.compress(ZEROS, 1))),
    "terms, long": ("terms", lambda at: _sparse(at / "terms.csv", b"symbol\n", 8 << 30)),
    "terms, zip": ("terms", lambda at: zipped(at / "terms.zip", {"terms.csv": bytes(300 << 20)})),
    "terms, bzip2": ("terms", lambda at: zipped(at / "tb.zip", {"terms.csv": b"symbol\nX\n"}, zipfile.ZIP_BZIP2)),
    "upload, endless line": ("upload", lambda at: _sparse(at / "line.csv", HEADER.encode() + b"\n", 256 << 20)),
    "upload, endless field": ("upload", lambda at: _sparse(at / "field.csv", HEADER.encode() + b'\n"', 256 << 20)),
    "upload, columns": ("upload", lambda at: _written(at / "columns.csv", b"c," * 200_000 + b"c\n")),
    "upload, workbook cells": ("upload", lambda at: _book(at / "cells.xlsx", _SHEET.format("", "x", **_LAST))),
    "upload, workbook entities": (
        "upload",
        lambda at: _book(at / "entities.xlsx", _SHEET.format(_ENTITIES, "&a11;", row=2, cell="A2")),
    ),
}  # fmt: skip
"""Each with who reads it."""


def _readers() -> dict[str, Callable[[Path], object]]:
    def nse(path: Path) -> object:
        with Archives(ArchiveLimits(max_members=2000)) as archives:
            return [len(archives.read(entry)) for entry in archives.list_files(path).entries]

    return {
        "nse": nse,
        "terms": lambda path: read_table(path, ["symbol"])[0].height,
        "upload": lambda path: sum(1 for _ in ManualCsvSource().fetch(ImportRequest(path=path))),
    }


def main() -> None:
    """Make and read each, and print what was answered."""
    place = Path(sys.argv[1])
    readers = _readers()
    made = {name: (reader, make(place)) for name, (reader, make) in MAKERS.items()}
    reserved = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (reserved + ROOM_BYTES,) * 2)
    answers = {}
    for name, (reader, path) in made.items():
        try:
            answers[name] = f"read: {readers[reader](path)!r}"
        except Exception as error:  # noqa: BLE001 -- a MemoryError is what must not be
            answers[name] = f"{type(error).__name__}: {error}"[:1000]
        path.unlink()
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
