"""Builds the files of one slice: reads, checks, writes and adds up, frame by frame, then describes.

The order of things belongs here; the things themselves live in `datasets`, `checks`, `writing` and `sidecar`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.generic.checks import RowChecks, check_announced
from pipeline_defs.exports.generic.datasets import Dataset, all_instruments, datasets
from pipeline_defs.exports.generic.reading import reader_version
from pipeline_defs.exports.generic.sidecar import CONVENTIONS, Written, write_sidecar
from pipeline_defs.exports.generic.summaries import Summary
from pipeline_defs.exports.generic.writing import WRITERS
from pipeline_defs.schema.exports import BuiltExport, MarketSlice
from pipeline_defs.schema.interchange import BARS, GREEKS, INSTRUMENTS, TERM_PERIODS, TICKS

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

_CLAIMS: Final = (
    *("instrument_id", "engine_id", "bar_seconds", "rows", "first_timestamp", "last_timestamp"),
    *("close_sum", "volume_sum"),
)


def build_files(market: MarketSlice, root: Path, file_format: str) -> BuiltExport:
    """Write the files of a slice and their sidecar.

    Parameters
    ----------
    market : MarketSlice
        What to export.
    root : Path
        Existing, empty directory.
    file_format : str
        ``csv`` or ``parquet``.

    Returns
    -------
    BuiltExport
        `counts` has ``bars`` of all resolutions, ``ticks`` and ``instruments``; `details` the conventions, rows by
        file and, under `notes`, what a user must know of.

    Raises
    ------
    ExportError
        If the slice has no sessions or no rows, its readers give other rows than it announces, or `checks` refuses
        one.

    """
    where = f"{market.underlying} {market.start_date} to {market.end_date}"
    if market.sessions.is_empty():
        raise ExportError(
            "the slice holds no sessions, expected some",
            where=where,
            next_step="check that the session calendar covers the dates",
        )
    bounds = market.sessions.select(pl.col("open").min(), pl.col("close").max()).row(0)
    # One name for an instrument in all files, whatever it was called on the days of each.
    names = all_instruments(market).select("instrument_id", engine_id="symbol")
    written, claims = [], []
    for dataset in datasets(market):
        path = root / f"{dataset.stem}.{file_format}"
        if dataset.bar_seconds is None:
            written.append(_write_small(dataset, path, file_format))
            continue
        entry, summary = _write_rows(dataset, path, file_format, bounds)
        written.append(entry)
        claims.append(
            summary.join(names, on="instrument_id", how="left", maintain_order="left")
            .with_columns(bar_seconds=pl.lit(dataset.bar_seconds, pl.Int32()))
            .select(_CLAIMS)
        )
    rows = {content: sum(e.rows for e in written if e.dataset.content == content) for content in (BARS, TICKS, GREEKS)}
    if not rows[BARS] + rows[TICKS]:
        raise ExportError("the readers gave no rows", where=where, next_step="import the days first")
    write_sidecar(root, market, file_format, written)
    return BuiltExport(
        root=root,
        counts={
            **{content: count for content, count in rows.items() if count or content == BARS},
            INSTRUMENTS: sum(e.rows for e in written if e.dataset.content == INSTRUMENTS),
        },
        instruments=pl.concat(claims).sort("instrument_id", "bar_seconds"),
        engine=reader_version(file_format),
        details=_details(market, written, file_format),
    )


def _write_rows(
    dataset: Dataset, path: Path, file_format: str, bounds: tuple[dt.datetime, dt.datetime]
) -> tuple[Written, pl.DataFrame]:
    checks = RowChecks(dataset, *bounds)
    summary = Summary(dataset.content, with_hashes=False)
    summary.add(pl.DataFrame(schema=dataset.schema))
    with WRITERS[file_format](path, dataset.schema) as writer:
        for rows in dataset.read():
            checks.check(rows)
            writer.write(rows)
            summary.add(rows)
    found = summary.by_instrument()
    check_announced(dataset, found)
    first, last = found.select(pl.col("first_timestamp").min(), pl.col("last_timestamp").max()).row(0)
    return Written(dataset, int(found["rows"].sum()), summary.kinds, first, last), found


def _write_small(dataset: Dataset, path: Path, file_format: str) -> Written:
    count = 0
    with WRITERS[file_format](path, dataset.schema) as writer:
        for rows in dataset.read():
            writer.write(rows)
            count += rows.height
    return Written(dataset, count, (), None, None)


def _details(market: MarketSlice, written: list[Written], file_format: str) -> dict[str, Any]:
    notes = []
    periods = market.term_periods
    if periods is not None:
        changing = periods.filter(pl.len().over("instrument_id") > 1)["instrument_id"].n_unique()
        if changing:
            notes.append(
                f"the terms of {changing} instruments change within the export: each row has those of its own trade "
                f"date, {INSTRUMENTS}.{file_format} those of the last row, {TERM_PERIODS}.{file_format} all by date"
            )
    derivatives = all_instruments(market).filter(pl.col("kind").is_in(["OPT", "FUT"]))
    unknown = derivatives["lot_size"].null_count()
    if unknown:
        notes.append(f"the lot size of {unknown} contracts is not known and is empty")
    return {
        "conventions": CONVENTIONS,
        "rows": {f"{entry.dataset.stem}.{file_format}": entry.rows for entry in written},
        "notes": notes,
    }
