"""Bundles of zipline's own kind: a folder for each ingestion, with bcolz tables and two SQLite files.

``assets-<n>.sqlite`` says which number is which symbol.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import SourceError
from pipeline_defs.migration import bcolz_daily, bcolz_minute
from pipeline_defs.migration.legacy import LegacySymbol
from pipeline_defs.migration.read_only import tables_of, text, whole
from pipeline_defs.migration.walking import entries_of, is_file

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.migration.read_only import Tables

_INGESTION: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}[;:_]\d{2}[;:_]\d{2}(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Ingestions:
    """The ingestions of a bundle.

    Parameters
    ----------
    current : str or None
        Name of the newest one that is whole.
    older : tuple of str
        Those before it, newest first.
    unfinished : tuple of str
        Newer ones that lack the tables or the symbols.

    """

    current: str | None
    older: tuple[str, ...]
    unfinished: tuple[str, ...]


def find_ingestions(folder: Path) -> Ingestions:
    """List the ingestions below a bundle's folder. Their names are times, and sort as such."""
    names = sorted((path.name for path in entries_of(folder) if _INGESTION.fullmatch(path.name)), reverse=True)
    place = next((place for place, name in enumerate(names) if _is_whole(folder / name)), None)
    if place is None:
        return Ingestions(None, (), tuple(names))
    return Ingestions(names[place], tuple(names[place + 1 :]), tuple(names[:place]))


def assets_file(folder: Path) -> Path | None:
    """Find the newest database of symbols of an ingestion."""
    found = {
        int(path.stem.removeprefix("assets-")): path
        for path in entries_of(folder)
        if path.suffix == ".sqlite" and path.stem.removeprefix("assets-").isdecimal()
    }
    return found[max(found)] if found else None


def read_symbols(folder: Path) -> list[LegacySymbol]:
    """Read which number is which symbol.

    Parameters
    ----------
    folder : Path
        Of an ingestion.

    Returns
    -------
    list of LegacySymbol
        By number. Of a share that changed its name, the last name.

    Raises
    ------
    SourceError
        If there is no such database, or it cannot be read.

    """
    path = assets_file(folder)
    if path is None:
        raise SourceError("there is no assets-<n>.sqlite, which says what the numbers are", where=str(folder))
    with tables_of(path) as tables:
        types = {whole(row, "sid"): text(row, "asset_type") for row in tables.rows("asset_router")}
        exchanges = {
            whole(row, "sid"): text(row, "exchange")
            for table in ("equities", "futures_contracts")
            for row in tables.rows(table)
        }
        return [
            LegacySymbol(symbol, sid, types.get(sid, "equity"), exchanges.get(sid))
            for sid, symbol in sorted(_names(tables).items())
        ]


def _is_whole(folder: Path) -> bool:
    tables = (folder / bcolz_daily.FOLDER / "__attrs__", folder / bcolz_minute.FOLDER / bcolz_minute.METADATA)
    return assets_file(folder) is not None and any(is_file(path) for path in tables)


def _names(tables: Tables) -> dict[int, str]:
    """Give the last symbol of each number."""
    ranked: list[tuple[int, int, str]] = []
    for table in ("equity_symbol_mappings", "futures_contracts", "equities"):
        for row in tables.rows(table):
            sid, symbol = whole(row, "sid"), text(row, "symbol")
            if sid is not None and symbol is not None:
                ranked.append((sid, whole(row, "end_date") or 0, symbol))
    return {sid: symbol for sid, _, symbol in sorted(ranked)}
