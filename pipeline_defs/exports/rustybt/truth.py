"""What rustybt must give back, written down from the slice for another process.

The slice is read again here, so that a verification compares the files with the market data and not with what the
builder believed. The truth lies outside the export and is deleted afterwards.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.exports.generic.writing import ParquetWriter
from pipeline_defs.exports.rustybt.adjustments import Adjustments
from pipeline_defs.exports.rustybt.build import checked_bars
from pipeline_defs.exports.rustybt.checks import EXACT, VALUES
from pipeline_defs.exports.rustybt.naming import with_sids

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice

ASKED_FILE: Final = "expected.json"

BARS: Final[dict[str, pl.DataType]] = {
    "sid": pl.Int64(),
    "instrument_id": pl.Int32(),
    "session_date": pl.Date(),
    "timestamp": pl.Datetime("us", "UTC"),
    **dict.fromkeys(VALUES, EXACT),
}
"""Columns of the truth's files."""


def bars_file(bar_seconds: int) -> str:
    """Name the truth's file of a resolution.

    Parameters
    ----------
    bar_seconds : int
        Length of its bars.

    Returns
    -------
    str

    """
    return f"bars_{bar_seconds}.parquet"


def write_truth(built: BuiltExport, market: MarketSlice, folder: Path) -> list[str]:
    """Write down what rustybt must find.

    Parameters
    ----------
    built : BuiltExport
        What the builder wrote.
    market : MarketSlice
        Read in full, once.
    folder : Path
        Existing directory outside the export; receives `ASKED_FILE` and `bars_file` of every resolution.

    Returns
    -------
    list of str
        Nothing: every claim of the builder's is compared with what rustybt reads.

    """
    assets = with_sids(market)
    adjustments = Adjustments.of(market, assets)
    resolutions = [part for part in market.every_resolution if part.instruments.height]
    for part in resolutions:
        with ParquetWriter(folder / bars_file(part.bar_seconds), BARS) as writer:
            for bars in checked_bars(part, assets):
                adjustments.look_at(bars)
                writer.write(bars.select(pl.col(name).cast(dtype) for name, dtype in BARS.items()))
    tables = adjustments.tables()
    expected = {
        "decimal_bundle": built.details["decimal_bundle"],
        "run_bundle": built.details["run_bundle"],
        "resolutions": [part.bar_seconds for part in resolutions],
        "symbols": [list(row) for row in assets.select("sid", "rustybt_symbol").iter_rows()],
        "sessions": [
            [str(day), opens.isoformat(), closes.isoformat()]
            for day, opens, closes in market.sessions.sort("session_date")
            .select("session_date", "open", "close")
            .iter_rows()
        ],
        "adjustments": {
            table: [[row["sid"], row["effective_date"], row["ratio"]] for row in tables[table]]
            for table in ("splits", "dividends")
        },
    }
    (folder / ASKED_FILE).write_text(json.dumps(expected), encoding="utf-8")
    claimed = sum(int(part.instruments["row_count"].sum()) for part in resolutions)
    return [] if claimed == built.counts["bars"] else [f"bars: expected {claimed}, built {built.counts['bars']}"]
