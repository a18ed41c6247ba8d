"""Our parts of LEAN's two databases: market hours and symbol properties, and putting them into LEAN's own.

LEAN reads both files as a whole. Those of an export hold what its data need and nothing else; `merge_databases` puts
such entries into a copy of LEAN's originals, for a data folder that holds other markets as well.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.lean.kinds import LeanFormatError, SecurityType
from pipeline_defs.exports.lean.listings import write_text
from pipeline_defs.exports.lean.market_hours import (
    DATABASE_NAMES,
    HOURS_PATH,
    Hours,
    always_open,
    hours_entry,
    indian_sessions,
    oddity_of,
    session_hours,
)
from pipeline_defs.exports.lean.symbol_properties import (
    PROPERTIES_HEADER,
    PROPERTIES_PATH,
    PropertiesRow,
    properties_rows,
    read_rows,
)
from pipeline_defs.exports.lean.symbols import MARKET_OF_ZONE
from pipeline_defs.markets.sessions import IST

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline_defs.schema.exports import MarketSlice

EXCHANGE_TYPES: Final[tuple[SecurityType, ...]] = (
    SecurityType.EQUITY,
    SecurityType.INDEX,
    SecurityType.OPTION,
    SecurityType.INDEX_OPTION,
    SecurityType.FUTURE,
)
"""All get the same hours: a share's options would otherwise trade while the share does not, to LEAN."""

INDIA: Final = MARKET_OF_ZONE[IST.key]
"""The market of which LEAN's own entries are wrong or missing, so that ours replace them."""


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
    on_exchange = named.filter(pl.col("security") != SecurityType.CRYPTO)
    if not on_exchange.is_empty():
        name = on_exchange.item(0, "market")
        entries = exchange_entries(name, session_hours(market.sessions, market.timezone), market.timezone)
    for venue in named.filter(pl.col("security") == SecurityType.CRYPTO)["market"].unique().sort():
        entries[f"{DATABASE_NAMES[SecurityType.CRYPTO]}-{venue}-[*]"] = always_open(market.timezone)
    rows, notes = properties_rows(named)
    write_text(root / HOURS_PATH, hours_text(entries))
    write_text(root / PROPERTIES_PATH, properties_text(rows))
    return notes


def exchange_entries(market: str, own: Mapping[dt.date, Hours], timezone: str) -> dict[str, Any]:
    """Write the hours of an exchange for all types of securities.

    Parameters
    ----------
    market : str
        LEAN's, e.g. ``india``: of that one the whole calendar is known, of others the days of `own`.
    own : dict
        Hours of the sessions that there are data of.
    timezone : str
        Of the exchange.

    Returns
    -------
    dict
        Key to entry.

    """
    hours = hours_entry(indian_sessions(own) if market == INDIA else own, timezone)
    return {f"{DATABASE_NAMES[security]}-{market}-[*]": hours for security in EXCHANGE_TYPES}


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
    # An entry a line: thousands of dates, one below the other, are no easier to read.
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(entry)}" for key, entry in sorted(entries.items()))
    return f'{{"entries": {{\n{lines}\n}}}}\n'


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
    for key, entry in entries.items():
        if (oddity := oddity_of(entry)) is not None:
            raise LeanFormatError(f"the hours of {key} cannot be read: {oddity}", where=str(path))
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
        Keys of entries and rows that were set: those of India, and those of other markets that LEAN does not have. What
        LEAN itself says of other markets is better than what an export can know.

    Raises
    ------
    ExportError
        If a file is not there, or not readable.

    """
    for folder, path in ((folder, path) for folder in (export, lean_data) for path in (HOURS_PATH, PROPERTIES_PATH)):
        if not (folder / path).is_file():
            raise ExportError(
                f"holds no {path}",
                where=str(folder),
                next_step="name an export, and the folder 'data' that 'lean init' made",
            )
    theirs = read_hours(lean_data / HOURS_PATH)
    ours = {
        key: entry
        for key, entry in read_hours(export / HOURS_PATH).items()
        if key not in theirs or key.split("-")[1] == INDIA
    }
    text = (lean_data / PROPERTIES_PATH).read_text(encoding="utf-8-sig")
    known = {row.key for row in read_rows(text)}
    rows = [
        row
        for row in read_rows((export / PROPERTIES_PATH).read_text(encoding="utf-8"))
        if row.key not in known or row.market == INDIA
    ]
    write_text(lean_data / HOURS_PATH, hours_text(theirs | ours))
    (lean_data / PROPERTIES_PATH).write_text(_with_rows(text, rows), encoding="utf-8")
    return [*sorted(ours), *(",".join(row.key) for row in rows)]


def _with_rows(text: str, rows: list[PropertiesRow]) -> str:
    """Replace the rows of the same key and put new ones at the end; LEAN refuses a key that is there twice."""
    keys = {row.key for row in rows}
    kept = [line for line in text.splitlines() if tuple(line.lower().split(",")[:3]) not in keys]
    return "\n".join([*kept, *(row.text for row in rows)]) + "\n"
