"""Whether all is there: sessions against the market's calendar, rows against what is expected and usual."""

from __future__ import annotations

import datetime as dt
import statistics
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import MarketRuleError
from pipeline_defs.quality.specs import MOST_FAILURES, Failure, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.quality.day import Day
    from pipeline_defs.quality.expectations import Expectation, Expectations

LOOK_BACK_DAYS: Final = 14
"""A source that gave nothing for longer than this has begun anew: what lies before is not missed."""

_USUAL_DAYS: Final = 30
_FEWEST_USUAL: Final = 3
_REGULAR_MINUTES: Final = 375.0

_DELIVERED: Final = """
SELECT DISTINCT trade_date FROM loads
WHERE dataset = %(dataset)s AND source = %(source)s AND status IN ('complete', 'empty')
  AND trade_date BETWEEN %(trade_date)s - %(days)s AND %(trade_date)s
"""

_USUAL: Final = """
SELECT bar_seconds, trade_date, rows FROM partition_fingerprints
WHERE dataset = %(dataset)s AND source = %(source)s
  AND trade_date >= %(trade_date)s - %(days)s AND trade_date < %(trade_date)s
"""


def judge_sessions(day: Day) -> Outcome:
    """Look for sessions of which nothing was delivered, from the delivery before up to this one.

    Parameters
    ----------
    day : Day
        The partition.

    Returns
    -------
    Outcome
        `examined` counts sessions. A session that is not over is not missed yet.

    """
    delivered = {date for (date,) in day.ask(_DELIVERED, days=LOOK_BACK_DAYS)}
    before = max((date for date in delivered if date < day.trade_date), default=None)
    first = day.trade_date if before is None else before + dt.timedelta(days=1)
    dates = [first + dt.timedelta(days=offset) for offset in range((day.trade_date - first).days + 1)]
    due = [date for date in dates if _is_due(day, date)]
    missing = [date for date in due if date not in delivered]
    return Outcome(
        len(due),
        len(missing),
        f"a delivery of each of {len(due)} sessions" + (f" since {before}" if before else ""),
        f"{len(missing)} of {len(due)} sessions missing" if missing else f"{len(due)} sessions",
        "missing: " + ", ".join(map(str, missing)) if missing else "",
        tuple(Failure(f"nothing was delivered of {date}") for date in missing[:MOST_FAILURES]),
    )


def _is_due(day: Day, date: dt.date) -> bool:
    try:
        hours = day.session(date)
    except MarketRuleError:
        return False
    return hours is not None and hours[1] <= day.now


def judge_row_count(day: Day, expectations: Expectations) -> Outcome:
    """Compare the number of rows of each resolution with what is expected and what is usual.

    Parameters
    ----------
    day : Day
        The partition.
    expectations : Expectations
        Those in force.

    Returns
    -------
    Outcome
        `examined` counts rows; `failing` counts expectations that are not met.

    """
    if not day.is_over:
        return Outcome(0, 0, "rows of a session that is over", "the session is not over yet")
    counts = day.tally.group_by("bar_seconds").agg(pl.col("rows").sum(), instruments=pl.len()).sort("bar_seconds")
    usual = _usual_by_minute(day)
    failures: list[Failure] = []
    expected, found = [], []
    for bar_seconds, rows, instruments in counts.iter_rows():
        line = expectations.find(day.source, day.dataset, bar_seconds)
        label = "ticks" if bar_seconds == 0 else f"{bar_seconds} s"
        found.append(f"{label}: {rows} rows of {instruments} instruments")
        if line is None:
            continue
        units = 1.0 if line.per == "session" else day.minutes
        for what, number, least, most in _measures(line, rows, instruments, units, usual.get(bar_seconds)):
            if least is None and most is None:
                continue
            wanted = _range(least, most)
            expected.append(f"{label}: {wanted} {what}")
            if (least is not None and number < least) or (most is not None and number > most):
                failures.append(
                    Failure(f"{label}: {number:.10g} {what}, expected {wanted}; {line.why}", bar_seconds=bar_seconds)
                )
    return Outcome(
        int(counts["rows"].sum()),
        len(failures),
        "; ".join(expected) or "nothing in particular",
        "; ".join(found) or "no rows",
        f"the session had {day.minutes:.0f} minutes",
        tuple(failures[:MOST_FAILURES]),
    )


def _measures(
    line: Expectation, rows: int, instruments: int, units: float, usual: float | None
) -> Iterator[tuple[str, float, float | None, float | None]]:
    """Give each measure with its number, lowest and highest, scaled to the length of the session."""
    yield "rows", rows, *_scaled(line.min_rows, line.max_rows, units)
    least, most = _scaled(line.min_rows_per_instrument, line.max_rows_per_instrument, units)
    # One more than the share of an hour: what is left of a session at its end is a bar, too.
    slack = 1.0 if line.per == "minute" and line.bar_seconds > 60 else 0.0  # noqa: PLR2004 -- a minute fits in whole
    yield "rows an instrument", rows / instruments, least, None if most is None else most + slack
    if usual is not None:
        usual_rows = usual * units if line.per == "minute" else usual * _REGULAR_MINUTES
        yield "rows against the usual", rows, *_scaled(line.min_share_of_usual, line.max_share_of_usual, usual_rows)


def _scaled(least: float | None, most: float | None, units: float) -> tuple[float | None, float | None]:
    return (None if least is None else least * units), (None if most is None else most * units)


def _range(least: float | None, most: float | None) -> str:
    if least is None:
        return f"at most {most:.10g}"
    return f"at least {least:.10g}" if most is None else f"{least:.10g} to {most:.10g}"


def _usual_by_minute(day: Day) -> dict[int, float]:
    """Median rows a minute of the sessions before, by resolution; those of which there are too few are left out."""
    by_length: dict[int, list[float]] = {}
    for bar_seconds, trade_date, rows in day.ask(_USUAL, days=_USUAL_DAYS):
        try:
            hours = day.session(trade_date)
        except MarketRuleError:
            continue
        # A daily row is one, however long the session was.
        minutes = _REGULAR_MINUTES if bar_seconds >= 86_400 or hours is None else _minutes(hours)  # noqa: PLR2004
        by_length.setdefault(bar_seconds, []).append(rows / minutes)
    return {length: statistics.median(rates) for length, rates in by_length.items() if len(rates) >= _FEWEST_USUAL}


def _minutes(hours: tuple[dt.datetime, dt.datetime]) -> float:
    return (hours[1] - hours[0]).total_seconds() / 60
