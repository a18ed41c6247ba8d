"""Our parts of LEAN's two databases: market hours and symbol properties, and putting them into LEAN's own.

LEAN reads both files as a whole. Those of an export hold what its data need and nothing else; `merge_databases` puts
such entries into a copy of LEAN's originals, for a data folder that holds other markets as well.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.lean.kinds import LeanFormatError, SecurityType
from pipeline_defs.exports.lean.listings import write_text
from pipeline_defs.exports.lean.market_hours import (
    DATABASE_NAMES,
    HOURS_PATH,
    always_open,
    hours_entry,
    indian_sessions,
    session_hours,
)
from pipeline_defs.exports.lean.symbol_properties import (
    PROPERTIES_HEADER,
    PROPERTIES_PATH,
    PropertiesRow,
    properties_rows,
    read_rows,
)
from pipeline_defs.markets.sessions import IST

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exports import MarketSlice

INDIAN_TYPES: tuple[SecurityType, ...] = (
    SecurityType.EQUITY,
    SecurityType.INDEX,
    SecurityType.OPTION,
    SecurityType.INDEX_OPTION,
    SecurityType.FUTURE,
)
"""All get the same hours: a share's options would otherwise trade while the share does not, to LEAN."""


def write_databases(root: Path, market: MarketSlice, named: pl.DataFrame) -> list[str]:
    """Write both databases of an export.

    Parameters
    ----------
    root : Path
        Data folder.
    market : MarketSlice
        For its sessions.
    named : polars.DataFrame
        All instruments, of `pipeline_defs.exports.lean.symbols.with_symbols`.

    Returns
    -------
    list of str
        Notes on what had to be assumed.

    """
    entries: dict[str, Any] = {}
    if market.timezone == IST.key:
        hours = hours_entry(indian_sessions(session_hours(market.sessions, IST.key)), IST.key)
        entries = {f"{DATABASE_NAMES[security]}-india-[*]": hours for security in INDIAN_TYPES}
    for venue in named.filter(pl.col("security") == SecurityType.CRYPTO)["market"].unique().sort():
        entries[f"{DATABASE_NAMES[SecurityType.CRYPTO]}-{venue}-[*]"] = always_open(market.timezone)
    rows, notes = properties_rows(named)
    if entries:
        write_text(root / HOURS_PATH, hours_text(entries))
    write_text(root / PROPERTIES_PATH, properties_text(rows))
    return notes


def hours_text(entries: dict[str, Any]) -> str:
    """Write a database of market hours.

    Parameters
    ----------
    entries : dict
        Key to entry.

    Returns
    -------
    str

    """
    return json.dumps({"entries": dict(sorted(entries.items()))}, indent=1, ensure_ascii=True) + "\n"


def properties_text(rows: list[str]) -> str:
    """Write a database of symbol properties.

    Parameters
    ----------
    rows : list of str
        Lines.

    Returns
    -------
    str

    """
    return "\n".join([PROPERTIES_HEADER, *rows]) + "\n"


def read_hours(path: Path) -> dict[str, Any]:
    """Read a database of market hours.

    Parameters
    ----------
    path : Path
        Of the file.

    Returns
    -------
    dict
        Key to entry.

    Raises
    ------
    LeanFormatError
        If it is not JSON with an object ``entries``.

    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise LeanFormatError(f"is not readable as JSON: {error}", where=str(path)) from error
    entries = content.get("entries") if isinstance(content, dict) else None
    if not isinstance(entries, dict):
        raise LeanFormatError("holds no object 'entries'", where=str(path))
    return entries


def merge_databases(export: Path, lean_data: Path) -> list[str]:
    """Put the entries of an export into the databases of a LEAN data folder.

    Parameters
    ----------
    export : Path
        A published export, or a folder made by `pipeline_defs.exports.lean.merging.merge_months`.
    lean_data : Path
        The folder that LEAN reads, with LEAN's own two files. They are replaced; keep a copy, since LEAN's next update
        brings its own again.

    Returns
    -------
    list of str
        Keys of entries and rows that were set.

    Raises
    ------
    ExportError
        If LEAN's files are not there, or one of them is not readable.

    """
    for path in (HOURS_PATH, PROPERTIES_PATH):
        if not (lean_data / path).is_file():
            raise ExportError(
                f"holds no {path}, so it is not LEAN's data folder",
                where=str(lean_data),
                next_step="name the folder 'data' that 'lean init' made",
            )
    changed: list[str] = []
    if (export / HOURS_PATH).is_file():
        ours = read_hours(export / HOURS_PATH)
        theirs = read_hours(lean_data / HOURS_PATH)
        write_text(lean_data / HOURS_PATH, hours_text(theirs | ours))
        changed += sorted(ours)
    rows = read_rows((export / PROPERTIES_PATH).read_text(encoding="utf-8"))
    text = (lean_data / PROPERTIES_PATH).read_text(encoding="utf-8-sig")
    (lean_data / PROPERTIES_PATH).write_text(_with_rows(text, rows), encoding="utf-8")
    return changed + [",".join(row.key) for row in rows]


def _with_rows(text: str, rows: list[PropertiesRow]) -> str:
    """Replace the rows of the same key and put new ones at the end; LEAN refuses a key that is there twice."""
    keys = {row.key for row in rows}
    read_rows(text)
    kept = [line for line in text.splitlines() if tuple(line.lower().split(",")[:3]) not in keys]
    return "\n".join([*kept, *(row.text for row in rows)]) + "\n"
