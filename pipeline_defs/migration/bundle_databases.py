"""The ``metadata.db`` inside a bundle: its symbols, and the checksums of its files. Versions 8 and 9 filled it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipeline_defs.migration.legacy import LegacySymbol
from pipeline_defs.migration.read_only import tables_of, text, whole
from pipeline_defs.migration.walking import is_file

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.migration.read_only import Row, Tables

NAME: Final = "metadata.db"

_SECONDS: Final = {"m": 60, "h": 3600, "d": 86_400}


@dataclass(slots=True)
class BundleDatabase:
    """What the database of a bundle says.

    Parameters
    ----------
    symbol_lists : list of list of LegacySymbol
        One for each dataset that has symbols, in their order, without sid.
    checksums : dict of str to str
        SHA-256 as hexadecimal digits by path below the bundle, the last one recorded.
    cached : dict of str to dict
        Rows of cached answers by key.
    bar_lengths : set of int
        Lengths of bars that its datasets claim, in seconds.
    source : str or None
        Of its datasets.

    """

    symbol_lists: list[list[LegacySymbol]] = field(default_factory=list)
    checksums: dict[str, str] = field(default_factory=dict)
    cached: dict[str, Row] = field(default_factory=dict)
    bar_lengths: set[int] = field(default_factory=set)
    source: str | None = None


def read_bundle_database(folder: Path) -> BundleDatabase:
    """Read the database of a bundle.

    Parameters
    ----------
    folder : Path
        Of the bundle.

    Returns
    -------
    BundleDatabase
        Empty when there is none.

    Raises
    ------
    SourceError
        If there is one that cannot be read.

    """
    found = BundleDatabase()
    path = folder / NAME
    if not is_file(path):
        return found
    with tables_of(path) as tables:
        for row in tables.rows("datasets"):
            found.source = found.source or text(row, "source")
            seconds = _seconds(text(row, "resolution"))
            if seconds is not None:
                found.bar_lengths.add(seconds)
        found.symbol_lists = _symbol_lists(tables)
        for row in tables.rows("checksums"):
            file, checksum = text(row, "parquet_path"), text(row, "checksum")
            if file is not None and checksum is not None:
                found.checksums[file.replace("\\", "/")] = checksum.lower()
        for row in tables.rows("cache_entries"):
            key = text(row, "cache_key")
            if key is not None:
                found.cached[key] = row
    return found


def _symbol_lists(tables: Tables) -> list[list[LegacySymbol]]:
    by_dataset: dict[int, list[tuple[int, LegacySymbol]]] = {}
    for row in tables.rows("symbols"):
        symbol = text(row, "symbol")
        if symbol is not None:
            told = LegacySymbol(symbol, None, text(row, "asset_type"), text(row, "exchange"))
            number = whole(row, "symbol_id", "id") or 0
            by_dataset.setdefault(whole(row, "dataset_id") or 0, []).append((number, told))
    return [[told for _, told in sorted(pairs, key=lambda pair: pair[0])] for _, pairs in sorted(by_dataset.items())]


def _seconds(resolution: str | None) -> int | None:
    """Read ``1m``, ``1h``, ``1d`` and the like."""
    if resolution is None or not resolution[:-1].isdecimal() or resolution[-1] not in _SECONDS:
        return None
    return int(resolution[:-1]) * _SECONDS[resolution[-1]]
