"""Builds the data folder of one slice: names, bars, quotes, listings, databases.

The order of things belongs here; the things themselves have modules of their own. LEAN is C# and is not installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.lean.archive import ZipFolder, compression_library
from pipeline_defs.exports.lean.databases import write_databases
from pipeline_defs.exports.lean.grid import session_grid
from pipeline_defs.exports.lean.kinds import RESOLUTION_OF_SECONDS, OptionStyle, SecurityType
from pipeline_defs.exports.lean.listings import write_listings
from pipeline_defs.exports.lean.quotes import QUOTE_SECONDS
from pipeline_defs.exports.lean.symbols import KNOWN_VENUES, with_symbols
from pipeline_defs.exports.lean.writing import FolderWriter
from pipeline_defs.exports.periods import change_notes, changing_terms
from pipeline_defs.schema.exports import BuiltExport

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exports import MarketSlice

ENGINE: Final = "LEAN data folder, format of August 2026"
"""The engine itself is not at hand: this says what the files follow."""

_HOUR: Final = 3_600


def build_folder(market: MarketSlice, root: Path, option_style: OptionStyle) -> BuiltExport:
    """Write a slice as a LEAN data folder.

    Parameters
    ----------
    market : MarketSlice
        What to export, at every resolution that LEAN has.
    root : Path
        Existing, empty directory.
    option_style : OptionStyle
        Of options on shares.

    Returns
    -------
    BuiltExport
        `details` holds the conventions and, under `notes`, every shortcoming a user must know of.

    Raises
    ------
    ExportError
        If no resolution of the slice has a place in LEAN, the reader gives other bars than the slice announces, or
        `checks`, `grid` or `symbols` refuses it.

    """
    parts = written_parts(market)
    grid = session_grid(market.sessions, market.timezone)
    changes = changing_terms(market)
    named = [with_symbols(part.instruments, market.timezone, option_style) for part in parts]
    with ZipFolder(root) as zips:
        writer = FolderWriter(zips, grid, market.timezone)
        for part, symbols in zip(parts, named, strict=True):
            writer.write_bars(part, symbols)
        if market.ticks is not None:
            named.append(with_symbols(market.ticks.instruments, market.timezone, option_style))
            writer.write_quotes(market.ticks, market, named[-1])
        paths = zips.paths
    every = pl.concat(named).unique("engine_id", keep="first", maintain_order=True)
    daily = pl.concat(writer.daily).unique(["instrument_id", "session_date"], keep="first", maintain_order=True)
    listed, left_out = write_listings(root, market, every, daily)
    assumed = write_databases(root, market, every)
    instruments = pl.concat(writer.summaries).sort("instrument_id", "bar_seconds")
    return BuiltExport(
        root=root,
        counts={
            "bars": int(instruments["rows"].sum()),
            "instruments": instruments["instrument_id"].n_unique(),
            **writer.counts,
            "zips": len(paths),
            "entries": zips.entries,
            **listed,
        },
        instruments=instruments,
        engine=ENGINE,
        details={
            "resolutions": [RESOLUTION_OF_SECONDS[part.bar_seconds].value for part in parts],
            "stamp": "start of the bar in the data's zone; open interest: when it is known",
            "timezone": market.timezone,
            "quote_bars_seconds": QUOTE_SECONDS if writer.counts["quotes"] > 0 else None,
            "option_style": option_style.value if SecurityType.OPTION in set(every["security"]) else None,
            "multiplier": 1,
            "compression": compression_library(),
            "terms_changing": changes["instrument_id"].n_unique(),
            "notes": [*_notes(market, every), *left_out, *assumed, *_change_notes(changes, every)],
        },
    )


def written_parts(market: MarketSlice) -> list[MarketSlice]:
    """Give the resolutions of a slice that LEAN has.

    Parameters
    ----------
    market : MarketSlice
        The slice.

    Returns
    -------
    list of MarketSlice
        The finest first.

    Raises
    ------
    ExportError
        If there is none.

    """
    parts = [part for part in market.every_resolution if part.bar_seconds in RESOLUTION_OF_SECONDS]
    if not parts:
        raise ExportError(
            f"bars of {_lengths(market.every_resolution)} seconds have no place in a LEAN data folder, expected "
            f"{', '.join(str(seconds) for seconds in RESOLUTION_OF_SECONDS)} seconds",
            where=f"{market.underlying} {market.start_date} to {market.end_date}",
            next_step="export minutes and let LEAN consolidate them",
        )
    return parts


def _notes(market: MarketSlice, named: pl.DataFrame) -> list[str]:
    notes: list[str] = []
    securities = set(named["security"])
    left_out = [part for part in market.every_resolution if part.bar_seconds not in RESOLUTION_OF_SECONDS]
    if left_out:
        notes.append(
            f"bars of {_lengths(left_out)} seconds are left out, LEAN's files have no such resolution: consolidate the "
            "minutes in the algorithm"
        )
    if any(part.bar_seconds == _HOUR for part in market.every_resolution) and SecurityType.CRYPTO not in securities:
        notes.append(
            "hour bars start with the session (09:15), LEAN ends each an hour later: the last one of a session, which "
            "is shorter, reaches the algorithm after the close"
        )
    if SecurityType.FUTURE in securities:
        notes.append(
            "LEAN computes the expiry of a future from its contract month: for NIFTY the last Thursday, for an "
            "underlying it does not know the first of the month; compare with the contract's own expiry"
        )
    if SecurityType.INDEX_OPTION in securities and SecurityType.INDEX not in securities:
        notes.append("the index is not in the export: universes have no row for it, and options settle on nothing")
    if SecurityType.OPTION in securities and SecurityType.EQUITY not in securities:
        notes.append("the share is not in the export: universes have no row for it, and options settle on nothing")
    unknown = sorted(set(named.filter(pl.col("security") == SecurityType.CRYPTO)["market"]) - KNOWN_VENUES)
    notes += [f"LEAN knows no market {venue!r}: add it in the algorithm with Market.add" for venue in unknown]
    return notes


def _change_notes(changes: pl.DataFrame, named: pl.DataFrame) -> list[str]:
    return change_notes(
        changes, named.select("instrument_id", name="engine_id"), "the warehouse ('pipeline terms show')"
    )


def _lengths(parts: Any) -> str:  # noqa: ANN401 -- any iterable of slices
    return ", ".join(str(part.bar_seconds) for part in parts)
