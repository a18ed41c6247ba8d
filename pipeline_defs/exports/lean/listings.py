"""The files beside the data that LEAN looks for: universes of options and futures, map and factor files of shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from pipeline_defs.exports.lean.corporate import factor_text, map_text
from pipeline_defs.exports.lean.greeks import with_greeks
from pipeline_defs.exports.lean.kinds import SecurityType
from pipeline_defs.exports.lean.universes import universe_files
from pipeline_defs.schema.exports import ACTION_SCHEMA

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exports import MarketSlice


def write_listings(
    root: Path, market: MarketSlice, named: pl.DataFrame, daily: pl.DataFrame
) -> tuple[dict[str, int], list[str]]:
    """Write universes, map files and factor files.

    Parameters
    ----------
    root : Path
        Data folder.
    market : MarketSlice
        For its corporate actions and Greeks.
    named : polars.DataFrame
        All instruments, of `pipeline_defs.exports.lean.symbols.with_symbols`.
    daily : polars.DataFrame
        Daily bars of all of them.

    Returns
    -------
    tuple of dict and list of str
        How many of each were written, and notes on what was left out.

    """
    notes: list[str] = []
    counts = {"universes": 0, "map_files": 0, "factor_files": 0}
    for path, text in universe_files(with_greeks(daily, market), named):
        write_text(root / path, text)
        counts["universes"] += 1
    actions = pl.DataFrame(schema=ACTION_SCHEMA) if market.actions is None else market.actions
    for row in named.filter(pl.col("security") == SecurityType.EQUITY).iter_rows(named=True):
        own = daily.filter(pl.col("instrument_id") == row["instrument_id"])
        closes = dict(own.select("session_date", "close").iter_rows())
        folder = root / "equity" / row["market"]
        write_text(folder / "map_files" / f"{row['ticker']}.csv", map_text(row["ticker"]))
        own_actions = actions.filter(pl.col("instrument_id") == row["instrument_id"])
        factors, left_out = factor_text(own_actions, closes, str(row["engine_id"]))
        notes += left_out
        write_text(folder / "factor_files" / f"{row['ticker']}.csv", factors)
        counts["map_files"] += 1
        counts["factor_files"] += 1
    return counts, notes


def write_text(path: Path, text: str) -> None:
    """Write a file, and the folders above it.

    Parameters
    ----------
    path : Path
        Of the file.
    text : str
        ASCII, with LF.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("ascii"))
