"""From close stamps to the start stamps of LEAN and back, over a grid that begins with each session.

LEAN keeps only where a bar starts; where it ends follows from its length and, for the last bar of a session, from the
session's close. So every bar must lie on that grid: one that does not would come back with another stamp, and is
refused.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.schema.tables import DAY

_MICROSECONDS: Final = 1_000_000

type Sessions = pl.DataFrame


def session_grid(sessions: pl.DataFrame, timezone: str) -> Sessions:
    """Prepare the sessions of a slice for look-ups.

    Parameters
    ----------
    sessions : polars.DataFrame
        `session_date`, `open` and `close` (UTC).
    timezone : str
        Zone of the data in LEAN.

    Returns
    -------
    polars.DataFrame
        Sorted, with `midnight` added: the instant (UTC) from which milliseconds are counted.

    Raises
    ------
    ExportError
        If there are no sessions, or one does not lie within one day of the zone: its bars could not share a file.

    """
    if sessions.is_empty():
        raise ExportError(
            "the slice holds no sessions, expected some",
            next_step="check that the session calendar covers the dates",
        )
    midnight = pl.col("session_date").cast(pl.Datetime("us")).dt.replace_time_zone(timezone).dt.convert_time_zone("UTC")
    grid = sessions.sort("open").with_columns(midnight=midnight)
    inside = (pl.col("open") >= pl.col("midnight")) & (pl.col("close") - pl.col("midnight") <= pl.duration(days=1))
    for row in grid.filter(~inside).head(1).iter_rows(named=True):
        raise ExportError(
            f"the session lasts from {row['open']} to {row['close']}, which is not within that day in {timezone}: LEAN "
            "has one file a day",
            where=f"session {row['session_date']}",
        )
    return grid


def with_starts(frame: pl.DataFrame, grid: Sessions, bar_seconds: int) -> pl.DataFrame:
    """Add where each bar starts.

    Parameters
    ----------
    frame : polars.DataFrame
        `instrument_id` and `timestamp`, the close of each bar.
    grid : polars.DataFrame
        Of `session_grid`.
    bar_seconds : int
        Length of the bars.

    Returns
    -------
    polars.DataFrame
        With `session_date` and `start` (UTC); of daily bars `start` is the session's midnight, which is what LEAN
        keeps.

    Raises
    ------
    ExportError
        If a stamp lies outside the sessions or, within the day, is not the end of a bar on the grid.

    """
    placed = _with_sessions(frame, grid, grid["close"].search_sorted(frame["timestamp"], side="left"))
    outside = placed.filter(pl.col("opens").is_null() | (pl.col("timestamp") <= pl.col("opens")))
    for row in outside.head(1).iter_rows(named=True):
        raise ExportError(
            f"the close stamp lies outside the sessions, {grid['open'][0]} to {grid['close'][-1]}",
            where=f"instrument {row['instrument_id']} at {row['timestamp']}",
            next_step="correct the import of that day, then export again",
        )
    if bar_seconds == DAY:
        return placed.with_columns(start="midnight").drop("opens", "closes", "midnight")
    started = placed.with_columns(start=_start(pl.col("timestamp") - pl.duration(microseconds=1), bar_seconds))
    for row in (
        started.filter(end_of("start", "closes", bar_seconds) != pl.col("timestamp")).head(1).iter_rows(named=True)
    ):
        raise ExportError(
            f"the stamp is not the end of a bar of {bar_seconds} seconds counted from the session's open at "
            f"{row['opens']}; LEAN keeps where a bar starts, not where it ends",
            where=f"instrument {row['instrument_id']} at {row['timestamp']}",
            next_step="export a resolution that the pipeline derives from finer bars",
        )
    return started.drop("opens", "closes", "midnight")


def with_tick_starts(ticks: pl.DataFrame, grid: Sessions, bar_seconds: int) -> pl.DataFrame:
    """Add the start of the bar that each tick falls into: the one that begins with it or before it.

    Parameters
    ----------
    ticks : polars.DataFrame
        With `timestamp`.
    grid : polars.DataFrame
        Of `session_grid`.
    bar_seconds : int
        Length of the bars.

    Returns
    -------
    polars.DataFrame
        With `session_date`, `start` and `timestamp`, now the close of the bar; ticks outside the sessions are left
        out. A tick at the very close belongs to the last bar, as it does in the warehouse's own bars.

    """
    placed = _with_sessions(ticks, grid, grid["close"].search_sorted(ticks["timestamp"], side="left"))
    inside = placed.filter(pl.col("timestamp") >= pl.col("opens"))
    last = pl.col("closes") - pl.duration(microseconds=1)
    return inside.with_columns(start=_start(pl.min_horizontal("timestamp", last), bar_seconds)).with_columns(
        timestamp=end_of("start", "closes", bar_seconds)
    )


def end_of(start: str, close: str, bar_seconds: int) -> pl.Expr:
    """Say when a bar ends.

    Parameters
    ----------
    start, close : str
        Columns: where it starts, and the close of its session.
    bar_seconds : int
        Length of the bars.

    Returns
    -------
    polars.Expr
        A length after its start, but no later than the session's close.

    """
    return pl.min_horizontal(pl.col(start) + pl.duration(seconds=bar_seconds), close)


def _start(instant: pl.Expr, bar_seconds: int) -> pl.Expr:
    length = bar_seconds * _MICROSECONDS
    since_open = (instant - pl.col("opens")).dt.total_microseconds()
    return pl.col("opens") + pl.duration(microseconds=since_open // length * length)


def _with_sessions(frame: pl.DataFrame, grid: Sessions, places: pl.Series) -> pl.DataFrame:
    beyond = pl.when(places < grid.height).then(places).otherwise(None)
    at = pl.select(beyond.alias("at"))["at"]
    columns = {"session_date": "session_date", "open": "opens", "close": "closes", "midnight": "midnight"}
    return frame.with_columns(grid[name].gather(at).alias(alias) for name, alias in columns.items())
