"""Builds the files of one slice: checks, names, formats and writes, resolution by resolution, frame by frame.

The order of things belongs here; the things themselves live in `checks`, `naming`, `text`, `settlement`
and `contracts`. Backtrader is not imported; only its version is read.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.backtrader.checks import check_bars, check_expiries, is_volume_blurred, refuse_repeated_hours
from pipeline_defs.exports.backtrader.contracts import write_sidecar
from pipeline_defs.exports.backtrader.naming import bar_length, refuse_collisions, underlying_id, unite, with_names
from pipeline_defs.exports.backtrader.settlement import (
    BY_EXCHANGE,
    EXPIRING,
    last_close,
    settlement_notes,
    with_settlements,
)
from pipeline_defs.exports.backtrader.text import COLUMNS, GREEKS_COLUMNS, STAMP_FORMAT, csv_files, with_greeks
from pipeline_defs.exports.periods import change_notes, changing_terms, terms_as_text
from pipeline_defs.schema.exports import BuiltExport, MarketSlice

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path


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
    """Write the CSV files of a slice, of every resolution it has, and their sidecar.

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
    refuse_repeated_hours(market)
    parts = [
        (part, with_names(part.instruments, bar_length(part.bar_seconds)))
        for part in market.every_resolution
        # A market may have no bars of a further length.
        if part is market or part.instruments.height > 0
    ]
    refuse_collisions(named for _, named in parts)
    named = unite(named for _, named in parts)
    settles = underlying_id(named)
    changes = changing_terms(market)
    summaries, closes = [], []
    for part, part_named in parts:
        summary, underlying = _write_resolution(part, part_named, root, settles)
        if summary.is_empty():
            raise ExportError("the reader gave no bars", where=where, next_step="import the days first")
        summaries.append(summary)
        closes.append(underlying)
    files = pl.concat(summaries)
    described = with_settlements(named, closes[0], market).join(
        terms_as_text(changes), on="instrument_id", how="left", maintain_order="left"
    )
    notes = [
        *settlement_notes(described, last_close(market), market.bar_seconds),
        *_lot_notes(described),
        *change_notes(changes, described.select("instrument_id", "name"), "contracts.json, under 'terms'"),
        *_volume_notes(int(files["blurred_volumes"].sum())),
        *_tick_notes(market),
    ]
    underlying_name = None if settles is None else _name_of(named, settles)
    write_sidecar(root, market, described, files, underlying_name=underlying_name, notes=notes)
    return BuiltExport(
        root=root,
        counts={"bars": int(files["rows"].sum()), "instruments": described.height},
        instruments=files.select(
            "instrument_id",
            "bar_seconds",
            "rows",
            "first_timestamp",
            "last_timestamp",
            "close_sum",
            "volume_sum",
            engine_id="name",
        ).sort("instrument_id", "bar_seconds"),
        engine=engine,
        details={
            "columns": list(COLUMNS),
            "datetime_format": STAMP_FORMAT,
            "stamp": "close of the bar, naive exchange time",
            "timezone": market.timezone,
            # Of the finest bars, as in exports that hold no other.
            "timeframe": bar_length(market.bar_seconds).timeframe,
            "compression": bar_length(market.bar_seconds).compression,
            "resolutions": [bar_length(part.bar_seconds).to_json() for part, _ in parts],
            "multiplier": 1,
            "underlying": underlying_name,
            "contracts_settled": described["settlement_price"].count(),
            "settled_by_the_exchange": described.filter(pl.col("settlement_basis") == BY_EXCHANGE).height,
            "terms_changing": changes["instrument_id"].n_unique(),
            "notes": notes,
            **({} if market.read_greeks is None else {"greeks_columns": list(GREEKS_COLUMNS)}),
        },
    )


def _write_resolution(
    part: MarketSlice, named: pl.DataFrame, root: Path, settles: int | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Write the files of one resolution; give a row for each, and the underlying's bars."""
    bounds = part.sessions.select(pl.col("open").min(), pl.col("close").max()).row(0)
    no_bars = pl.DataFrame(schema=part.bar_schema)
    summaries, underlying = [_summed(no_bars, part.bar_seconds)], [no_bars]
    for frame in part.read_bars():
        terms = _check_frame(frame, part, named, bounds)
        options = terms.filter(pl.col("kind") == "OPT")["instrument_id"]
        told = with_greeks(frame, part.read_greeks, options)
        hashes = _write_frame(told, terms["file"].to_list(), root, part.timezone)
        summaries.append(_summed(frame, part.bar_seconds).with_columns(sha256=pl.Series(hashes, dtype=pl.String)))
        underlying.append(frame.filter(pl.col("instrument_id").eq_missing(pl.lit(settles, pl.Int32))))
    summary = pl.concat(summaries)
    if not summary.is_empty():
        _refuse_other_bars_than_announced(summary, named)
    return (
        summary.join(named.select("instrument_id", "name", "file"), on="instrument_id", how="left"),
        pl.concat(underlying),
    )


def _check_frame(
    frame: pl.DataFrame, part: MarketSlice, named: pl.DataFrame, bounds: tuple[dt.datetime, dt.datetime]
) -> pl.DataFrame:
    """Refuse what is wrong with a frame; give the terms of its instruments in their order."""
    check_bars(frame, part.bar_schema, *bounds)
    terms = frame.select(pl.col("instrument_id").unique(maintain_order=True)).join(
        named, on="instrument_id", how="left", maintain_order="left"
    )
    for row in terms.filter(pl.col("file").is_null()).head(1).iter_rows(named=True):
        raise ExportError(
            "the reader gave bars of an instrument that the slice does not announce",
            where=f"instrument {row['instrument_id']}",
        )
    check_expiries(frame, terms)
    return terms


def _write_frame(frame: pl.DataFrame, files: list[str], root: Path, zone: str) -> list[str]:
    hashes = []
    for file, (_, content) in zip(files, csv_files(frame, zone), strict=True):
        path = root / file
        if path.exists():
            raise ExportError("the reader gave the bars of one instrument in two frames, expected one", where=file)
        path.write_bytes(content)
        hashes.append(hashlib.sha256(content).hexdigest())
    return hashes


def _summed(bars: pl.DataFrame, bar_seconds: int) -> pl.DataFrame:
    return bars.group_by("instrument_id", maintain_order=True).agg(
        bar_seconds=pl.lit(bar_seconds, pl.Int32),
        rows=pl.len().cast(pl.Int64),
        first_timestamp=pl.col("timestamp").min(),
        last_timestamp=pl.col("timestamp").max(),
        close_sum=pl.col("close").sum(),
        volume_sum=pl.col("volume").sum(),
        sha256=pl.lit(None, pl.String),
        blurred_volumes=is_volume_blurred(bars).sum().cast(pl.Int64),
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


def _volume_notes(blurred: int) -> list[str]:
    if blurred == 0:
        return []
    return [f"the volume of {blurred} bars has more digits than a float: exact in the files, rounded by Backtrader"]


def _tick_notes(market: MarketSlice) -> list[str]:
    if market.ticks is None or market.ticks.instruments.is_empty():
        return []
    ticks = int(market.ticks.instruments["row_count"].sum())
    note = (
        f"{ticks} ticks of {market.ticks.instruments.height} instruments are left out: Backtrader's default form of a "
        "stamp has no fraction of a second, and its day numbers blur one by up to 5 microseconds; the bars hold their "
        "prices and volume"
    )
    return [note]


def _name_of(named: pl.DataFrame, instrument_id: int) -> str:
    return str(named.filter(pl.col("instrument_id") == instrument_id).item(0, "name"))
