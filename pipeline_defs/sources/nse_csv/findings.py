"""What is worth knowing about a whole partition: coverage, order, damage, and values that look wrong.

Findings never change what is stored; rows are judged in `normalize`, `bhavcopy` and `validate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import MarketRuleError
from pipeline_defs.markets.sessions import continuous_until, session_on
from pipeline_defs.schema.batches import Finding
from pipeline_defs.schema.tables import MINUTE
from pipeline_defs.sources.nse_csv.parts import SEGMENTS

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from pipeline_defs.sources.nse_csv.entries import Entry

MIN_ROWS_TO_JUDGE: Final = 100
_MAX_SHOWN: Final = 5
_NEAREST_STRIKE, _FARTHEST_STRIKE = 0.2, 5.0
"""Strikes of listed options lie well within these multiples of the underlying's price."""


def judge_order(out_of_order: int) -> Finding:
    """Report rows that stood behind a later row of their contract.

    Parameters
    ----------
    out_of_order : int
        How many.

    """
    return Finding("out_of_order", out_of_order == 0, "0 rows behind a later one", f"{out_of_order} rows, sorted")


def judge_damage(rejected: int, read: int, max_damaged_fraction: float) -> Finding | None:
    """Report a partition of which too much was refused; None when it was not.

    Parameters
    ----------
    rejected, read : int
        Lines, and refused files as one each.
    max_damaged_fraction : float
        Above this share of at least 100 lines the partition counts as damaged.

    """
    if read < MIN_ROWS_TO_JUDGE or rejected <= max_damaged_fraction * read:
        return None
    return Finding(
        check="damaged_fraction",
        passed=False,
        expected=f"at most {max_damaged_fraction:.0%} of lines refused",
        found=f"{rejected} of {read}",
    )


def judge_coverage(
    contracts: pl.DataFrame, observations: pl.DataFrame, trade_date: dt.date, bar_seconds: int
) -> Finding | None:
    """Compare the minutes of indices and futures with those of the session.

    Options and shares trade when they trade; an index and a future that lack minutes are worth a look.

    Parameters
    ----------
    contracts, observations : polars.DataFrame
        Of one batch.
    trade_date : datetime.date
        The session.
    bar_seconds : int
        Resolution.

    Returns
    -------
    Finding or None
        None where it does not apply.

    """
    steady = contracts.filter(pl.col("kind").is_in(["SPOT", "FUT", "CONT"]))
    if bar_seconds != MINUTE or steady.is_empty():
        return None
    segment = SEGMENTS[steady["kind"][0]]
    session, until = session_on(trade_date, segment), continuous_until(trade_date, segment)
    if session is None or until is None:
        return None
    expected = int((until - session.open).total_seconds()) // MINUTE
    stamps = observations.select("contract_key", "timestamp")
    minutes = stamps.filter(pl.col("timestamp") <= until).group_by("contract_key").agg(found=pl.len())
    counts = steady.join(minutes, on="contract_key", how="left").with_columns(pl.col("found").fill_null(0))
    short = counts.filter(pl.col("found") < expected).sort("found", "symbol")
    shown = _shown(short.select(pl.format("{} {}", "symbol", "found")).to_series())
    fewest, most = counts.select(fewest=pl.col("found").min(), most=pl.col("found").max()).row(0)
    return Finding(
        check="session_coverage",
        passed=short.is_empty(),
        expected=f"{expected} minutes of each of {steady.height} instruments",
        found=f"{fewest} to {most} minutes, {short.height} instruments short",
        detail=shown,
    )


def judge_expiries(contracts: pl.DataFrame) -> Finding | None:
    """Report contracts that expire on a day without a session; None when all expire on one.

    Parameters
    ----------
    contracts : polars.DataFrame
        Of one batch.

    """
    closed = []
    for expiry in contracts["expiry"].drop_nulls().unique().sort():
        try:
            if session_on(expiry, "FO") is None:
                closed.append(expiry)
        except MarketRuleError:
            continue  # beyond the calendar: nothing is known, so nothing is wrong
    if not closed:
        return None
    odd = contracts.filter(pl.col("expiry").is_in(closed))
    return Finding(
        check="expiry_not_a_session",
        passed=False,
        expected="every expiry a session",
        found=f"{odd.height} contracts expire on closed days: {', '.join(str(day) for day in closed[:_MAX_SHOWN])}",
        detail=_shown(odd["symbol"]),
    )


def judge_strikes(contracts: pl.DataFrame, spots: pl.DataFrame) -> Finding | None:
    """Report options struck far from their underlying; None when there are none or no spot is known.

    Parameters
    ----------
    contracts : polars.DataFrame
        Of one batch.
    spots : polars.DataFrame
        ``underlying, spot`` from the same import and trade date.

    """
    strike, spot = pl.col("strike").cast(pl.Float64()), pl.col("spot").cast(pl.Float64())
    far = contracts.join(spots, on="underlying").filter(
        ~strike.is_between(spot * _NEAREST_STRIKE, spot * _FARTHEST_STRIKE)
    )
    if far.is_empty():
        return None
    return Finding(
        check="strike_far_from_spot",
        passed=False,
        expected=f"strikes within {_NEAREST_STRIKE} to {_FARTHEST_STRIKE} times the spot",
        found=f"{far.height} contracts outside",
        detail=_shown(far["symbol"]),
    )


def judge_ignored(junk: list[Entry], foreign: list[Entry], twins: list[tuple[Entry, Entry]]) -> Finding | None:
    """Report files that were left out; None when there were none.

    Parameters
    ----------
    junk : list of Entry
        Left by operating systems.
    foreign : list of Entry
        Neither CSV nor archive: the finding fails, since they may be data.
    twins : list of (Entry, Entry)
        The same content again, each with the file that was read.

    """
    counts = {"junk": len(junk), "not CSV": len(foreign), "twins": len(twins)}
    if not any(counts.values()):
        return None
    names = [entry.label for entry in (*foreign, *junk)]
    names += [f"{twin.label} (same as {read.label})" for twin, read in twins]
    return Finding(
        check="ignored_files",
        passed=not foreign,
        expected="only CSV files and archives of them, each once",
        found=", ".join(f"{count} {what}" for what, count in counts.items() if count),
        detail=_shown(names),
    )


def _shown(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _MAX_SHOWN} more" if len(listed) > _MAX_SHOWN else ""
    return ", ".join(listed[:_MAX_SHOWN]) + more
