"""Builds the root of one slice: checks every bar, writes both bundles frame by frame, then what describes them.

The order of things belongs here; the things themselves live in `naming`, `checks`, `parquet_bundle` and `run_bundle`.
rustybt is not imported and need not be installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.rustybt.adjustments import Adjustments
from pipeline_defs.exports.rustybt.calendars import EXTENSION, calendar_name, extension_text
from pipeline_defs.exports.rustybt.checks import refuse_resolutions, with_sessions
from pipeline_defs.exports.rustybt.naming import bundle_name, with_sids
from pipeline_defs.exports.rustybt.parquet_bundle import BarFiles, bundle_folder, write_databases
from pipeline_defs.exports.rustybt.run_bundle import RunBundle
from pipeline_defs.schema.exports import BuiltExport, MarketSlice

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENGINE: Final = "rustybt 0.3.3"
"""The release whose formats are written; nothing older or newer was looked at."""

_LIMIT: Final = (
    "what bundles.load makes of the decimal bundle has the calendar NYSE and gives NaN from data.history, whatever is "
    "in the files: run backtests on the run bundle"
)


def build_root(market: MarketSlice, root: Path) -> BuiltExport:
    """Write both bundles of a slice, of every resolution it has.

    Parameters
    ----------
    market : MarketSlice
        What to export.
    root : Path
        Existing, empty directory; what ``ZIPLINE_ROOT`` shall name.

    Returns
    -------
    BuiltExport
        `details` names the bundles and the conventions and, under `notes`, every shortcoming a user must know of.

    Raises
    ------
    ExportError
        If the slice has no sessions or no bars, its reader gives other bars than it announces, or `naming` or
        `checks` refuses it.

    """
    where = f"{market.underlying} {market.start_date} to {market.end_date}"
    if market.sessions.is_empty():
        raise ExportError(
            "the slice holds no sessions, expected some",
            where=where,
            next_step="check that the session calendar covers the dates",
        )
    refuse_resolutions(market)
    name, assets = bundle_name(market), with_sids(market)
    bundle_folder(root, name).mkdir(parents=True)
    run, adjustments = RunBundle(root, name, market, assets), Adjustments.of(market, assets)
    claims = []
    for part in market.every_resolution:
        with BarFiles(bundle_folder(root, name), part.bar_seconds) as files:
            for frame in checked_bars(part, assets):
                files.write(frame)
                run.write(frame, part.bar_seconds)
                adjustments.look_at(frame)
                claims.append(_summed(frame, part.bar_seconds))
    rows = pl.concat(claims) if claims else pl.DataFrame()
    if rows.is_empty():
        raise ExportError("the reader gave no bars", where=where, next_step="import the days first")
    _refuse_other_bars_than_announced(market, rows)
    bars = int(rows["rows"].sum())
    write_databases(root, market, assets, bars, adjustments)
    run.finish(adjustments)
    (root / EXTENSION).write_text(extension_text(market, name, run.name if run.is_written else None), encoding="utf-8")
    return BuiltExport(
        root=root,
        counts={"bars": bars, "instruments": assets.height},
        instruments=rows.join(assets.select("instrument_id", engine_id="rustybt_symbol"), on="instrument_id")
        .select(
            *("instrument_id", "engine_id", "bar_seconds", "rows", "first_timestamp", "last_timestamp"),
            *("close_sum", "volume_sum"),
        )
        .sort("instrument_id", "bar_seconds"),
        engine=ENGINE,
        details=_details(market, name, assets, run, adjustments),
    )


def checked_bars(part: MarketSlice, assets: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Read the bars of one resolution, checked and numbered, in the order of the sids.

    Parameters
    ----------
    part : MarketSlice
        The slice of that resolution.
    assets : polars.DataFrame
        What `naming.with_sids` returned.

    Yields
    ------
    polars.DataFrame
        The slice's columns, `session_date`, `sid` and `bar_seconds`; each instrument lies wholly in one frame.

    Raises
    ------
    ExportError
        See `checks.with_sessions`.

    """
    known = assets.filter(pl.col("instrument_id").is_in(part.instruments["instrument_id"].implode()))
    # Asked for one after the other, since the files are sorted by sid and frames come in the order of instruments.
    for instrument_id, sid in known.select("instrument_id", "sid").iter_rows():
        for bars in part.read_bars([instrument_id]):
            if not bars.is_empty():
                yield with_sessions(bars, part).with_columns(sid=pl.lit(sid, pl.Int64))


def _summed(bars: pl.DataFrame, bar_seconds: int) -> pl.DataFrame:
    return bars.group_by("instrument_id").agg(
        bar_seconds=pl.lit(bar_seconds, pl.Int32),
        rows=pl.len().cast(pl.Int64),
        first_timestamp=pl.col("timestamp").min(),
        last_timestamp=pl.col("timestamp").max(),
        close_sum=pl.col("close").cast(pl.Decimal(38, 8)).sum(),
        volume_sum=pl.col("volume").cast(pl.Decimal(38, 8)).sum(),
    )


def _refuse_other_bars_than_announced(market: MarketSlice, rows: pl.DataFrame) -> None:
    announced = pl.concat(
        part.instruments.select("instrument_id", "symbol", "row_count", bar_seconds=pl.lit(part.bar_seconds, pl.Int32))
        for part in market.every_resolution
    )
    both = announced.join(rows, on=["instrument_id", "bar_seconds"], how="left")
    for row in both.filter(pl.col("row_count").ne_missing(pl.col("rows"))).head(1).iter_rows(named=True):
        raise ExportError(
            f"the reader gave {row['rows'] or 0} bars, but the slice announces {row['row_count']}",
            where=str(row["symbol"]),
            next_step="the data changed while it was read: export again",
        )


def _details(
    market: MarketSlice, name: str, assets: pl.DataFrame, run: RunBundle, adjustments: Adjustments
) -> dict[str, Any]:
    notes = [_LIMIT]
    if run.reason is not None:
        notes.append(f"the run bundle was left out: {run.reason}")
    if not adjustments.actions.is_empty():
        notes.append("dividends are paid on their ex-dates, since their payment dates are not known")
    if market.ticks is not None and not market.ticks.instruments.is_empty():
        ticks = int(market.ticks.instruments["row_count"].sum())
        notes.append(f"{ticks} ticks are left out: rustybt's bundles hold bars")
    return {
        "decimal_bundle": name,
        "run_bundle": run.name if run.is_written else None,
        "calendar": calendar_name(name) if run.is_written else None,
        "stamp": "date of the session for daily bars; close of the bar, naive UTC, for minutes",
        "sids": {row["rustybt_symbol"]: row["sid"] for row in assets.iter_rows(named=True)},
        "corporate_actions": adjustments.actions.height,
        "notes": notes,
    }
