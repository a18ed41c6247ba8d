"""When open interest is known, which is what its stamp must say: to LEAN it is an instant, not a bar.

A bar's open interest is known when the bar closes. LEAN hands a line out at its stamp: one with the start of the bar
would be early by the bar's length, by a whole session for daily bars. So lines within the day carry the close, and a
line of a daily file carries the midnight before the next session, the first instant of daily data at which it is
known.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import polars as pl

from pipeline_defs.exports.lean.kinds import Resolution
from pipeline_defs.markets.sessions import IST, first_covered_date, last_covered_date, next_session

if TYPE_CHECKING:
    from pipeline_defs.exports.lean.grid import Sessions


def with_interest_times(bars: pl.DataFrame, grid: Sessions, resolution: Resolution, timezone: str) -> pl.DataFrame:
    """Keep the bars that tell of open interest and add when it is known.

    Parameters
    ----------
    bars : polars.DataFrame
        With `session_date` and `timestamp`, the close.
    grid : polars.DataFrame
        Of `pipeline_defs.exports.lean.grid.session_grid`.
    resolution : Resolution
        Of the bars.
    timezone : str
        Zone of the data in LEAN.

    Returns
    -------
    polars.DataFrame
        With `known` (UTC).

    """
    told = bars.filter(pl.col("open_interest").is_not_null())
    if resolution is not Resolution.DAILY:
        return told.with_columns(known="timestamp")
    return told.join(following_midnights(grid, timezone), on="session_date", how="left", maintain_order="left").rename(
        {"following": "known"}
    )


def following_midnights(grid: Sessions, timezone: str) -> pl.DataFrame:
    """Give the midnight before the next session, for every session.

    Parameters
    ----------
    grid : polars.DataFrame
        Of `pipeline_defs.exports.lean.grid.session_grid`.
    timezone : str
        Zone of the data in LEAN.

    Returns
    -------
    polars.DataFrame
        `session_date` and `following` (UTC). After the last one it is that of the calendar, or the next day where the
        calendar says nothing.

    """
    last = grid["session_date"][-1]
    after = last + dt.timedelta(days=1)
    if timezone == IST.key and first_covered_date() <= last < last_covered_date():
        after = next_session(last)
    days = [*grid["session_date"][1:], after]
    midnight = pl.col("day").cast(pl.Datetime("us")).dt.replace_time_zone(timezone).dt.convert_time_zone("UTC")
    frame = pl.DataFrame({"session_date": grid["session_date"], "day": days}, schema_overrides={"day": pl.Date()})
    return frame.select("session_date", following=midnight)
