"""Coverage: which sessions are there, by source, dataset and resolution, and which days had none and why."""

from __future__ import annotations

import calendar
import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipeline_defs.plots.coverage import Coverage, draw_coverage
from pipeline_defs.reporting.elements import Calendar, Day, Fact, Folded, Plot, Section, Status, Table, Tone, resolution
from pipeline_defs.reporting.elements import share as percent
from pipeline_defs.reporting.scope import is_daily, last_due

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline_defs.reporting.scope import Scope, Window

# What the last load of each partition left: a session counts as there when rows of it are, or when it is confirmed
# that there were none. Loads of a part of a day (a stream, one underlying) add to what others brought.
_STATES: Final = """
SELECT source, dataset, bar_seconds, trade_date, sum(rows_stored - rows_retired)::bigint AS rows,
       (array_agg(status ORDER BY load_id DESC))[1] AS status
FROM loads WHERE trade_date >= %(first)s
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""

_SPECIAL: Final = """
SELECT session_date, string_agg(DISTINCT kind, ', ' ORDER BY kind) FROM sessions
WHERE market = 'NSE' AND session_date >= %(first)s AND kind <> 'regular' GROUP BY 1
"""

_THERE: Final = frozenset({"stored", "empty"})


@dataclass(frozen=True, slots=True)
class Bundle:
    """What one source delivers of one dataset at one resolution.

    Parameters
    ----------
    source, dataset : str
        Adapter, and table.
    bar_seconds : int
        0 for ticks.
    states : dict of datetime.date to str
        ``stored``, ``empty`` (confirmed) or ``rejected`` (nothing usable came); no key where nothing came.

    """

    source: str
    dataset: str
    bar_seconds: int
    states: dict[dt.date, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.source} {self.dataset} {resolution(self.bar_seconds)}"

    def due(self, window: Window, now: dt.datetime) -> list[dt.date]:
        """List the sessions of a window of which something should be there, from the first that ever was."""
        there = [day for day, state in self.states.items() if state in _THERE]
        if not there:
            return []
        last = last_due(window.market, now) if is_daily(self.source) else max(there)
        return [day for day in window.sessions if min(there) <= day and (day in there or last is None or day <= last)]

    def is_there(self, day: dt.date) -> bool:
        """Tell whether a session is stored or confirmed empty."""
        return self.states.get(day) in _THERE


def bundles_of(scope: Scope) -> list[Bundle]:
    """List what the sources delivered within the windows of a report."""
    found: dict[tuple[str, str, int], Bundle] = {}
    for source, dataset, bar_seconds, day, rows, status in scope.ask(_STATES, first=scope.first_date):
        bundle = found.setdefault((source, dataset, bar_seconds), Bundle(source, dataset, bar_seconds))
        bundle.states[day] = "stored" if rows > 0 else ("rejected" if status == "rejected" else "empty")
    return list(found.values())


def coverage_section(scope: Scope) -> Section:
    """Show coverage."""
    lead = (
        "A session counts as there when rows of it are stored or it is confirmed that there were none. Weekends and"
        " holidays are no gaps; special sessions count."
    )
    bundles = bundles_of(scope)
    windows = {window.market.name: window for window in scope.windows.values() if window.sessions}
    if not bundles or not windows:
        return Section("coverage", "Coverage", lead, empty="Nothing was ever imported.")
    missing = sum(
        1 for one in bundles for day in one.due(scope.windows[one.source], scope.now) if not one.is_there(day)
    )
    first, last = min(one.first for one in windows.values()), max(one.last for one in windows.values())
    facts = [
        Fact("coverage-range", "looked at", f"{first} to {last}"),
        Fact("coverage-bundles", "source, dataset, resolution", f"{len(bundles):,}"),
        Fact("coverage-missing", "sessions missing", f"{missing:,}", Tone.BAD if missing else Tone.GOOD),
    ]
    special = dict(scope.ask(_SPECIAL, first=first))
    return Section(
        "coverage",
        "Coverage",
        lead,
        facts,
        [_calendar(scope, name, window, bundles, special) for name, window in sorted(windows.items())],
        [_plot(scope, name, window, bundles) for name, window in sorted(windows.items())],
        [_bundle_table(scope, bundles), *_closed_tables(windows, special)],
    )


def _of(scope: Scope, window: Window, bundles: Iterable[Bundle]) -> list[Bundle]:
    return [one for one in bundles if scope.windows[one.source].market.name == window.market.name]


def _calendar(
    scope: Scope, name: str, window: Window, bundles: Sequence[Bundle], special: dict[dt.date, str]
) -> Calendar:
    own = _of(scope, window, bundles)
    due: Counter[dt.date] = Counter()
    there: Counter[dt.date] = Counter()
    for bundle in own:
        for day in bundle.due(window, scope.now):
            due[day] += 1
            there[day] += bundle.is_there(day)
    months: list[tuple[str, list[Day]]] = []
    year, month = window.first.year, window.first.month
    while (year, month) <= (window.last.year, window.last.month):
        days = [dt.date(year, month, day) for day in range(1, calendar.monthrange(year, month)[1] + 1)]
        marks = special if name == "NSE" else {}
        months.append((f"{year}-{month:02}", [_day(window, day, due[day], there[day], marks.get(day)) for day in days]))
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)  # noqa: PLR2004 -- December
    return Calendar(
        f"{name}, {window.first} to {window.last}: how many of what was due each day are there ({window.market.zone})",
        months,
    )


def _day(window: Window, day: dt.date, due: int, there: int, special: str | None) -> Day:
    if not window.first <= day <= window.last:
        return Day(day.day, "", "not looked at", None)
    reason = window.market.closed_reason(day)
    if reason is not None:
        holiday = reason.removeprefix("holiday ")
        return Day(day.day, "·" if reason == "weekend" else "H", f"{day}: {holiday}", None)
    kind = f", {special}" if special else ""
    if not due:
        return Day(day.day, "-", f"{day}{kind}: nothing due", None)
    tone = Tone.GOOD if there == due else (Tone.NOTE if there else Tone.BAD)
    return Day(day.day, str(there) if there == due else f"{there}/{due}", f"{day}{kind}: {there} of {due} there", tone)


def _plot(scope: Scope, name: str, window: Window, bundles: Sequence[Bundle]) -> Plot:
    own = sorted(_of(scope, window, bundles), key=lambda one: (one.source, one.dataset, one.bar_seconds))
    shares = []
    for bundle in own:
        due = set(bundle.due(window, scope.now))
        shares.append([float(bundle.is_there(day)) if day in due else None for day in window.sessions])
    svg = draw_coverage(
        Coverage([one.name for one in own], [f"{day:%Y-%m}" for day in window.sessions], shares),
        f"Coverage of {len(window.sessions)} sessions of {name}, {window.first} to {window.last}",
    )
    return Plot(f"{name}: a column a session, by month", svg)


def _bundle_table(scope: Scope, bundles: Sequence[Bundle]) -> Table:
    rows = []
    for one in bundles:
        due = one.due(scope.windows[one.source], scope.now)
        there = [day for day in due if one.is_there(day)]
        missing = [day for day in due if not one.is_there(day)]
        lines = [f"{day}: {'nothing usable came' if day in one.states else 'nothing came'}" for day in missing]
        rows.append(
            (
                one.source,
                one.dataset,
                resolution(one.bar_seconds),
                f"{min(there)}" if there else None,
                f"{max(there)}" if there else None,
                len(due),
                len(there),
                percent(len(there), len(due)),
                Folded(f"{len(missing)} missing", lines) if missing else Status("none", Tone.GOOD),
            )
        )
    header = ("source", "dataset", "resolution", "first", "last", "due", "there", "share", "missing sessions")
    return Table("coverage-bundles-table", "Sessions that are due and there.", header, rows)


def _closed_tables(windows: dict[str, Window], special: dict[dt.date, str]) -> list[Table]:
    rows: list[tuple[str, str, str, str]] = []
    for name, window in sorted(windows.items()):
        for offset in range((window.last - window.first).days + 1):
            day = window.first + dt.timedelta(days=offset)
            reason = window.market.closed_reason(day)
            if reason is not None and reason != "weekend":
                rows.append((f"{day}", f"{day:%A}", name, reason.removeprefix("holiday ")))
            elif reason is None and name == "NSE" and day in special:
                rows.append((f"{day}", f"{day:%A}", name, f"special session: {special[day]}"))
    if not rows:
        return []
    return [
        Table(
            "coverage-holidays",
            "Holidays and special sessions of the range.",
            ("day", "weekday", "market", "what"),
            rows,
        )
    ]
