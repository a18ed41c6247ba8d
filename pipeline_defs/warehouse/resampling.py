"""Bars of a greater length out of finer bars or ticks, session by session.

Buckets start at the open of each session, as in `options_hourly` and `options_daily`: the first hour of NSE starts at
09:15, the last one ends with the session, and a day is a session. A bucket holds what was complete within it: a bar by
its close, since the last one of a session may be shorter than the others; what is stamped at the very close of a
session belongs to the last bucket. Polars only.
"""

from __future__ import annotations

import polars as pl

from pipeline_defs.schema.columns import TIMESTAMP


def resample(bars: pl.DataFrame, sessions: pl.DataFrame, *, from_seconds: int, to_seconds: int) -> pl.DataFrame:
    """Put bars together.

    Parameters
    ----------
    bars : polars.DataFrame
        `BAR_SCHEMA` (volumes of either type), sorted by (instrument_id, timestamp) and, among ticks of one instant, in
        their order; stamps are closes.
    sessions : polars.DataFrame
        `open` and `close` (UTC), sorted; they do not overlap. Observations outside all of them are left out.
    from_seconds : int
        Length of the bars given, 0 for ticks.
    to_seconds : int
        Length wanted.

    Returns
    -------
    polars.DataFrame
        Schema and order of `bars`; stamped at the close of the bucket, the last one of a session at the session's.
        `open_interest` is that of the last observation of a bucket.

    """
    # The last instant of a bar; of its length only that it is above zero is believed.
    within = pl.col("timestamp") - pl.duration(microseconds=min(from_seconds, 1))
    bounds = sessions.select(session_open=pl.col("open"), session_close=pl.col("close")).sort("session_open")
    placed = (
        bars.lazy()
        .with_columns(within=within)
        .sort("within", maintain_order=True)
        .join_asof(bounds.lazy(), left_on="within", right_on="session_open", strategy="backward")
        .filter(pl.col("timestamp") <= pl.col("session_close"))
        .with_columns(_close_of_bucket(to_seconds))
    )
    resampled = (
        placed.group_by("instrument_id", "bucket_close", maintain_order=True)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume").sum(),
            pl.col("open_interest").last(),
        )
        .rename({"bucket_close": "timestamp"})
        .select(bars.columns)
        .sort("instrument_id", "timestamp")
    )
    return resampled.collect().cast(bars.schema)


def _close_of_bucket(seconds: int) -> pl.Expr:
    length = pl.duration(seconds=seconds)
    session = pl.col("session_close") - pl.col("session_open")
    last = (session.dt.total_microseconds() - 1) // (seconds * 1_000_000)
    elapsed = (pl.col("within") - pl.col("session_open")).dt.total_microseconds()
    number = pl.min_horizontal(elapsed // (seconds * 1_000_000), last)
    close = pl.min_horizontal(pl.col("session_open") + (number + 1) * length, pl.col("session_close"))
    return close.cast(TIMESTAMP).alias("bucket_close")
