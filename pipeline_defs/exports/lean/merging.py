"""Several published months as the one data folder that LEAN wants.

An export is one partition in a folder of its own, so its hour and daily zips, which LEAN has one of a year or for all
time, hold that partition's days alone. Here such zips are merged entry by entry, by time. Nothing is ever chosen
between: what two exports tell differently is an error.
"""

from __future__ import annotations

import datetime as dt
import shutil
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING, Any

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.lean.archive import COMPRESSION_LEVEL, zip_entry
from pipeline_defs.exports.lean.corporate import chain_factors
from pipeline_defs.exports.lean.databases import exchange_entries, hours_text, properties_text, read_hours
from pipeline_defs.exports.lean.kinds import SecurityType
from pipeline_defs.exports.lean.listings import write_text
from pipeline_defs.exports.lean.market_hours import DATABASE_NAMES, HOURS_PATH, Hours, segments_on
from pipeline_defs.exports.lean.symbol_properties import PROPERTIES_PATH, PropertiesRow, read_rows
from pipeline_defs.exports.lean.validator import validate_folder
from pipeline_defs.exports.manifest import check_manifest, read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_FINDINGS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge did.

    Parameters
    ----------
    exports : int
        How many there were.
    files : int
        Files of the merged folder.
    merged_zips : int
        Zips that several exports had a part of.
    notes : tuple of str
        What a user must know of.

    """

    exports: int
    files: int
    merged_zips: int
    notes: tuple[str, ...]


def merge_months(exports: Sequence[Path], target: Path) -> Merged:
    """Merge published exports into one LEAN data folder.

    Parameters
    ----------
    exports : sequence of Path
        Folders published in the format ``lean``, of any underlyings and dates.
    target : Path
        Folder to make; must not exist, or be empty. It is a plain data folder and no export: make it anew when a month
        was exported again.

    Returns
    -------
    Merged

    Raises
    ------
    ExportError
        If a folder is not such an export or not as it was published, `target` holds something, two exports tell of one
        entry and time differently, or what came of it is not a data folder that LEAN would understand.

    """
    if not exports:
        raise ExportError("there is nothing to merge, expected the folders of at least one export")
    if target.exists() and any(target.iterdir()):
        raise ExportError("is not empty", where=str(target), next_step="name a folder that does not exist")
    manifests = {export: _read(export) for export in exports}
    ordered = sorted(exports, key=lambda export: (manifests[export]["partition"]["start_date"], export.as_posix()))
    owners: defaultdict[str, list[Path]] = defaultdict(list)
    for export in ordered:
        for entry in manifests[export]["objects"]:
            owners[entry["path"]].append(export)
    notes: list[str] = []
    merged = 0
    for path, having in sorted(owners.items()):
        if path in {HOURS_PATH, PROPERTIES_PATH}:
            continue
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        merged += len(having) > 1 and path.endswith(".zip")
        _merge_file(path, having, target)
    _merge_hours({export: manifests[export]["partition"] for export in ordered}, target)
    notes += _merge_properties(ordered, target)
    findings = validate_folder(target).findings
    if findings:
        shown = "\n".join(str(finding) for finding in findings[:_FINDINGS_SHOWN])
        raise ExportError(f"the merged folder has {len(findings)} defects:\n{shown}", where=str(target))
    files = sum(path.is_file() for path in target.rglob("*"))
    return Merged(len(ordered), files, merged, tuple(notes))


def _read(export: Path) -> dict[str, Any]:
    manifest = read_manifest(export)
    if manifest["format"] != "lean":
        raise ExportError(f"is an export in the format {manifest['format']}, expected lean", where=str(export))
    differences = check_manifest(export)
    if differences:
        raise ExportError(
            f"is not as it was published: {'; '.join(differences[:_FINDINGS_SHOWN])}",
            where=str(export),
            next_step="export the month again",
        )
    return manifest


def _merge_file(path: str, having: list[Path], target: Path) -> None:
    if len(having) == 1:
        shutil.copyfile(having[0] / path, target / path)
    elif path.endswith(".zip"):
        _merge_zip(path, having, target)
    elif path.split("/")[-2] == "factor_files":
        write_text(target / path, chain_factors([(export / path).read_text() for export in having], path))
    else:
        texts = {(export / path).read_bytes() for export in having}
        if len(texts) > 1:
            raise ExportError(
                f"{len(texts)} different files, in {' and '.join(str(export) for export in having)}",
                where=path,
                next_step="merge exports whose days do not overlap, or export them from the same loads",
            )
        (target / path).write_bytes(texts.pop())


def _merge_zip(path: str, having: list[Path], target: Path) -> None:
    entries: defaultdict[str, dict[tuple[int, str], tuple[str, Path]]] = defaultdict(dict)
    for export in having:
        with zipfile.ZipFile(export / path) as archive:
            for name in archive.namelist():
                _merge_lines(archive.read(name).decode("ascii").splitlines(), entries[name], export, f"{path}#{name}")
    with zipfile.ZipFile(target / path, "x", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION_LEVEL) as archive:
        for name, lines in sorted(entries.items()):
            text = "".join(f"{line}\n" for _, (line, _) in sorted(lines.items()))
            archive.writestr(zip_entry(name), text, zipfile.ZIP_DEFLATED, COMPRESSION_LEVEL)


def _merge_lines(
    lines: Iterable[str], known: dict[tuple[int, str], tuple[str, Path]], export: Path, where: str
) -> None:
    for line in lines:
        time = line.split(",", 1)[0]
        # Milliseconds are numbers, dates are texts of one length: the length sorts the first kind, the text both.
        was, first = known.setdefault((len(time), time), (line, export))
        if was != line:
            raise ExportError(
                f"{first} says {was!r}, {export} says {line!r}",
                where=where,
                next_step="merge exports whose days do not overlap, or export them from the same loads",
            )


def _merge_hours(partitions: dict[Path, dict[str, Any]], target: Path) -> None:
    """Write the hours anew for all days: special sessions of one month are holidays in the file of another."""
    merged: dict[str, Any] = {}
    own: defaultdict[tuple[str, str], dict[dt.date, Hours]] = defaultdict(dict)
    for export, partition in partitions.items():
        first, last = (dt.date.fromisoformat(partition[name]) for name in ("start_date", "end_date"))
        days = [first + dt.timedelta(days=offset) for offset in range((last - first).days + 1)]
        for key, entry in read_hours(export / HOURS_PATH).items():
            name, market, _ = key.split("-", 2)
            if name == DATABASE_NAMES[SecurityType.CRYPTO]:
                merged[key] = entry
                continue
            hours = own[market, entry["exchangeTimeZone"]]
            for day in days:
                segments = segments_on(entry, day)
                if segments:
                    hours[day] = (segments[0].start, segments[-1].end)
    for (market, timezone), hours in own.items():
        merged |= exchange_entries(market, hours, timezone)
    write_text(target / HOURS_PATH, hours_text(merged))


def _merge_properties(exports: Iterable[Path], target: Path) -> list[str]:
    rows: defaultdict[tuple[str, str, str], list[PropertiesRow]] = defaultdict(list)
    for export in exports:
        for row in read_rows((export / PROPERTIES_PATH).read_text(encoding="utf-8")):
            if row not in rows[row.key]:
                rows[row.key].append(row)
    notes, lines = [], []
    for _, found in sorted(rows.items()):
        fields = [row.text.split(",") for row in found]
        merged = fields[-1]
        lots = sorted({row[7] for row in fields}, key=float)
        if len(lots) > 1:
            merged[7] = str(gcd(*(int(lot) for lot in lots))) if all(lot.isdigit() for lot in lots) else lots[0]
            notes.append(
                f"{' '.join(merged[:3])} had lots of {' and '.join(lots)}: the row says {merged[7]}, so that no right "
                "order is rounded"
            )
        merged[6] = min((row[6] for row in fields), key=float)
        lines.append(",".join(merged))
    write_text(target / PROPERTIES_PATH, properties_text(lines))
    return notes
