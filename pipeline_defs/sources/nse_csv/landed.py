"""Which trade dates the names of files in a folder say.

Names, sizes and times only: no file is opened here. What a name says is decided in
`pipeline_defs.sources.nse_csv.products`.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.sources.nse_csv.entries import files_below, is_junk
from pipeline_defs.sources.nse_csv.products import PRODUCTS, read_names

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

_UNFINISHED_SUFFIXES: Final = (".part", ".partial", ".tmp", ".crdownload", ".filepart")
"""What browsers and copying tools call a file that is still arriving."""


@dataclass(frozen=True, slots=True)
class LandedFiles:
    """What lies in the landing folder.

    Parameters
    ----------
    fingerprints : dict of datetime.date to str
        By trade date: changes when a file of that date is added, removed, or differs in size or time.
    undated : int
        Files whose name says no trade date: nothing is started for them.

    """

    fingerprints: dict[dt.date, str]
    undated: int


def landed_files(folder: Path) -> LandedFiles:
    """Look at the landing folder.

    Parameters
    ----------
    folder : Path
        Need not exist yet.

    Returns
    -------
    LandedFiles

    Raises
    ------
    SourceError
        If a folder cannot be listed.

    """
    by_date: dict[dt.date, list[str]] = defaultdict(list)
    undated = 0
    for path, parts in _files(folder):
        trade_date = read_names(reversed(parts)).trade_date
        if trade_date is None:
            undated += 1
            continue
        status = (folder / path).stat()
        by_date[trade_date].append(f"{path}|{status.st_size}|{status.st_mtime_ns}")
    fingerprints = {
        trade_date: hashlib.sha256("\n".join(sorted(files)).encode()).hexdigest()[:16]
        for trade_date, files in sorted(by_date.items())
    }
    return LandedFiles(fingerprints, undated)


def expected_name_dates(trade_date: dt.date) -> list[str]:
    """List how vendors write a trade date in the names of their files, e.g. ``14082025``."""
    return sorted({trade_date.strftime(product.date_format).upper() for product in PRODUCTS})


def _files(folder: Path) -> list[tuple[str, tuple[str, ...]]]:
    if not folder.is_dir():
        return []
    return [
        (path, parts)
        for path, parts in files_below(folder)
        if not is_junk(parts)
        and not any(part.startswith(".") for part in parts)
        and not path.lower().endswith(_UNFINISHED_SUFFIXES)
    ]
