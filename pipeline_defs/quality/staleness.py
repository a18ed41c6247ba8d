"""Prices that stand still while the market moves: a feed that hung repeats its last value.

Options that do not trade are not stale, and neither is a future that seldom trades: only indices, pairs, and futures
that have a row in nearly every minute are held against it. How long a standstill may be follows from how often the
instrument's price stays where it is anyway: a share future at 7 rupees does so for many minutes, an index never.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.quality.series import within_series
from pipeline_defs.quality.specs import FUTURES, INTRADAY, MOST_FAILURES, Failure, Outcome
from pipeline_defs.schema.tables import MINUTE

if TYPE_CHECKING:
    from pipeline_defs.quality.day import Day

SHORTEST_MINUTES: Final = 10
"""No standstill shorter than this is stale."""

_LONGEST_BAR_SECONDS: Final = 300
_LIQUID_SHARE: Final = 0.8
"""A future with rows in this part of the session's minutes is liquid."""

_CHANCE: Final = 1e-3
"""How likely a standstill of an honest price may be, at most, to be called stale."""

_OTHERS: Final = """
SELECT FROM {table} AS o
WHERE o."timestamp" > %(first)s AND o."timestamp" <= %(last)s AND o.source = %(source)s
  AND o.instrument_id <> ALL (%(own)s)
"""

# Whether anything else traded or moved within the standstill; the first row that did ends the search.
_OTHERS_MOVED: Final = f"""
SELECT EXISTS ({_OTHERS} AND (o.high > o.low OR o.volume > 0))
    OR EXISTS ({_OTHERS} GROUP BY o.instrument_id, o.bar_seconds HAVING min(o.close) < max(o.close))
"""


def judge_staleness(day: Day, series: pl.DataFrame) -> Outcome:
    """Look for standstills.

    Parameters
    ----------
    day : Day
        The partition.
    series : polars.DataFrame
        Its prices, as `pipeline_defs.quality.series.read_series` gives them.

    Returns
    -------
    Outcome
        `examined` counts instruments; `failing` counts standstills.

    """
    minutes = _minutes(series)
    liquid = minutes.group_by("bar_seconds", "instrument_id").agg(
        kind=pl.col("kind").first(),
        share=pl.len() * pl.max_horizontal(60, "bar_seconds").first() / 60 / max(day.minutes, 1.0),
    )
    judged = liquid.filter(pl.col("kind").is_in(["SPOT", "PAIR"]) | (pl.col("share") >= _LIQUID_SHARE))
    minutes = minutes.join(judged, on=["bar_seconds", "instrument_id"], how="semi")
    failures = []
    failing = 0
    for run in _standstills(minutes).iter_rows(named=True):
        if _others_moved(day, run):
            failing += 1
            failures.append(
                Failure(
                    f"stood at {run['close']:.10g} for {run['minutes']} minutes, from {day.clock(run['first'])} to"
                    f" {day.clock(run['last'])}, while others traded; at most {run['limit']} minutes are usual",
                    run["instrument_id"],
                    run["first"],
                    run["bar_seconds"],
                )
            )
    return Outcome(
        judged.height,
        failing,
        f"no standstill of {SHORTEST_MINUTES} minutes or more while others trade",
        f"standstills: {failing}" if failing else f"none, of {judged.height} indices, pairs and liquid futures",
        failures=tuple(failures[:MOST_FAILURES]),
    )


def _minutes(series: pl.DataFrame) -> pl.DataFrame:
    """Fold ticks and bars of seconds into minutes; longer bars stay as they are."""
    short = series.filter(
        pl.col("bar_seconds") <= _LONGEST_BAR_SECONDS, pl.col("kind").is_in(["SPOT", "PAIR", "FUT", "CONT"])
    )
    is_tick = pl.col("bar_seconds") < MINUTE
    minute = pl.when(is_tick).then(pl.col("timestamp").dt.offset_by("1m").dt.truncate("1m")).otherwise("timestamp")
    return (
        short.with_columns(minute=minute)
        .group_by("bar_seconds", "instrument_id", "minute", maintain_order=True)
        .agg(
            pl.col("kind").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
        )
        .sort("bar_seconds", "instrument_id", "minute")
    )


def _standstills(minutes: pl.DataFrame) -> pl.DataFrame:
    """List the runs of unchanged minutes that are longer than the instrument's own habit explains."""
    unchanged = (pl.col("high") == pl.col("low")) & (pl.col("close") == within_series("close", 1))
    flagged = minutes.with_columns(flat=unchanged.fill_null(value=False)).with_columns(
        run=pl.struct("bar_seconds", "instrument_id", "flat").rle_id()
    )
    runs = (
        flagged.with_columns(before=within_series("minute", 1))
        .filter("flat")
        .group_by("bar_seconds", "instrument_id", "run", maintain_order=True)
        .agg(
            pl.col("close").first(),
            first=pl.col("before").first(),
            last=pl.col("minute").last(),
            bars=pl.len(),
        )
        .with_columns(minutes=(pl.col("last") - pl.col("first")).dt.total_minutes())
    )
    longest = runs.group_by("bar_seconds", "instrument_id").agg(longest=pl.col("bars").max(), flat=pl.col("bars").sum())
    habits = (
        flagged.group_by("bar_seconds", "instrument_id")
        .agg(rows=pl.len())
        .join(longest, on=["bar_seconds", "instrument_id"])
        # The habit is that of the rest of the day: the longest standstill must not excuse itself.
        .with_columns(habit=(pl.col("flat") - pl.col("longest")) / (pl.col("rows") - pl.col("longest")).clip(1))
        .with_columns(
            bars_limit=(math.log(_CHANCE) - pl.col("rows").cast(pl.Float64).log())
            / pl.col("habit").clip(1e-9, 1 - 1e-9).log()
        )
        .with_columns(
            limit=pl.max_horizontal(
                SHORTEST_MINUTES, pl.col("bars_limit").ceil() * pl.max_horizontal(60, "bar_seconds") / 60
            ).cast(pl.Int64)
        )
    )
    return runs.join(habits, on=["bar_seconds", "instrument_id"]).filter(pl.col("minutes") >= pl.col("limit"))


def _others_moved(day: Day, run: dict[str, object]) -> bool:
    # A rolling future is the same contract as another: it hangs when that one does, and proves nothing.
    own = [run["instrument_id"]]
    if day.dataset == FUTURES:
        symbols = day.instruments
        expiry = symbols.filter(pl.col("instrument_id") == run["instrument_id"]).select("underlying", "expiry")
        own = symbols.join(expiry, on=["underlying", "expiry"], how="semi")["instrument_id"].to_list()
    window = {"first": run["first"], "last": run["last"], "source": day.source, "own": own}
    return any(
        day.connection.execute(_OTHERS_MOVED.replace("{table}", table).encode(), window).fetchall()[0][0]
        for table in INTRADAY
    )
