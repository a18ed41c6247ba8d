"""The bars of a bundle read once, and its files held against the checksums that were recorded for them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ConfigurationError, SchemaDriftError, SourceError
from pipeline_defs.migration.comparing import HASH_OF_NOTHING
from pipeline_defs.migration.contents import inspect_file, read_file
from pipeline_defs.migration.frames import DAILY_SECONDS
from pipeline_defs.migration.numbering import Problem
from pipeline_defs.migration.plan import Note, PlannedFile
from pipeline_defs.migration.reasons import CHECKSUM, READER_MISSING, UNKNOWN_LAYOUT, UNREADABLE
from pipeline_defs.migration.scanning import Scan

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.migration.bundle_databases import BundleDatabase
    from pipeline_defs.migration.legacy import Kind, LegacyBundle
    from pipeline_defs.migration.scanning import Key

RESTORE: Final = "restore it from a backup, or make it readable for you"

_HASHES_FILES: Final = 10


@dataclass(slots=True)
class Reading:
    """A bundle as far as it could be read.

    Parameters
    ----------
    files : list of PlannedFile
        With rows counted.
    scans : dict of bool to Scan
        By whether bars are daily.
    problems : list of Problem
        Files that could not be read, or are not what was stored.
    notes : list of Note
        About files.

    """

    files: list[PlannedFile] = field(default_factory=list)
    scans: dict[bool, Scan] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    @property
    def keys(self) -> set[Key]:
        """All numbers or symbols found."""
        return {key for scan in self.scans.values() for key in scan.totals}

    @property
    def sids(self) -> set[int]:
        """Numbers found."""
        return {key for key in self.keys if isinstance(key, int)}

    @property
    def sids_by_file(self) -> dict[str, set[int]]:
        """The same by file."""
        by_file = [pair for scan in self.scans.values() for pair in scan.keys_by_file.items()]
        return {path: {key for key in keys if isinstance(key, int)} for path, keys in by_file}


def read_contents(
    kind: Kind, folder: Path, database: BundleDatabase, listed: list[tuple[str, int]], *, decimals: int | None = None
) -> Reading:
    """Read all bars of a bundle once.

    Parameters
    ----------
    kind : {"parquet", "bcolz", "csvdir", "cache"}
        How it is stored.
    folder : Path
        Of the bundle, or of the ingestion.
    database : BundleDatabase
        For the recorded checksums and lengths of bars.
    listed : list of tuple of str and int
        Files, as `pipeline_defs.migration.contents.list_files` gives them.

    decimals : int, optional
        What prices of CSV files with more than eight decimals are rounded to.

    Returns
    -------
    Reading
        A file that cannot be read is a problem, and the others are read.

    """
    reading = Reading()
    missing = sorted(database.checksums.keys() - {path for path, _ in listed}) if kind == "parquet" else []
    if missing:
        reading.problems.append(
            Problem(UNREADABLE, f"{missing[0]} is recorded and not there", "restore the file from a backup")
        )
    for path, seconds in listed:
        daily = seconds == DAILY_SECONDS
        try:
            file, surplus = inspect_file(kind, folder, path, seconds, database.checksums)
            scan = reading.scans.setdefault(daily, Scan())
            scan.add(path, read_file(kind, folder, file, decimals=decimals))
        except ConfigurationError as error:
            reading.problems.append(Problem(READER_MISSING, error.what, error.next_step or ""))
            break
        except SourceError as error:
            reason = UNKNOWN_LAYOUT if isinstance(error, SchemaDriftError) else UNREADABLE
            told = f"{error.where or folder / path}: {error.what}"
            reading.problems.append(Problem(reason, told, error.next_step or RESTORE))
            continue
        _check(reading, file, surplus)
        reading.files.append(replace(file, rows=scan.rows_by_file[path]))
    if False in reading.scans:
        length = reading.scans[False].bar_seconds(database.bar_lengths)
        reading.files = [
            one if one.bar_seconds == DAILY_SECONDS else replace(one, bar_seconds=length) for one in reading.files
        ]
    return reading


def _check(reading: Reading, file: PlannedFile, surplus: int) -> None:
    if surplus:
        found = f"{surplus:,} bytes were appended to {file.path}"
        detail = f"the first {file.size_bytes:,} bytes have the recorded checksum and are read, the rest is not"
        reading.notes.append(Note("checksum", passed=False, stated=str(file.stated_sha256), found=found, detail=detail))
    elif file.stated_sha256 is not None and file.stated_sha256 != file.sha256:
        reading.problems.append(_tampered(file.path, file.stated_sha256, file.sha256))


def check_bundle_checksum(bundle: LegacyBundle, reading: Reading, *, files_stated: bool) -> list[Note]:
    """Hold the one checksum of a bundle against its files, where files have none of their own.

    Parameters
    ----------
    bundle : LegacyBundle
        With what was recorded.
    reading : Reading
        Its files; a problem is added when none of them has the checksum.
    files_stated : bool
        Whether each file was held against a checksum of its own.

    Returns
    -------
    list of Note

    """
    stated = bundle.stated.checksum
    if stated is None or files_stated:
        return []
    if stated == HASH_OF_NOTHING:
        return [_fine("checksum_of_nothing", stated, "the hash of no bytes, which says nothing about the data")]
    if not is_hash_of_file(bundle) or bundle.kind != "parquet":
        return [_fine("checksum", stated, "not held against a file: it is the hash of what was once fetched")]
    if any(file.sha256 == stated for file in reading.files):
        return [_fine("checksum", stated, f"the last written of {len(reading.files)} files has it")]
    if reading.files:
        reading.problems.append(_tampered("the last file written", stated, "another in every file"))
    return []


def is_hash_of_file(bundle: LegacyBundle) -> bool:
    """Version 10 hashed the file it wrote, those before it what they had fetched."""
    return bundle.stated.checksum not in {None, HASH_OF_NOTHING} and bundle.era == _HASHES_FILES


def _tampered(path: str, stated: str, found: str) -> Problem:
    return Problem(
        CHECKSUM,
        f"{path} was changed after it was stored: its checksum is {found[:16]}, recorded is {stated[:16]}",
        "restore the file from a backup; or accept the bundle by name, if you changed it yourself",
    )


def _fine(check: str, stated: str, found: str) -> Note:
    return Note(check, passed=True, stated=stated, found=found)
