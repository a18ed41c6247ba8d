"""Builds the files of one slice: checks, names, formats and writes, frame by frame.

The order of things belongs here; the things themselves live in `checks`, `naming`, `text`, `settlement`
and `contracts`. Backtrader is not imported; only its version is read.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.backtrader.checks import check_bars, check_expiries
from pipeline_defs.exports.backtrader.contracts import write_sidecar
from pipeline_defs.exports.backtrader.naming import bar_length, underlying_id, with_names
from pipeline_defs.exports.backtrader.settlement import EXPIRING, settlement_notes, with_settlements
from pipeline_defs.exports.backtrader.text import COLUMNS, EXCHANGE_ZONE, STAMP_FORMAT, csv_files
from pipeline_defs.exports.periods import change_notes, changing_terms, terms_as_text
from pipeline_defs.schema.exports import BAR_SCHEMA, BuiltExport, MarketSlice

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class _Written:
    """What came of one frame."""

    summary: pl.DataFrame
    underlying: pl.DataFrame


def engine_version() -> str:
    """Name the installed Backtrader.

    Returns
    -------
    str
        E.g. ``backtrader 1.9.78.123``.

    Raises
    ------
    ExportError
        If it is not installed: an export that no engine can confirm is not built.

    """
    try:
        return f"backtrader {version('backtrader')}"
    except PackageNotFoundError:
        raise ExportError(
            "Backtrader is not installed, so nothing could confirm the export",
            next_step="pip install 'market-data-pipeline[backtrader]'",
        ) from None


def build_files(market: MarketSlice, root: Path) -> BuiltExport:
    """Write the CSV files of a slice and their sidecar.

    Parameters
    ----------
    market : MarketSlice
        What to export.
    root : Path
        Existing, empty directory.

    Returns
    -------
    BuiltExport
        `details` holds the conventions and, under `notes`, every shortcoming a user must know of.

    Raises
    ------
    ExportError
        If Backtrader is not installed, the slice has no sessions, its reader gives other bars than it
        announces, or `checks` or `naming` refuses it.

    """
    engine = engine_version()
    where = f"{market.underlying} {market.start_date} to {market.end_date}"
    if market.sessions.is_empty():
        raise ExportError(
            "the slice holds no sessions, expected some",
            where=where,
            next_step="check that the session calendar covers the dates",
        )
    start, end = market.sessions.select(pl.col("open").min(), pl.col("close").max()).row(0)
    length = bar_length(market.bar_seconds)
    named = with_names(market.instruments, length)
    settles = underlying_id(named)
    changes = changing_terms(market)
    written = [_write_frame(frame, named, root, (start, end), settles) for frame in market.read_bars()]
    if not written:
        raise ExportError("the reader gave no bars", where=where, next_step="import the days first")
    summary = pl.concat(part.summary for part in written)
    _refuse_other_bars_than_announced(summary, named)
    underlying = pl.concat(part.underlying for part in written)
    described = with_settlements(
        named.drop("first_timestamp", "last_timestamp").join(
            summary, on="instrument_id", how="left", maintain_order="left"
        ),
        underlying,
        end,
    ).join(terms_as_text(changes), on="instrument_id", how="left", maintain_order="left")
    notes = [
        *settlement_notes(described, end, market.bar_seconds),
        *_lot_notes(described),
        *change_notes(changes, described.select("instrument_id", "name"), "contracts.json, under 'terms'"),
    ]
    underlying_name = None if settles is None else _name_of(named, settles)
    write_sidecar(root, market, described, underlying_name=underlying_name, notes=notes)
    return BuiltExport(
        root=root,
        counts={"bars": int(summary["rows"].sum()), "instruments": summary.height},
        instruments=described.select(
            "instrument_id",
            "rows",
            "first_timestamp",
            "last_timestamp",
            "close_sum",
            "volume_sum",
            engine_id="name",
        ).sort("instrument_id"),
        engine=engine,
        details={
            "columns": list(COLUMNS),
            "datetime_format": STAMP_FORMAT,
            "stamp": "close of the bar, naive exchange time",
            "timezone": EXCHANGE_ZONE,
            "timeframe": length.timeframe,
            "compression": length.compression,
            "multiplier": 1,
            "underlying": underlying_name,
            "contracts_settled": described["settlement_price"].count(),
            "terms_changing": changes["instrument_id"].n_unique(),
            "notes": notes,
        },
    )


def _write_frame(
    frame: pl.DataFrame, named: pl.DataFrame, root: Path, bounds: tuple[dt.datetime, dt.datetime], settles: int | None
) -> _Written:
    check_bars(frame, *bounds)
    terms = frame.select(pl.col("instrument_id").unique(maintain_order=True)).join(
        named, on="instrument_id", how="left", maintain_order="left"
    )
    for row in terms.filter(pl.col("file").is_null()).head(1).iter_rows(named=True):
        raise ExportError(
            "the reader gave bars of an instrument that the slice does not announce",
            where=f"instrument {row['instrument_id']}",
        )
    check_expiries(frame, terms)
    hashes = []
    for file, (_, content) in zip(terms["file"], csv_files(frame), strict=True):
        path = root / file
        if path.exists():
            raise ExportError("the reader gave the bars of one instrument in two frames, expected one", where=file)
        path.write_bytes(content)
        hashes.append(hashlib.sha256(content).hexdigest())
    summary = frame.group_by("instrument_id", maintain_order=True).agg(
        rows=pl.len().cast(pl.Int64),
        first_timestamp=pl.col("timestamp").min(),
        last_timestamp=pl.col("timestamp").max(),
        close_sum=pl.col("close").sum(),
        volume_sum=pl.col("volume").sum(),
    )
    return _Written(
        summary=summary.with_columns(sha256=pl.Series(hashes, dtype=pl.String)),
        underlying=frame.filter(pl.col("instrument_id") == pl.lit(settles, BAR_SCHEMA["instrument_id"])),
    )


def _refuse_other_bars_than_announced(summary: pl.DataFrame, named: pl.DataFrame) -> None:
    both = named.select("instrument_id", "name", "row_count").join(summary, on="instrument_id", how="left")
    for row in both.filter(pl.col("row_count").ne_missing(pl.col("rows"))).head(1).iter_rows(named=True):
        raise ExportError(
            f"the reader gave {row['rows'] or 0} bars, but the slice announces {row['row_count']}",
            where=row["name"],
            next_step="the data changed while it was read: export again",
        )


def _lot_notes(described: pl.DataFrame) -> list[str]:
    unknown = described.filter(EXPIRING & pl.col("lot_size").is_null()).height
    return [f"the lot size of {unknown} contracts is not known and is null in the sidecar"] if unknown > 0 else []


def _name_of(named: pl.DataFrame, instrument_id: int) -> str:
    return str(named.filter(pl.col("instrument_id") == instrument_id).item(0, "name"))
