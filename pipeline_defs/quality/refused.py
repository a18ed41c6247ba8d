"""Lines that an import refused, by reason: they are not in the tables, and yet say how good a delivery was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline_defs.quality.specs import MOST_FAILURES, Failure, Outcome

if TYPE_CHECKING:
    from pipeline_defs.quality.day import Day

REASONS: Final = {
    "ohlc_refused": ("bad_price", "bad_quantity", "high_below_low", "non_positive_price", "price_outside_range"),
    "duplicates_refused": ("conflicting_duplicate",),
    "expiry_refused": ("expired_contract",),
}
"""Reasons of the adapters that each check counts. A line that only repeats another is harmless and counts nowhere."""

_COUNTS: Final = """
SELECT reason, count(*) FROM quarantine
WHERE load_id = ANY (%(load_ids)s) AND reason = ANY (%(reasons)s) GROUP BY reason ORDER BY reason
"""

_READ: Final = "SELECT coalesce(sum(rows_read), 0)::bigint FROM loads WHERE load_id = ANY (%(load_ids)s)"

_LINES: Final = """
SELECT concat_ws('/', f.path, f.member), q.line, q.reason, left(q.text, 200)
FROM quarantine AS q JOIN load_files AS f USING (load_id, file_index)
WHERE q.load_id = ANY (%(load_ids)s) AND q.reason = ANY (%(reasons)s)
ORDER BY f.path, f.member NULLS FIRST, q.line, q.reason LIMIT %(most)s
"""


def judge_refused(day: Day, name: str) -> Outcome:
    """Count the lines that the newest loads refused for some reasons.

    Parameters
    ----------
    day : Day
        The partition.
    name : str
        A check of `REASONS`.

    Returns
    -------
    Outcome
        `examined` counts every line that was read.

    """
    chosen = {"load_ids": day.load_ids, "reasons": list(REASONS[name])}
    counts = dict(day.ask(_COUNTS, **chosen))
    ((examined,),) = day.ask(_READ, load_ids=day.load_ids)
    failing = sum(counts.values())
    lines = day.ask(_LINES, **chosen, most=MOST_FAILURES) if failing else []
    return Outcome(
        examined,
        failing,
        f"no line refused as {', '.join(REASONS[name])}",
        ", ".join(f"{reason} {count}" for reason, count in counts.items()) or f"none of {examined} lines",
        failures=tuple(Failure(f"{file} line {line}: {reason}: {text}") for file, line, reason, text in lines),
    )
