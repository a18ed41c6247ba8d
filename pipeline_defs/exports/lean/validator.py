"""Validates a LEAN data folder, ours or any other: paths, entries, lines, and whether LEAN would find them.

This is not LEAN. The engine is C# and cannot run here, so what its readers want has been written down in this package
and is tested on LEAN's own vectors and sample files; a folder without findings is one that this project's reader
understands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipeline_defs.exports.lean.findings import Finding, Rule
from pipeline_defs.exports.lean.kinds import LeanFormatError, SecurityType
from pipeline_defs.exports.lean.lookup import Lookup
from pipeline_defs.exports.lean.paths import DataFile, parse_path
from pipeline_defs.exports.lean.reading import ZipContent, read_zip
from pipeline_defs.exports.lean.scaling import Scales

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

VALIDATOR: Final = "LEAN grammar (validator of this project, not the engine)"

_OTHER_FOLDERS: Final = frozenset({"factor_files", "map_files"})
"""Zips in here hold no prices: LEAN's own map and factor files may be zipped, one for all shares."""


@dataclass
class FolderReport:
    """What a validation found.

    Parameters
    ----------
    findings : list of Finding
        Everything that is wrong, in the order of paths.
    counts : dict
        Zips, entries and lines that were read.

    """

    findings: list[Finding] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: {"zips": 0, "entries": 0, "lines": 0})


def validate_folder(root: Path, see: Callable[[ZipContent], None] | None = None) -> FolderReport:
    """Validate a data folder.

    Parameters
    ----------
    root : Path
        The folder that ``data-folder`` of LEAN's configuration names.
    see : callable or None, default None
        Given each portion of each zip as it was read.

    Returns
    -------
    FolderReport

    """
    report, lookup, scales = FolderReport(), Lookup(root), Scales()
    for path, file in _data_files(root, report):
        report.counts["zips"] += 1
        for content in read_zip(root, file, path):
            report.findings += content.findings
            scales.see(content)
            lookup.see(content)
            report.counts["entries"] += len(content.entries)
            report.counts["lines"] += content.rows.height
            if see is not None:
                see(content)
    report.findings += [*scales.conclude(), *lookup.conclude()]
    if report.counts["zips"] == 0:
        report.findings.append(Finding(Rule.PATH, root.name, "holds no data: expected zips below equity/, index/, ..."))
    return report


def _data_files(root: Path, report: FolderReport) -> Iterator[tuple[str, DataFile]]:
    for zip_file in sorted(root.rglob("*.zip")):
        path = zip_file.relative_to(root).as_posix()
        if path.split("/")[-2:-1] and path.split("/")[-2] in _OTHER_FOLDERS:
            continue
        try:
            yield path, parse_path(path)
        except LeanFormatError as error:
            known = path.split("/")[0] in set(SecurityType)
            where = "" if known else f" (the first folder is none of {', '.join(SecurityType)})"
            report.findings.append(Finding(Rule.PATH, path, error.what + where))
