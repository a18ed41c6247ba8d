"""Hit or miss: whether what is stored of a partition is what there is to have, and what is missing if not.

A session is **due** when it has closed and the source's grace is over. From then on it is fresh once a load of it was
settled (asked when it was due, for what is wanted now), and missing as a whole until then: what was stored while it ran
was not final. While it runs, bars within the day are fresh for as long as their allowance, or that of who asks; then
the stretches that are complete and not stored yet are missing, and nothing else. What is not due yet is neither fresh
nor missing.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from pipeline_defs.freshness.spans import Span, what_is_left

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_defs.markets.market import Market

HOUR_SECONDS: Final = 3_600
DAY_SECONDS: Final = 86_400

MINUTE_ALLOWANCE: Final = dt.timedelta(minutes=5)
"""So old may ticks and bars of less than an hour be while their session runs."""

HOUR_ALLOWANCE: Final = dt.timedelta(hours=1)
"""So old may longer bars within the day be."""

SETTLING: Final = dt.timedelta(seconds=10)
"""A bar of a running session counts as complete so long after its close: vendors go on writing it for some seconds."""


class Evidence(Protocol):
    """What is known of the stored loads of one source; see `pipeline_defs.warehouse.deliveries.Ledger`."""

    def knows_date(self, trade_date: dt.date) -> bool:
        """Tell whether any delivery of the date was taken in."""
        ...

    def holds(self, trade_date: dt.date, digest: str) -> bool:
        """Tell whether a settled load is stored as it would be made now."""
        ...

    def spans(
        self, trade_date: dt.date, table: str, bar_seconds: int, digest: str
    ) -> Sequence[tuple[dt.datetime, dt.datetime]]:
        """List the stretches of a running session that loads have stored: from, exclusive, to, inclusive."""
        ...


class NothingKnown:
    """Evidence of one who wants everything asked again, or asks only what is due."""

    def knows_date(self, trade_date: dt.date) -> bool:
        """Know none."""
        del trade_date
        return False

    def holds(self, trade_date: dt.date, digest: str) -> bool:
        """Hold nothing."""
        del trade_date, digest
        return False

    def spans(self, trade_date: dt.date, table: str, bar_seconds: int, digest: str) -> list[Span]:
        """List none."""
        del trade_date, table, bar_seconds, digest
        return []


@dataclass(frozen=True, slots=True)
class Partition:
    """One table, resolution and trade date of one source.

    Parameters
    ----------
    table : str
        Observation table.
    bar_seconds : int
        Resolution; 0 for ticks.
    trade_date : datetime.date
        Day of the market.
    market : Market
        Whose sessions count.
    grace_seconds : int
        How long after the close the source's answer is complete.
    digest : str or None
        What an answer depends on (source, version, universe, day); None for a source of files, which nobody can ask.

    """

    table: str
    bar_seconds: int
    trade_date: dt.date
    market: Market
    grace_seconds: int
    digest: str | None

    @property
    def due_at(self) -> dt.datetime:
        """From when on the whole session is there to be had; UTC. `MarketRuleError` if the day is no session."""
        return self.market.close(self.trade_date) + dt.timedelta(seconds=self.grace_seconds)

    @property
    def allowance(self) -> dt.timedelta:
        """How old the newest observation may be while the session runs."""
        return MINUTE_ALLOWANCE if self.bar_seconds < HOUR_SECONDS else HOUR_ALLOWANCE

    def is_due(self, now: dt.datetime) -> bool:
        """Tell whether an answer that is asked for at an instant is final."""
        return now >= self.due_at


@dataclass(frozen=True, slots=True)
class Hit:
    """Everything that there is to have is stored: the source is not asked.

    Parameters
    ----------
    until : datetime.datetime or None
        Up to when, of a session that is running; None for a whole day.

    """

    until: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """Something is due and not stored.

    Parameters
    ----------
    ranges : tuple of Span
        What; ascending. Of a session that is due the whole day, of one that is running the stretches not stored.
    is_whole : bool
        Whether the whole day is meant.

    """

    ranges: tuple[Span, ...]
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class NotDue:
    """Nothing can be said to be missing.

    Parameters
    ----------
    due_at : datetime.datetime or None
        When there will be something to have, UTC; None if never.
    reason : str
        Why not now.
    is_closed : bool, default False
        Whether the market was closed: the day is empty, and nobody need be asked to know it.

    """

    due_at: dt.datetime | None
    reason: str
    is_closed: bool = False


type Verdict = Hit | Missing | NotDue


def fresh(partition: Partition, now: dt.datetime, evidence: Evidence, allowance: dt.timedelta | None = None) -> Verdict:
    """Decide whether a partition is fresh.

    Parameters
    ----------
    partition : Partition
        Which.
    now : datetime.datetime
        With a zone.
    evidence : Evidence
        What is stored.
    allowance : datetime.timedelta, optional
        How old the newest observation of a running session may be; default that of the partition. Who comes by every
        five minutes allows none: a bar that is complete is missing then.

    Returns
    -------
    Hit or Missing or NotDue

    Raises
    ------
    MarketRuleError
        If the day lies outside the market's calendar: an unknown day is never taken for a holiday.

    """
    if partition.digest is None:
        known = evidence.knows_date(partition.trade_date)
        return Hit() if known else NotDue(None, "files are read when they are delivered")
    # Before the calendar is looked at: a confirmed holiday is a hit, too.
    closed = partition.market.closed_reason(partition.trade_date)
    if evidence.holds(partition.trade_date, partition.digest):
        return Hit()
    if closed is not None:
        return NotDue(None, closed, is_closed=True)
    if partition.is_due(now):
        return Missing((Span(*partition.market.bounds(partition.trade_date)),))
    return _while_running(partition, now, evidence, partition.allowance if allowance is None else allowance)


def _while_running(partition: Partition, now: dt.datetime, evidence: Evidence, allowance: dt.timedelta) -> Verdict:
    if partition.bar_seconds >= DAY_SECONDS:
        return NotDue(partition.due_at, "the session's one bar is not final")
    bar = dt.timedelta(seconds=max(partition.bar_seconds, 1))
    opens, closes = partition.market.open(partition.trade_date), partition.market.close(partition.trade_date)
    settled = now - SETTLING
    complete = closes if settled >= closes else opens + (settled - opens) // bar * bar
    if complete <= opens:
        return NotDue(min(opens + bar, closes) + SETTLING, "the session has no complete bar yet")
    digest = partition.digest or ""
    told = evidence.spans(partition.trade_date, partition.table, partition.bar_seconds, digest)
    stored = [Span(*pair) for pair in told]
    left = what_is_left(Span(opens, complete), stored)
    # What is shorter than a bar holds none, but for the last one of a day.
    missing = tuple(span for span in left if span.end - span.start >= bar or span.end == closes)
    if not missing:
        return Hit(complete)
    if stored and missing[0].start >= now - allowance:
        return Hit(missing[0].start)
    return Missing(missing, is_whole=False)
