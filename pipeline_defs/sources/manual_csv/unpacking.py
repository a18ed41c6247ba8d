"""How large a workbook is, found out before anything makes room for it; and what the library would not tell.

A workbook is a zip, which may unpack to a thousand times its size; and the library that reads sheets makes room for
every cell from the first to the last, so that one stray cell far away asks for tens of gigabytes and ends the process.
A formula that was never computed has no value, and looks like a blank cell to it.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import SourceError
from pipeline_defs.zips import DAMAGE, open_zip

if TYPE_CHECKING:
    import zipfile
    from pathlib import Path

MOST_UNPACKED_BYTES: Final = 512 << 20
"""That much a workbook may unpack to."""

MOST_CELLS: Final = 1 << 23
"""Rows times columns of a sheet, blank cells included."""

_PORTION_BYTES: Final = 1 << 20
_SHEETS: Final = "xl/worksheets/"
_LONGEST_CELL: Final = 1 << 14
_OLD_FORMAT: Final = b"\xd0\xcf\x11\xe0"
_CELL_BEGINS: Final = (b"<c ", b"<c>", b":c ", b":c>", b"<c\n", b":c\n", b"<c\r", b":c\r", b"<c\t", b":c\t")
_USUAL_CELL: Final = re.compile(rb"<c r=\"([A-Z]{1,3})([0-9]{1,7})\"")
_CELL: Final = re.compile(rb"<(?:\w+:)?c\s[^>]*?\br=[\"']([A-Z]{1,3})([0-9]{1,7})[\"']")
_CELL_WITHOUT_PLACE: Final = re.compile(rb"<(?:\w+:)?c(?:>|\s(?![^>]*\br=[\"'])[^>]*>)")
_NOT_COMPUTED: Final = re.compile(
    rb"<(?:\w+:)?c\s[^>]*?\br=[\"']([A-Z]+[0-9]+)[\"'][^>]*>"
    rb"<(?:\w+:)?f(?:\s[^>]*)?(?:/>|>[^<]*</(?:\w+:)?f>)</(?:\w+:)?c>"
)
_SHEET: Final = re.compile(r"<(?:\w+:)?sheet\s[^>]*>")
_RELATION: Final = re.compile(r"<(?:\w+:)?Relationship\s[^>]*>")
_WORKBOOK: Final = "xl/workbook.xml"
_RELATIONS: Final = "xl/_rels/workbook.xml.rels"


def look_through(path: Path) -> dict[str, str]:
    """Unpack a workbook once without keeping it.

    Parameters
    ----------
    path : Path
        Workbook.

    Returns
    -------
    dict of str to str
        By the name of a sheet, its first cell with a formula that was never computed.

    Raises
    ------
    SourceError
        If it is not whole, or it or a sheet of it is too large, or it is protected by a password.

    """
    with path.open("rb") as file:
        if file.read(len(_OLD_FORMAT)) == _OLD_FORMAT:
            raise SourceError(
                "is protected by a password, or of the old format .xls under another name",
                where=str(path),
                next_step="save it without a password as .xlsx",
            )
    unpacked = 0
    not_computed: dict[str, str] = {}
    try:
        with open_zip(path) as archive:
            for entry in archive.infolist():
                extent = _Extent() if entry.filename.lower().endswith(".xml") else None
                with archive.open(entry) as member:
                    while portion := member.read(_PORTION_BYTES):
                        unpacked += len(portion)
                        if unpacked > MOST_UNPACKED_BYTES:
                            raise _too_large(f"unpacks to more than {MOST_UNPACKED_BYTES >> 20} MiB", path)
                        if extent is not None:
                            extent.look(portion)
                            if extent.cells > MOST_CELLS:
                                raise _too_large(_spread(extent, entry.filename), path)
                if extent is not None and entry.filename.startswith(_SHEETS) and entry.filename.endswith(".xml"):
                    _refuse_odd(extent, entry.filename, path)
                if extent is not None and extent.not_computed:
                    not_computed[entry.filename] = extent.not_computed
            return _by_sheet(archive, not_computed) if not_computed else {}
    except DAMAGE as error:
        raise unreadable(path, str(error)) from error


def _refuse_odd(extent: _Extent, name: str, path: Path) -> None:
    """Refuse what the library would read in part, or in places that were not looked at."""
    if not extent.is_finished:
        raise unreadable(path, f"{name} ends in the middle")
    if extent.has_unplaced:
        raise SourceError(
            f"{name} has cells that do not say where they are",
            where=str(path),
            next_step="open it in a spreadsheet program and save it again",
        )


def _by_sheet(archive: zipfile.ZipFile, by_member: dict[str, str]) -> dict[str, str]:
    """Give what is known by the file of a sheet by the sheet's name; a sheet whose file is not found is left out."""
    relations = {
        _attribute(tag, "Id"): _attribute(tag, "Target")
        for tag in _RELATION.findall(archive.read(_RELATIONS).decode("utf-8"))
    }
    found = {}
    for tag in _SHEET.findall(archive.read(_WORKBOOK).decode("utf-8")):
        target = relations.get(_attribute(tag, r"\w+:id"), "")
        member = target.removeprefix("/") if target.startswith("/") else f"xl/{target}"
        if member in by_member:
            found[_attribute(tag, "name")] = by_member[member]
    return found


def _attribute(tag: str, name: str) -> str:
    found = re.search(rf"\s{name}=(\"[^\"]*\"|'[^']*')", tag)
    return "" if found is None else html.unescape(found[1][1:-1])


class _Extent:
    """How far the cells of a sheet reach, and the first that was never computed, seen portion by portion."""

    def __init__(self) -> None:
        self.columns = 0
        self.rows = 0
        self.has_unplaced = False
        self.not_computed = ""
        self._rest = b""

    @property
    def cells(self) -> int:
        return self.columns * self.rows

    @property
    def is_finished(self) -> bool:
        return self._rest.rstrip().endswith(b"worksheet>")

    def look(self, portion: bytes) -> None:
        data = self._rest + portion
        cells = sum(map(data.count, _CELL_BEGINS))
        places = _USUAL_CELL.findall(data)
        if len(places) != cells:  # written in another way, or cut
            places = _CELL.findall(data)
            self.has_unplaced = self.has_unplaced or _CELL_WITHOUT_PLACE.search(data) is not None
        if places:
            letters = {column for column, _ in places}
            self.columns = max(self.columns, *map(_column_number, letters))
            self.rows = max(self.rows, *map(int, {row for _, row in places}))
        if not self.not_computed and (b"<f" in data or b":f" in data):
            found = _NOT_COMPUTED.search(data)
            self.not_computed = "" if found is None else found[1].decode()
        # A cell may have been cut; what is seen of it twice changes nothing.
        self._rest = data[-_LONGEST_CELL:]


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _spread(extent: _Extent, name: str) -> str:
    return (
        f"{name} reaches to row {extent.rows} and column {extent.columns}:"
        f" more than {MOST_CELLS} cells, blank ones included"
    )


def unreadable(path: Path, why: str) -> SourceError:
    """Say that a workbook cannot be read."""
    return SourceError(
        f"cannot be read as a workbook: {why}", where=str(path), next_step="check the file, it may be cut off"
    )


def _too_large(what: str, path: Path) -> SourceError:
    return SourceError(
        what,
        where=str(path),
        next_step="clear stray cells far from the data, cut it into smaller workbooks, or save the sheet as CSV",
    )
