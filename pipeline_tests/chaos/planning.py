"""A seed becomes a schedule: which days and exports there are, what starts when, and what goes wrong."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pipeline_tests.chaos.operations import Operation
from pipeline_tests.chaos.points import points_of
from pipeline_tests.chaos.world import CORRECTED, DAYS, FIRST

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_tests.chaos.points import Point

SPAN_SECONDS: Final = 1.2
"""Within which everything starts."""

UPLOADS: Final = "{root}/home/uploads"
CERTIFICATE: Final = "{root}/certificate.json"
LANDING: Final = {version: f"{{deliveries}}/{version}/landing" for version in (FIRST, CORRECTED)}
OBJECTS_SHARE: Final = 0.3
"""Of exports, those to an object store."""

KILL_AT_POINT, KILL_AT_TIME, PAUSE = "kill at a point", "kill at a time", "pause"
RESTART, CRASH, CUT, TERMINATE = "database restart", "database crash", "connections cut", "sessions terminated"
SLOW, FLOOD = "slow database", "connection storm"
SAME_BUTTON, WRONG_CLOCK, POISON = "same button", "wrong clock", "poisoned file"
OBJECTS_REFUSE, OBJECTS_CUT, OBJECTS_SLOW = "objects refused", "objects cut", "objects slow"

OF_AN_OPERATION: Final = (KILL_AT_POINT, KILL_AT_POINT, KILL_AT_POINT, KILL_AT_TIME, PAUSE, SAME_BUTTON, WRONG_CLOCK)
OF_THE_WORLD: Final = (RESTART, CRASH, CUT, TERMINATE, SLOW, FLOOD, POISON)
OF_OBJECTS: Final = (OBJECTS_REFUSE, OBJECTS_CUT, OBJECTS_SLOW)
CHAOS_FAULTS: Final = tuple(dict.fromkeys((*OF_AN_OPERATION, *OF_THE_WORLD, *OF_OBJECTS)))

_PASSED_BY: Final = {
    "import": ("import", "correction"),
    "backfill": ("backfill", "import"),
    "uploads": ("uploads", "import"),
    "certify": ("certificate",),
    "reconcile": ("reconciliation",),
}
"""Whose points an operation comes by, where that is not told by its name."""

_CLOCK_SHIFTS: Final = (-86_400.0 * 400, -3_700.0, 3_700.0, 86_400.0 * 3)


@dataclass(frozen=True, slots=True)
class Start:
    """An operation that starts.

    Parameters
    ----------
    at_seconds : float
        After the beginning.
    operation : Operation
        What.
    point : Point or None
        Where it kills itself.
    occurrence : int
        At which arrival.
    kill_after_seconds, pause_after_seconds : float or None
        When it is killed, or stopped for a while, from outside.
    clock_shift_seconds : float
        By how much its clock is wrong.
    times : int
        How many press the button at the same instant.

    """

    at_seconds: float
    operation: Operation
    point: Point | None = None
    occurrence: int = 1
    kill_after_seconds: float | None = None
    pause_after_seconds: float | None = None
    clock_shift_seconds: float = 0.0
    times: int = 1

    def __str__(self) -> str:
        parts = [f"{self.at_seconds:5.2f} s  {self.operation}"]
        if self.point is not None:
            parts.append(f"dies at '{self.point.name}' ({self.occurrence})")
        if self.kill_after_seconds is not None:
            parts.append(f"killed after {self.kill_after_seconds:.2f} s")
        if self.pause_after_seconds is not None:
            parts.append(f"stopped for a while after {self.pause_after_seconds:.2f} s")
        if self.clock_shift_seconds:
            parts.append(f"its clock is {self.clock_shift_seconds:+.0f} s off")
        if self.times > 1:
            parts.append(f"{self.times} at once")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that happens to the world.

    Parameters
    ----------
    at_seconds : float
        After the beginning.
    kind : str
        One of `OF_THE_WORLD` or `OF_OBJECTS`.

    """

    at_seconds: float
    kind: str

    def __str__(self) -> str:
        return f"{self.at_seconds:5.2f} s  {self.kind}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A schedule.

    Parameters
    ----------
    seed : int
        From which it follows.
    starts : tuple of Start
        Operations.
    troubles : tuple of Trouble
        Faults of the world.
    heal : tuple of Operation
        What an operator or the daemon runs again when the faults have stopped.
    versions : dict
        The last version delivered of each day.
    catalogs : tuple of Operation
        Exports, as they are in the end.
    uploads, backfills, keeps_raw : bool
        Whether there are files of one's own, an API, an archive of deliveries.

    """

    seed: int
    starts: tuple[Start, ...]
    troubles: tuple[Trouble, ...]
    heal: tuple[Operation, ...]
    versions: dict[dt.date, str]
    catalogs: tuple[Operation, ...]
    uploads: bool = False
    backfills: bool = False
    keeps_raw: bool = False

    @property
    def faults(self) -> set[str]:
        """Name the faults in it."""
        found = {trouble.kind for trouble in self.troubles}
        for start in self.starts:
            found |= {KILL_AT_POINT} if start.point is not None else set()
            found |= {KILL_AT_TIME} if start.kill_after_seconds is not None else set()
            found |= {PAUSE} if start.pause_after_seconds is not None else set()
            found |= {WRONG_CLOCK} if start.clock_shift_seconds else set()
            found |= {SAME_BUTTON} if start.times > 1 else set()
        return found

    def lines(self) -> list[str]:
        """Tell it in the order of time."""
        together: list[Start | Trouble] = [*self.starts, *self.troubles]
        events = sorted(together, key=lambda one: one.at_seconds)
        return [str(event) for event in events]

    def without(self, position: int) -> Plan:
        """Give a smaller plan: without the start or trouble at a position; what must hold stays the same."""
        starts, troubles = list(self.starts), list(self.troubles)
        if position < len(troubles):
            troubles.pop(position)
        else:
            starts.pop(position - len(troubles))
        return replace(self, starts=tuple(starts), troubles=tuple(troubles))


def make_plan(seed: int) -> Plan:
    """Choose everything by a seed; places are named, and found in a world when they are needed."""
    chance = random.Random(seed)  # noqa: S311 -- a schedule, no secret
    count = chance.randrange(1, len(DAYS) + 1)
    begin = chance.randrange(len(DAYS) - count + 1)
    days = list(DAYS[begin : begin + count])
    uploads, backfills = chance.random() < 0.5, chance.random() < 0.5
    versions = {day: CORRECTED if chance.random() < 0.6 else FIRST for day in days}
    catalogs = _catalogs(chance, days)
    operations = _operations(chance, days, versions)
    if uploads:
        operations.append(Operation("uploads", UPLOADS))
    if backfills:
        operations.append(Operation("backfill", day=DAYS[0], last=DAYS[-1]))
    operations += [one for one in catalogs if chance.random() < 0.8]
    chance.shuffle(operations)
    starts = [Start(round(chance.uniform(0, SPAN_SECONDS), 2), one) for one in operations]
    starts, troubles = _with_faults(chance, starts, has_objects=any("://" in one.place for one in catalogs))
    heal = [Operation("import", LANDING[versions[day]], day) for day in days]
    heal += [Operation("uploads", UPLOADS)] if uploads else []
    heal += [Operation("backfill", day=DAYS[0], last=DAYS[-1])] if backfills else []
    heal += [Operation("greeks", day=day) for day in days]
    heal += [Operation("reconcile", day=days[0]), *catalogs]
    heal += [Operation("certify", CERTIFICATE, catalogs[0].day)]
    return Plan(
        seed, tuple(starts), tuple(troubles), tuple(heal), versions, tuple(catalogs), uploads, backfills,
        keeps_raw=chance.random() < 0.3,
    )  # fmt: skip


def _catalogs(chance: random.Random, days: list[dt.date]) -> list[Operation]:
    found = []
    for number in range(chance.choice([1, 1, 2])):
        day, form = chance.choice(days), chance.choice(["csv", "parquet"])
        place = f"s3://{{bucket}}/{number}" if chance.random() < OBJECTS_SHARE else f"{{root}}/published/{number}"
        found.append(Operation("export", place, day, format=form))
    return found


def _operations(chance: random.Random, days: list[dt.date], versions: dict[dt.date, str]) -> list[Operation]:
    operations = [Operation("import", LANDING[FIRST], day) for day in days]
    operations += [Operation("import", LANDING[CORRECTED], day) for day in days if versions[day] == CORRECTED]
    further = [
        Operation("greeks", day=chance.choice(days)),
        Operation("reconcile", day=chance.choice(days)),
        Operation("upgrade"),
        Operation("maintain"),
        Operation("certify", CERTIFICATE, chance.choice(days)),
        Operation("import", LANDING[FIRST], days[0], days[-1]),
    ]
    return operations + chance.sample(further, chance.randrange(0, 3))


def _with_faults(chance: random.Random, starts: list[Start], *, has_objects: bool) -> tuple[list[Start], list[Trouble]]:
    """Add one to four faults."""
    troubles: list[Trouble] = []
    kinds = [*OF_AN_OPERATION, *OF_THE_WORLD, *(OF_OBJECTS * 2 if has_objects else ())]
    for kind in chance.sample(kinds, chance.randrange(1, 5)):
        at = round(chance.uniform(0.1, SPAN_SECONDS + 0.3), 2)
        if kind not in OF_AN_OPERATION:
            troubles.append(Trouble(at, kind))
            continue
        position = chance.randrange(len(starts))
        starts[position] = _spoilt(chance, starts[position], kind)
    return starts, troubles


def _spoilt(chance: random.Random, start: Start, kind: str) -> Start:
    after = round(chance.uniform(0.02, 0.8), 2)
    if kind == KILL_AT_POINT:
        points = _points_for(start.operation)
        if points:
            return replace(start, point=chance.choice(points), occurrence=chance.choice([1, 1, 1, 2, 3]))
        kind = KILL_AT_TIME
    if kind == KILL_AT_TIME:
        return replace(start, kill_after_seconds=after)
    if kind == PAUSE:
        return replace(start, pause_after_seconds=after)
    if kind == WRONG_CLOCK:
        return replace(start, clock_shift_seconds=chance.choice(_CLOCK_SHIFTS))
    return replace(start, times=2)


def _points_for(operation: Operation) -> tuple[Point, ...]:
    names = _PASSED_BY.get(operation.kind, (operation.kind,))
    if operation.kind == "export" and "://" in operation.place:
        names = ("export to objects",)
    return tuple(point for name in names for point in points_of(name))
