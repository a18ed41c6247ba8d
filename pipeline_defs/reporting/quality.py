"""Quality: what checks found, how it was over the sessions before, and which lines and rows it is about.

``quality_latest`` has the newest verdict of each check on each session. A database without it has what imports found
by themselves (``quality_results``), and that is shown then.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from pipeline_defs.plots.quality_trend import Trend, draw_quality_trend
from pipeline_defs.reporting.elements import Fact, Plot, Section, Status, Table, Tone

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.reporting.elements import Cell
    from pipeline_defs.reporting.scope import Scope

LISTED_FAILURES: Final = 100
LISTED_REASONS: Final = 50

_LATEST: Final = """
SELECT dataset, source, check_name, trade_date, passed, severity, expected, found, detail, failing, check_id, checked_at
FROM quality_latest WHERE trade_date >= %(first)s
ORDER BY dataset, source, check_name, trade_date
"""

# Findings of the newest load of each partition: an older load's were answered by it.
_FINDINGS: Final = """
WITH newest AS (
    SELECT DISTINCT ON (source, dataset, trade_date, bar_seconds, underlying) load_id, source, dataset, trade_date,
           committed_at
    FROM loads WHERE trade_date >= %(first)s
    ORDER BY source, dataset, trade_date, bar_seconds, underlying, load_id DESC
)
SELECT n.dataset, n.source, q.check_name, n.trade_date, bool_and(q.passed),
       'warn', string_agg(DISTINCT q.expected, '; ' ORDER BY q.expected),
       string_agg(DISTINCT q.found, '; ' ORDER BY q.found),
       left(string_agg(DISTINCT q.detail, '; ' ORDER BY q.detail), 500),
       count(*) FILTER (WHERE NOT q.passed), NULL::bigint, max(n.committed_at)
FROM newest AS n JOIN quality_results AS q USING (load_id)
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""

_ROWS: Final = """
SELECT c.trade_date::text, c.dataset, c.source, c.check_name, coalesce(t.symbol, 'instrument ' || f.instrument_id),
       f."timestamp", f.detail
FROM quality_failures AS f
JOIN quality_latest AS c USING (check_id)
LEFT JOIN LATERAL (
    SELECT t.symbol FROM instrument_terms AS t
    WHERE t.instrument_id = f.instrument_id AND t.valid_from <= c.trade_date ORDER BY t.valid_from DESC LIMIT 1
) AS t ON true
WHERE NOT c.passed AND c.trade_date >= %(first)s AND f.position <= 5
ORDER BY c.trade_date DESC, c.dataset, c.source, c.check_name, f.position LIMIT %(limit)s
"""

_REFUSED: Final = """
WITH newest AS (
    SELECT DISTINCT ON (source, dataset, trade_date, bar_seconds, underlying) load_id, source, dataset, trade_date
    FROM loads WHERE trade_date >= %(first)s
    ORDER BY source, dataset, trade_date, bar_seconds, underlying, load_id DESC
)
SELECT n.source, n.dataset, q.reason, count(*), count(DISTINCT n.trade_date), max(n.trade_date)::text, max(n.load_id)
FROM newest AS n JOIN quarantine AS q USING (load_id)
GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT %(limit)s
"""

type _Verdict = tuple[str, str, str, dt.date, bool, str, str, str, str, int | None, int | None, dt.datetime]


def quality_section(scope: Scope) -> Section:
    """Show quality."""
    lead = (
        "The newest verdict of each check on each session. An error means wrong data; a warning wants a look; an"
        " information explains."
    )
    stored = scope.has("quality_latest", "quality_failures")
    verdicts: list[_Verdict] = scope.ask(_LATEST, first=scope.first_date) if stored else []
    checked = bool(verdicts)
    if not checked:
        verdicts = scope.ask(_FINDINGS, first=scope.first_date)
    refused = _refused(scope)
    if not verdicts and not refused:
        return Section("quality", "Quality", lead, empty="No check was made and no line refused.")
    failed = [verdict for verdict in verdicts if not verdict[4]]
    errors = sum(1 for verdict in failed if verdict[5] == "error")
    facts = [
        Fact("quality-verdicts", "verdicts", f"{len(verdicts):,}"),
        Fact("quality-failed", "failed", f"{len(failed):,}", Tone.NOTE if failed else Tone.GOOD),
        Fact("quality-errors", "errors", f"{errors:,}", Tone.BAD if errors else Tone.GOOD),
    ]
    tables = [_by_check(verdicts), _failures(scope, failed)] if verdicts else []
    rows = _failing_rows(scope) if checked else []
    return Section("quality", "Quality", lead, facts, plots=_trend(verdicts), tables=[*tables, *rows, *refused])


