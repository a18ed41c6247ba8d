"""Freshness: what is due, what is late, and when anything of it came last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline_defs.reporting.coverage import bundles_of
from pipeline_defs.reporting.elements import Cell, Fact, Number, Section, Status, Table, Tone, resolution
from pipeline_defs.reporting.scope import GRACE, is_daily, last_due, market_of

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.reporting.scope import Scope

_LAST: Final = """
SELECT DISTINCT ON (source, dataset, bar_seconds)
       source, dataset, bar_seconds, load_id, status, trade_date, committed_at
FROM loads ORDER BY source, dataset, bar_seconds, load_id DESC
"""

_NEWEST: Final = """
SELECT source, dataset, bar_seconds, max(trade_date) FROM loads WHERE status <> 'rejected' GROUP BY 1, 2, 3
"""

_STATISTICS: Final = """
SELECT to_timestamp(stat_date)::date::text, hit_count, miss_count, total_size_bytes, avg_fetch_latency_ms
FROM cache_statistics ORDER BY stat_date DESC LIMIT 30
"""


def freshness_section(scope: Scope) -> Section:
    """Show freshness."""
    hours = int(GRACE.total_seconds() // 3600)
    lead = (
        f"A session is due {hours} hours after its market's close. Late is what is due and not there. Sources that"
        " bring what a person asks for are never late."
    )
    newest = {row[:3]: row[3] for row in scope.ask(_NEWEST)}
    rows, late = [], 0
    missing = {
        (one.source, one.dataset, one.bar_seconds): sum(
            not one.is_there(day) for day in one.due(scope.windows[one.source], scope.now)
        )
        for one in bundles_of(scope)
    }
    for source, dataset, bar_seconds, load_id, status, trade_date, committed_at in scope.ask(_LAST):
        last = newest.get((source, dataset, bar_seconds))
        due = last_due(market_of(source), scope.now) if is_daily(source) else None
        behind = _behind(source, last, due)
        late += behind > 0
        rows.append(
            (
                source,
                dataset,
                resolution(bar_seconds),
                _verdict(source, due, behind),
                f"{last}" if last else None,
                f"{due}" if due else None,
                Number(behind, f"{behind:,}") if due else None,
                missing.get((source, dataset, bar_seconds), 0),
                scope.local(committed_at, source),
                f"load {load_id}, {trade_date}, {status}",
            )
        )
    if not rows:
        return Section("freshness", "Freshness", lead, empty="Nothing was ever imported.")
    header = (
        *("source", "dataset", "resolution", "state", "last there", "last due", "behind"),
        *("missing", "last load", "what it was"),
    )
    facts = [
        Fact("freshness-late", "late", f"{late:,} of {len(rows):,}", Tone.BAD if late else Tone.GOOD),
        Fact("freshness-now", "judged at", scope.local(scope.now) or ""),
    ]
    tables = [Table("freshness-table", "What is due and what came last, by source.", header, rows), *_statistics(scope)]
    return Section("freshness", "Freshness", lead, facts, tables=tables)


def _behind(source: str, last: dt.date | None, due: dt.date | None) -> int:
    """Count the sessions that are due and lie after the last one that is there."""
    if due is None:
        return 0
    of = market_of(source)
    return len([day for day in of.sessions(due if last is None else min(last, due), due) if last is None or day > last])


def _verdict(source: str, due: dt.date | None, behind: int) -> Status:
    if not is_daily(source):
        return Status("on request", Tone.QUIET)
    if due is None:
        return Status("calendar ends", Tone.BAD)
    return Status("late", Tone.BAD) if behind else Status("current", Tone.GOOD)


def _statistics(scope: Scope) -> list[Table]:
    rows = [_day(*row) for row in scope.ask(_STATISTICS)]
    if not rows:
        return []
    header = ("day (UTC)", "hits", "misses", "hit share", "size asked for", "mean latency")
    caption = "How often what was asked for was there already."
    return [Table("cache-statistics", caption, header, rows, "The newest 30 days.")]


def _day(day: str, hits: int, misses: int, size_bytes: int, latency_ms: float | None) -> tuple[Cell, ...]:
    asked = hits + misses
    return (
        day,
        hits,
        misses,
        Number(hits / asked, f"{100 * hits / asked:.1f} %") if asked else None,
        Number(size_bytes, f"{size_bytes / 1e6:,.1f} MB"),
        None if latency_ms is None else Number(latency_ms, f"{latency_ms:,.1f} ms"),
    )
