"""Which trade dates the names of files in a folder say.

Names, sizes and times only: no file is opened here. What a name says is decided in
`pipeline_defs.sources.nse_csv.products`.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipeline_defs.sources.nse_csv.entries import files_below, is_junk
from pipeline_defs.sources.nse_csv.products import PRODUCTS, read_names

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable
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
    layouts : dict of datetime.date to set of str
        By trade date: the layouts that its files should have, by their names.

    """

    fingerprints: dict[dt.date, str]
    undated: int
    layouts: dict[dt.date, set[str]] = field(default_factory=dict)


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
    stated = ((path, parts, (folder / path).stat()) for path, parts in _files(folder))
    return describe_landed((path, parts, f"{status.st_size}|{status.st_mtime_ns}") for path, parts, status in stated)


def describe_landed(files: Iterable[tuple[str, tuple[str, ...], str]]) -> LandedFiles:
    """Sort files by the trade dates of their names.

    Parameters
    ----------
    files : iterable of (str, tuple of str, str)
        Of each: its path; the names below the landing folder; and what changes with its content. Unfinished ones are
        left out before, see `is_finished`.

    Returns
    -------
    LandedFiles

    """
    by_date: dict[dt.date, list[str]] = defaultdict(list)
    layouts: dict[dt.date, set[str]] = defaultdict(set)
    undated = 0
    for path, parts, version in files:
        facts = read_names(reversed(parts))
        trade_date = facts.trade_date
        if trade_date is None:
            undated += 1
            continue
        layouts[trade_date] |= {facts.layout} if facts.layout is not None else set()
        by_date[trade_date].append(f"{path}|{version}")
    fingerprints = {
        trade_date: hashlib.sha256("\n".join(sorted(files)).encode()).hexdigest()[:16]
        for trade_date, files in sorted(by_date.items())
    }
    return LandedFiles(fingerprints, undated, dict(layouts))


def expected_name_dates(trade_date: dt.date) -> list[str]:
    """List how vendors write a trade date in the names of their files, e.g. ``14082025``."""
    return sorted({trade_date.strftime(product.date_format).upper() for product in PRODUCTS})


def _files(folder: Path) -> list[tuple[str, tuple[str, ...]]]:
    if not folder.is_dir():
        return []
    return [(path, parts) for path, parts in files_below(folder) if is_finished(path, parts)]


def is_finished(path: str, parts: tuple[str, ...]) -> bool:
    """Tell whether a file is meant to be read: neither junk nor hidden nor still arriving, by its names."""
    return (
        not is_junk(parts)
        and not any(part.startswith(".") for part in parts)
        and not path.lower().endswith(_UNFINISHED_SUFFIXES)
    )