def _trend(verdicts: list[_Verdict]) -> list[Plot]:
    days = sorted({verdict[3] for verdict in verdicts})
    if not days:
        return []
    by_check: dict[tuple[str, str, str], dict[dt.date, bool]] = defaultdict(dict)
    for dataset, source, check, day, passed, *_ in verdicts:
        by_check[check, source, dataset][day] = passed
    trends = [
        Trend(f"{check} {source} {dataset}", [own.get(day) for day in days])
        for (check, source, dataset), own in sorted(by_check.items())
    ]
    svg = draw_quality_trend(trends, f"{days[0]}", f"{days[-1]}")
    return [Plot("Each check over its sessions: a high mark is a failure; beside it, how many failed", svg)]


def _by_check(verdicts: list[_Verdict]) -> Table:
    grouped: dict[tuple[str, str, str], list[_Verdict]] = defaultdict(list)
    for verdict in verdicts:
        grouped[verdict[:3]].append(verdict)
    rows: list[tuple[Cell, ...]] = []
    for (dataset, source, check), own in sorted(grouped.items()):
        last, failed = own[-1], [verdict for verdict in own if not verdict[4]]
        rows.append(
            (
                check,
                dataset,
                source,
                _status(last),
                f"{last[3]}",
                len(own),
                len(failed),
                f"{failed[-1][3]}" if failed else None,
                sum(verdict[9] or 0 for verdict in failed),
            )
        )
    header = (
        *("check", "dataset", "source", "last verdict", "of session", "sessions", "failed", "last failure"),
        "failing rows",
    )
    return Table("quality-checks", "Checks, each with its last verdict and its past.", header, rows)


def _status(verdict: _Verdict) -> Status:
    if verdict[4]:
        return Status("passed", Tone.GOOD)
    tones = {"error": Tone.BAD, "warn": Tone.NOTE, "info": Tone.QUIET}
    words = {"error": "failed", "warn": "warned", "info": "noted"}
    return Status(words.get(verdict[5], "failed"), tones.get(verdict[5], Tone.BAD))


def _failures(scope: Scope, failed: list[_Verdict]) -> Table:
    order = {"error": 0, "warn": 1}
    newest = sorted(failed, key=lambda one: (order.get(one[5], 2), -one[3].toordinal(), one[:3]))[:LISTED_FAILURES]
    rows = [
        (
            f"{one[3]}",
            one[2],
            one[0],
            one[1],
            _status(one),
            one[6],
            one[7],
            one[8] or None,
            scope.local(one[11], one[1]),
        )
        for one in newest
    ]
    note = f"{len(rows):,} of {len(failed):,}: errors first, then the newest." if len(failed) > len(rows) else ""
    header = ("session", "check", "dataset", "source", "verdict", "expected", "found", "detail", "checked at")
    return Table("quality-failures", "What failed.", header, rows, note)


def _failing_rows(scope: Scope) -> list[Table]:
    rows = [
        (day, check, dataset, source, symbol, scope.local(instant, source), detail or None)
        for day, dataset, source, check, symbol, instant, detail in (
            scope.ask(_ROWS, first=scope.first_date, limit=LISTED_FAILURES)
        )
    ]
    if not rows:
        return []
    note = f"At most five of each check and session, {LISTED_FAILURES} in all; the rest is in quality_failures."
    header = ("session", "check", "dataset", "source", "symbol", "at", "what is wrong")
    return [Table("quality-rows", "Rows that failed, the newest first.", header, rows, note)]


def _refused(scope: Scope) -> list[Table]:
    rows = [
        (reason, source, dataset, lines, sessions, day, f"pipeline quarantine --load {load_id}")
        for source, dataset, reason, lines, sessions, day, load_id in (
            scope.ask(_REFUSED, first=scope.first_date, limit=LISTED_REASONS)
        )
    ]
    if not rows:
        return []
    header = ("reason", "source", "dataset", "lines", "sessions", "last session", "see them with")
    return [Table("quality-refused", "Lines that the newest loads refused, by reason.", header, rows)]
