"""How large a workbook is, found out before anything makes room for it.

A workbook is a zip, which may unpack to a thousand times its size; and the library that reads sheets makes room for
every cell from the first to the last, so that one stray cell far away asks for tens of gigabytes and ends the process.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

MOST_UNPACKED_BYTES: Final = 512 << 20
"""That much a workbook may unpack to."""

MOST_CELLS: Final = 1 << 23
"""Rows times columns of a sheet, blank cells included."""

_PORTION_BYTES: Final = 1 << 20
_SHEETS: Final = "xl/worksheets/"
_LONGEST_TAG: Final = 1 << 10
_OLD_FORMAT: Final = b"\xd0\xcf\x11\xe0"
_DAMAGE: Final = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError)
"""What the library of zips raises when bytes are not what they were."""

_CELL: Final = re.compile(rb"<(?:\w+:)?c\s[^>]*?\br=[\"']([A-Z]{1,3})([0-9]{1,7})[\"']")
_CELL_WITHOUT_PLACE: Final = re.compile(rb"<(?:\w+:)?c(?:>|\s(?![^>]*\br=[\"'])[^>]*>)")


def refuse_large(path: Path) -> None:
    """Unpack a workbook once without keeping it.

    Parameters
    ----------
    path : Path
        Workbook.

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
    try:
        with zipfile.ZipFile(path) as archive:
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
    except _DAMAGE as error:
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


class _Extent:
    """How far the cells of a sheet reach, seen portion by portion."""

    def __init__(self) -> None:
        self.columns = 0
        self.rows = 0
        self.has_unplaced = False
        self._rest = b""

    @property
    def cells(self) -> int:
        return self.columns * self.rows

    @property
    def is_finished(self) -> bool:
        return self._rest.rstrip().endswith(b"worksheet>")

    def look(self, portion: bytes) -> None:
        data = self._rest + portion
        places = _CELL.findall(data)
        if places:
            letters = {column for column, _ in places}
            self.columns = max(self.columns, *map(_column_number, letters))
            self.rows = max(self.rows, *map(int, {row for _, row in places}))
        self.has_unplaced = self.has_unplaced or _CELL_WITHOUT_PLACE.search(data) is not None
        # A tag may have been cut; what was seen of it twice changes nothing.
        self._rest = data[-_LONGEST_TAG:]


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
