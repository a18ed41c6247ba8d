"""Gaps within sessions: minutes that were expected and are not there, why, and which of them can be filled.

The tables are filled by the assessment of gaps; a database where nobody assessed any says so. Where two sources were
compared, what they agreed on stands here, too.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from pipeline_defs.plots.coverage import Coverage, draw_coverage
from pipeline_defs.reporting.elements import (
    Fact,
    Plot,
    Section,
    Status,
    Table,
    Tone,
    resolution,
)
from pipeline_defs.reporting.elements import share as percent

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.reporting.elements import Cell
    from pipeline_defs.reporting.scope import Scope

LISTED_GAPS: Final = 200
LISTED_COMPARISONS: Final = 100

_ASSESSED: Final = """
SELECT source, dataset, bar_seconds, trade_date, instruments, expected_minutes, present_minutes
FROM gap_assessments WHERE trade_date >= %(first)s ORDER BY source, dataset, bar_seconds, trade_date
"""

_CAUSES: Final = """
SELECT dataset, source, cause, count(*), sum(minutes)::bigint, coalesce(sum(minutes) FILTER (WHERE fillable), 0)::bigint
FROM session_gaps WHERE trade_date >= %(first)s GROUP BY 1, 2, 3 ORDER BY 6 DESC, 5 DESC, 1, 2, 3
"""

_FILLABLE: Final = """
SELECT g.trade_date::text, g.source, g.dataset, g.bar_seconds,
       coalesce(t.symbol, 'instrument ' || g.instrument_id, 'several') AS symbol,
       g.gap_start, g.gap_end, g.minutes, g.cause, g.detail, count(*) OVER ()
FROM session_gaps AS g
LEFT JOIN LATERAL (
    SELECT t.symbol FROM instrument_terms AS t
    WHERE t.instrument_id = g.instrument_id AND t.valid_from <= g.trade_date ORDER BY t.valid_from DESC LIMIT 1
) AS t ON true
WHERE g.fillable AND g.trade_date >= %(first)s
ORDER BY g.trade_date DESC, g.minutes DESC, symbol, g.gap_start, g.source, g.dataset, g.bar_seconds LIMIT %(limit)s
"""

_COMPARED: Final = """
SELECT DISTINCT ON (trade_date, dataset, bar_seconds, left_source, right_source)
       trade_date::text, dataset, bar_seconds, left_source, right_source, compared, agreeing, disagreeing, only_left,
       only_right, made_at
FROM reconciliations WHERE trade_date >= %(first)s
ORDER BY trade_date DESC, dataset, bar_seconds, left_source, right_source, reconciliation_id DESC LIMIT %(limit)s
"""


def gaps_section(scope: Scope) -> Section:
    """Show gaps, and what sources disagreed on."""
    lead = (
        "Each instrument is held against the minutes of its session. A minute without a trade is no gap that could be"
        " filled; one that the source did not deliver is."
    )
    assessed = scope.ask(_ASSESSED, first=scope.first_date) if scope.has("gap_assessments", "session_gaps") else []
    comparisons = _comparisons(scope)
    if not assessed and not comparisons:
        return Section("gaps", "Gaps", lead, empty="No session was assessed for gaps yet.")
    if not assessed:
        return Section("gaps", "Gaps", lead, tables=comparisons)
    expected, present = sum(row[5] for row in assessed), sum(row[6] for row in assessed)
    fillable = _fillable_table(scope)
    causes = scope.ask(_CAUSES, first=scope.first_date)
    open_minutes = sum(row[5] for row in causes)
    whole = percent(present, expected)
    facts = [
        Fact("gaps-present", "of the expected minutes are there", whole.shown if whole else "nothing expected"),
        Fact("gaps-fillable", "minutes can be filled", f"{open_minutes:,}", Tone.BAD if open_minutes else Tone.GOOD),
    ]
    return Section(
        "gaps", "Gaps", lead, facts, plots=[_plot(assessed)], tables=[_causes(causes), fillable, *comparisons]
    )


def _plot(assessed: list[tuple[str, str, int, dt.date, int, int, int]]) -> Plot:
    days = sorted({row[3] for row in assessed})
    shares: dict[str, dict[dt.date, float | None]] = defaultdict(dict)
    for source, dataset, bar_seconds, day, _, expected, present in assessed:
        shares[f"{source} {dataset} {resolution(bar_seconds)}"][day] = present / expected if expected else None
    svg = draw_coverage(
        Coverage(
            list(shares), [f"{day:%Y-%m}" for day in days], [[own.get(day) for day in days] for own in shares.values()]
        ),
        f"Share of the expected minutes that are there, {days[0]} to {days[-1]}",
    )
    return Plot("Share of the expected minutes that are there; a column an assessed session", svg)


def _causes(causes: list[tuple[str, str, str, int, int, int]]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            dataset,
            source,
            cause.replace("_", " "),
            gaps,
            minutes,
            fillable,
            Status("fill", Tone.BAD) if fillable else Status("nothing to do", Tone.QUIET),
        )
        for dataset, source, cause, gaps, minutes, fillable in causes
    ]
    header = ("dataset", "source", "cause", "gaps", "minutes", "of them fillable", "to do")
    return Table("gaps-causes", "Gaps by their cause.", header, rows)


def _fillable_table(scope: Scope) -> Table:
    found = scope.ask(_FILLABLE, first=scope.first_date, limit=LISTED_GAPS)
    rows = [
        (
            day,
            source,
            dataset,
            resolution(bar_seconds),
            symbol,
            scope.local(start, source),
            scope.local(end, source),
            minutes,
            cause.replace("_", " "),
            detail or None,
        )
        for day, source, dataset, bar_seconds, symbol, start, end, minutes, cause, detail, _ in found
    ]
    total = found[0][-1] if found else 0
    note = f"The newest {len(rows):,} of {total:,}; the rest is in session_gaps." if total > len(rows) else ""
    header = ("session", "source", "dataset", "resolution", "symbol", "from", "until", "minutes", "cause", "detail")
    return Table("gaps-fillable-table", "Gaps that can be filled.", header, rows, note)


def _comparisons(scope: Scope) -> list[Table]:
    if not scope.has("reconciliations"):
        return []
    rows = [
        (
            day,
            dataset,
            resolution(bar_seconds),
            left,
            right,
            Status("disagree", Tone.BAD) if disagreeing else Status("agree", Tone.GOOD),
            compared,
            percent(agreeing, compared),
            disagreeing,
            only_left,
            only_right,
            scope.local(made_at, left),
        )
        for day, dataset, bar_seconds, left, right, compared, agreeing, disagreeing, only_left, only_right, made_at in (
            scope.ask(_COMPARED, first=scope.first_date, limit=LISTED_COMPARISONS)
        )
    ]
    if not rows:
        return []
    header = (
        *("session", "dataset", "resolution", "left", "right", "verdict", "compared", "agreeing", "disagreeing"),
        *("only left", "only right", "made at"),
    )
    note = f"At most the newest {LISTED_COMPARISONS}; the values are in disagreements."
    return [Table("gaps-reconciliations", "What two sources said of the same session.", header, rows, note)]
