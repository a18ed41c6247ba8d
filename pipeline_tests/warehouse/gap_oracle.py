"""The gap ledger once more in plain Python, slot by slot, to compare the database's with."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby

type Row = tuple[int | None, str | None, int, int, int, str]
"""Instrument's position (None: several), kind, first and last slot, minutes, cause."""


@dataclass
class Traded:
    """One instrument's session: the slots of which there is a row, and those of which one was refused."""

    kind: str
    present: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)

    @property
    def is_dense(self) -> bool:
        return self.kind == "SPOT"


def runs(slots: set[int]) -> list[tuple[int, int]]:
    """Give adjacent slots as ranges, both ends inclusive."""
    ordered = sorted(slots)
    parts = [[slot for _, slot in part] for _, part in groupby(enumerate(ordered), lambda pair: pair[1] - pair[0])]
    return [(part[0], part[-1]) for part in parts]


def expected_rows(traded: list[Traded], slots: int, *, is_due: bool) -> tuple[set[Row], int, int]:
    """Give the rows of the ledger, and the expected and present minutes."""
    members = {at: one for at, one in enumerate(traded) if one.present or one.refused}
    stored = sum(len(one.present) for one in members.values())
    rows: set[Row] = {
        (at, one.kind, first, last, last - first + 1, "quarantined")
        for at, one in members.items()
        for first, last in runs(one.refused - one.present)
    }
    expected = len(members) * slots
    left = expected - stored - sum(row[4] for row in rows)
    if is_due:
        rows |= _missing_rows(members, slots, stored)
    elif left:
        rows.add((None, None, 0, slots - 1, left, "not_yet_due"))
    return rows, expected, stored


def _missing_rows(members: dict[int, Traded], slots: int, stored: int) -> set[Row]:
    everything = set(range(slots))
    has_dense = any(one.is_dense and one.present for one in members.values())
    outages = [
        (first, last)
        for first, last in runs(everything.difference(*(one.present for one in members.values())))
        if has_dense or stored == 0 or stored * (last - first + 1) >= 20 * slots
    ]
    lost = {slot for first, last in outages for slot in range(first, last + 1)}
    missing = {at: everything - one.present - one.refused - lost for at, one in members.items()}
    alone, kind = next(((at, one.kind) for at, one in members.items() if len(members) == 1), (None, None))
    rows: set[Row] = set()
    for first, last in outages:
        minutes = sum(len(set(range(first, last + 1)) - one.refused) for one in members.values())
        rows |= {(alone, kind, first, last, minutes, "source_missing")} if minutes else set()
    for at, one in members.items():
        if one.is_dense:
            rows |= {(at, one.kind, a, z, z - a + 1, "source_missing") for a, z in runs(missing[at])}
    idle = sum(len(missing[at]) for at, one in members.items() if not one.is_dense)
    return rows | ({(None, "EQ", 0, slots - 1, idle, "no_trade")} if idle else set())
