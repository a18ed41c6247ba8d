"""A file, its mapping and its report from the drop folder to where they stay: whole at any instant.

The order decides. First a note of what is about to happen, then copies of the mapping and the report, then the file
itself, by one rename: that is the instant at which it has moved. Then the mapping leaves the drop folder, and the note
goes. Whoever finds a note finishes what was begun if the file has moved, and clears it away if it has not.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline_defs.sources.manual_csv.names import own_mapping

if TYPE_CHECKING:
    from pipeline_defs.uploads.waiting import Upload

DONE: Final = "done"
REJECTED: Final = "rejected"
REPORT_ENDING: Final = ".report.md"
_NOTE_ENDING: Final = ".moving"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an upload goes.

    Parameters
    ----------
    file : Path
        A name that is free there.

    """

    file: Path

    @property
    def mapping(self) -> Path:
        """Where its mapping goes."""
        return own_mapping(self.file)

    @property
    def report(self) -> Path:
        """Where its report goes."""
        return self.file.with_name(self.file.name + REPORT_ENDING)

    @property
    def note(self) -> Path:
        """What tells that it is under way."""
        return self.file.with_name(f".{self.file.name}{_NOTE_ENDING}")


def find_place(folder: Path, name: str) -> Place:
    """Find a free name in a folder: ``NAME.csv``, else ``NAME-2.csv``, and so on.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    name : str
        Of the upload.

    Returns
    -------
    Place

    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = folder / name
    number = 1
    while True:
        place = Place(wanted if number == 1 else wanted.with_stem(f"{wanted.stem}-{number}"))
        if not any(path.exists() for path in (place.file, place.mapping, place.report, place.note)):
            return place
        number += 1


def move(upload: Upload, place: Place, report: str, *, keep_mapping: bool) -> None:
    """Move an upload, with its mapping and a report beside it.

    Parameters
    ----------
    upload : Upload
        In the drop folder.
    place : Place
        From `find_place`, in the same file system.
    report : str
        Text of the report.
    keep_mapping : bool
        Whether the mapping stays in the drop folder, too: others are read by it.

    """
    leaving = None if keep_mapping else upload.mapping
    note = None if leaving is None else {"mapping": str(leaving), "stamp": _stamp(leaving)}
    _write(place.note, json.dumps(note))
    if upload.mapping is not None:
        arriving = place.mapping.with_name(f".{place.mapping.name}.arriving")
        shutil.copy2(upload.mapping, arriving)
        _settle(arriving, place.mapping)
    _write(place.report, report)
    upload.path.rename(place.file)
    _sync(place.file.parent)
    finish(place)


def finish(place: Place) -> None:
    """Take the mapping of a file that has moved out of the drop folder, unless it has changed; remove the note."""
    note = json.loads(place.note.read_text(encoding="utf-8"))
    if note is not None:
        mapping = Path(note["mapping"])
        if mapping.exists() and _stamp(mapping) == note["stamp"]:
            mapping.unlink()
    place.note.unlink()


def recover(folder: Path) -> None:
    """Finish or clear away every move that was interrupted.

    Parameters
    ----------
    folder : Path
        Drop folder.

    """
    for part in (DONE, REJECTED):
        for note in sorted((folder / part).glob(f"*/.*{_NOTE_ENDING}")):
            place = Place(note.with_name(note.name.removeprefix(".").removesuffix(_NOTE_ENDING)))
            if place.file.exists():
                finish(place)
            else:
                place.mapping.unlink(missing_ok=True)
                place.report.unlink(missing_ok=True)
                note.unlink()
        for half in (folder / part).glob("*/.*.arriving"):
            half.unlink()


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _write(path: Path, text: str) -> None:
    arriving = path.with_name(f".{path.name}.arriving")
    arriving.write_text(text, encoding="utf-8", errors="backslashreplace")
    _settle(arriving, path)


def _settle(arriving: Path, path: Path) -> None:
    """Give a file its name once its content is on the disk."""
    with arriving.open("rb") as file:
        os.fsync(file.fileno())
    arriving.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
