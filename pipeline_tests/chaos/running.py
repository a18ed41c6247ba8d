"""A schedule becomes an outcome: processes and faults, then everything once more, then what must hold."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import psycopg

from pipeline_tests.chaos import invariants, planning
from pipeline_tests.chaos.database import Database
from pipeline_tests.chaos.operations import SOURCE, Operation
from pipeline_tests.chaos.poison import poison
from pipeline_tests.chaos.processes import Order, Worker, open_forkserver, start
from pipeline_tests.chaos.readers import Readers, read_catalog
from pipeline_tests.chaos.store import ObjectsOfChaos
from pipeline_tests.chaos.world import CORRECTED, DAYS, DERIVED, FIRST, Deliveries, Reference, look, make_deliveries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_tests.chaos.planning import Plan, Start, Trouble
    from pipeline_tests.chaos.world import Key

DEADLINE_SECONDS: Final = 120.0
"""A process that still runs then hangs."""

_DEFECT: Final = 70


@dataclass(slots=True)
class Outcome:
    """What came of a schedule.

    Parameters
    ----------
    plan : Plan
        The schedule.
    violations : list of str
        What did not hold.
    ends : list of str
        How each process ended.
    seconds : float
        How long it took.
    looks : int
        How often the readers looked.

    """

    plan: Plan
    violations: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    seconds: float = 0.0
    looks: int = 0

    def tell(self) -> str:
        """Say what was done and what did not hold, and how to do it again."""
        lines = [f"seed {self.plan.seed}: {len(self.violations)} violations"]
        lines += [f"  ! {violation}" for violation in self.violations]
        lines += ["  what it did:", *(f"    {line}" for line in self.plan.lines())]
        lines += ["  how the processes ended:", *(f"    {line}" for line in self.ends)]
        lines.append(f"  again: python -m tools.chaos --seed {self.plan.seed} --shrink")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Places:
    """Where a world has its files.

    Parameters
    ----------
    root : Path
        Of this world.
    deliveries : Path
        Of all worlds.
    bucket : str, default ""
        For exports to objects.

    """

    root: Path
    deliveries: Path
    bucket: str = ""

    @property
    def home(self) -> Path:
        """``PIPELINE_HOME``."""
        return self.root / "home"

    @property
    def uploads(self) -> Path:
        """The drop folder."""
        return self.home / "uploads"

    @property
    def temporary(self) -> Path:
        """``TMPDIR``."""
        return self.root / "temporary"

    def make(self) -> None:
        """Make its folders."""
        for folder in (self.root, self.home, self.temporary, self.root / "logs"):
            folder.mkdir()

    def new_log(self) -> Path:
        """Name a file for what a process prints."""
        return self.root / "logs" / f"{secrets.token_hex(6)}.log"

    def find(self, operation: Operation) -> Operation:
        """Give an operation of a plan with the places of this world."""
        place = operation.place.format(root=self.root, deliveries=self.deliveries, bucket=self.bucket)
        return replace(operation, place=place)


class Engine:
    """A server, an object store and a reference, for any number of worlds one after the other.

    Parameters
    ----------
    root : Path
        An empty folder that other accounts may enter.

    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._context = open_forkserver()
        self._stack = contextlib.ExitStack()
        self._numbers = 0

    def __enter__(self) -> Self:
        """Start everything that worlds share, and make the reference."""
        self._root.chmod(0o755)
        self.database = self._stack.enter_context(Database(self._root))
        self.objects = self._stack.enter_context(ObjectsOfChaos())
        self.deliveries: Deliveries = make_deliveries(self._root / "deliveries")
        self.reference = self._make_reference()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything."""
        self._stack.close()

    def run(self, seed: int, plan: Plan | None = None) -> Outcome:
        """Run a seed's schedule, or one that was made of it, in a new world."""
        began = time.monotonic()
        self._numbers += 1
        root = self._root / f"world-{self._numbers}"
        bucket = self.objects.new_bucket(f"world-{self._numbers}")
        with self.database.copy() as name:
            outcome = World(
                self, plan or planning.make_plan(seed), Places(root, self.deliveries.root, bucket), name
            ).run()
        shutil.rmtree(root)
        outcome.seconds = time.monotonic() - began
        return outcome

    @contextlib.contextmanager
    def workshop(self, *, keeps_raw: bool = False) -> Iterator[Workshop]:
        """Give an empty world in which operations are done one by one, and remove it afterwards."""
        self._numbers += 1
        root = self._root / f"world-{self._numbers}"
        places = Places(root, self.deliveries.root, self.objects.new_bucket(f"world-{self._numbers}"))
        places.make()
        with self.database.copy() as name:
            yield Workshop(self, places, name, self.environment(name, places, keeps_raw=keeps_raw))
        shutil.rmtree(root)

    def shrink(self, outcome: Outcome, tries: int = 3) -> Outcome:
        """Leave out what the violation does not need; each smaller schedule is tried several times."""
        position = 0
        while position < len(outcome.plan.troubles) + len(outcome.plan.starts):
            smaller = outcome.plan.without(position)
            again = next((one for _ in range(tries) if (one := self.run(smaller.seed, smaller)).violations), None)
            if again is None:
                position += 1
            else:
                outcome = again
        return outcome

    def environment(self, name: str, places: Places, *, keeps_raw: bool) -> dict[str, str]:
        """Give what processes of a world find."""
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PIPELINE_", "DAGSTER_"))
        }
        return {
            **kept,
            **self.objects.variables,
            "TZ": "UTC",
            "TMPDIR": str(places.temporary),
            "POLARS_MAX_THREADS": "1",
            "PIPELINE_HOME": str(places.home),
            "PIPELINE_DATABASE_URL": self.database.url_through_door(name),
            **({"PIPELINE_RAW_ARCHIVE": "on"} if keeps_raw else {}),
        }

    def start(self, order: Order, environment: dict[str, str], log: Path) -> Worker:
        """Start a process."""
        return start(self._context, order, environment, log)

    def _make_reference(self) -> Reference:
        """Import both versions of everything, one after the other, and note what each partition looks like."""
        places = Places(self._root / "reference", self.deliveries.root)
        places.make()
        states: dict[Key, dict[str, tuple[int, str]]] = {}
        derived: dict[Key, dict[str, tuple[int, str]]] = {}
        with self.database.copy() as name:
            environment = self.environment(name, places, keeps_raw=False)
            Deliveries.upload(places.uploads, DAYS[0])
            for version in (FIRST, CORRECTED):
                landing = str(self.deliveries.landing(version))
                operations = [
                    Operation("import", landing, DAYS[0], DAYS[-1]),
                    Operation("backfill", day=DAYS[0], last=DAYS[-1]),
                    *(Operation("greeks", day=day) for day in DAYS),
                    Operation("uploads", str(places.uploads)),
                ]
                worker = self.start(Order(tuple(operations)), environment, places.new_log())
                if worker.wait(DEADLINE_SECONDS) != 0:
                    raise RuntimeError(f"the reference could not be made: {worker.output}")
                with psycopg.connect(self.database.url(name)) as connection:
                    for key, state in look(connection).items():
                        states.setdefault(key, {})[version] = state
                    for key, state in look(connection, DERIVED).items():
                        derived.setdefault(key, {})[version] = state
        return Reference(states, derived)


@dataclass(frozen=True, slots=True)
class Workshop:
    """A world without a schedule.

    Parameters
    ----------
    engine : Engine
        Whose processes are used.
    places : Places
        Where it is.
    database : str
        Name of its database.
    environment : dict
        What its processes find.

    """

    engine: Engine
    places: Places
    database: str
    environment: dict[str, str]

    @property
    def url(self) -> str:
        """Its database, past the door."""
        return self.engine.database.url(self.database)

    def start(self, operation: Operation, **order: Any) -> Worker:
        """Start a process."""
        return self.engine.start(Order((operation,), **order), self.environment, self.places.new_log())

    def run(self, operation: Operation, **order: Any) -> tuple[int | None, str]:
        """Let a process do something; its exit code and what it printed."""
        worker = self.start(operation, **order)
        return worker.wait(DEADLINE_SECONDS), worker.output

    def must(self, operation: Operation) -> None:
        """Do something that has to succeed."""
        code, output = self.run(operation)
        if code != 0:
            raise AssertionError(f"{operation} ended with {code}: {output}")


class World:
    """One schedule on its way."""

    def __init__(self, engine: Engine, plan: Plan, places: Places, name: str) -> None:
        self._engine, self._plan, self._places, self._name = engine, plan, places, name
        self._environment = engine.environment(name, places, keeps_raw=plan.keeps_raw)
        self._outcome = Outcome(plan)
        self._catalogs = [places.find(one) for one in plan.catalogs]
        self._workers: list[tuple[Start, Worker]] = []
        self._poisoned: list[Worker] = []
        self._threads: list[threading.Thread] = []
        places.make()
        if plan.uploads:
            Deliveries.upload(places.uploads, DAYS[0])

    def run(self) -> Outcome:
        """Let it happen, heal, and check."""
        folders = [Path(one.place) for one in self._catalogs if "://" not in one.place]
        with Readers(lambda: self._engine.database.url(self._name), self._engine.reference, folders) as readers:
            self._storm()
            self._await_ends()
            self._heal()
        self._outcome.looks = readers.looks
        self._say(*readers.violations)
        self._check()
        return self._outcome

    def _say(self, *violations: str) -> None:
        self._outcome.violations += [one for one in violations if one not in self._outcome.violations]

    # While it runs.

    def _storm(self) -> None:
        began = time.monotonic()
        events: list[Start | Trouble] = sorted(
            [*self._plan.starts, *self._plan.troubles], key=lambda one: one.at_seconds
        )
        for event in events:
            time.sleep(max(0.0, began + event.at_seconds - time.monotonic()))
            if isinstance(event, planning.Start):
                self._start(event)
            else:
                thread = threading.Thread(target=self._make_trouble, args=(event,), daemon=True)
                thread.start()
                self._threads.append(thread)

    def _start(self, event: Start) -> None:
        order = Order((self._places.find(event.operation),), event.point, event.occurrence, event.clock_shift_seconds)
        for _ in range(event.times):
            worker = self._engine.start(order, self._environment, self._places.new_log())
            self._workers.append((event, worker))
        if event.kill_after_seconds is not None:
            self._later(event.kill_after_seconds, worker.pid, signal.SIGKILL)
        if event.pause_after_seconds is not None:
            self._later(event.pause_after_seconds, worker.pid, signal.SIGSTOP)
            self._later(event.pause_after_seconds + 0.6, worker.pid, signal.SIGCONT)

    def _later(self, seconds: float, pid: int, signal_number: signal.Signals) -> None:
        def send() -> None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal_number)

        timer = threading.Timer(seconds, send)
        timer.daemon = True
        timer.start()
        self._threads.append(timer)

    def _make_trouble(self, event: Trouble) -> None:
        """Let it go wrong; what cannot go wrong since the server is down already does not."""
        try:
            with contextlib.suppress(psycopg.OperationalError):
                self._trouble(event)
        except Exception as error:  # noqa: BLE001 -- in a thread of its own nobody else would hear of it
            self._say(f"{event.kind} could not be made: {error}")

    def _trouble(self, event: Trouble) -> None:
        database, objects = self._engine.database, self._engine.objects
        match event.kind:
            case planning.RESTART:
                database.restart(immediately=False)
            case planning.CRASH:
                database.restart(immediately=True)
            case planning.CUT:
                database.cut()
            case planning.TERMINATE:
                database.terminate(self._name)
            case planning.SLOW:
                with database.slowed(0.01):
                    time.sleep(1.0)
            case planning.FLOOD:
                with database.flooded(self._name):
                    time.sleep(0.8)
            case planning.POISON:
                folder = poison(self._places.root / "poison", self._plan.seed, self._engine.deliveries)
                operation = Operation("import", str(folder), DAYS[0])
                worker = self._engine.start(Order((operation,)), self._environment, self._places.new_log())
                self._poisoned.append(worker)
            case kind:
                objects.fail(kind)

    def _await_ends(self) -> None:
        for thread in self._threads:
            thread.join(DEADLINE_SECONDS)
        self._engine.objects.recover()
        deadline = time.monotonic() + DEADLINE_SECONDS
        for event, worker in self._workers:
            self._judge(event, worker, max(0.1, deadline - time.monotonic()))
        for worker in self._poisoned:
            code = worker.wait(max(0.1, deadline - time.monotonic()))
            self._outcome.ends.append(f"{code}: poisoned import: {_last_line(worker.output)}")
            if code == 0:
                self._say(f"a poisoned file was taken without a word: {worker.output}")
            self._judge_words(code, worker)

    def _judge(self, event: Start, worker: Worker, patience_seconds: float) -> None:
        """See how a process ended: what it did not do, it must have said."""
        code = worker.wait(patience_seconds)
        self._outcome.ends.append(f"{code}: {event.operation}: {_last_line(worker.output)}")
        if code is None:
            self._say(f"{event.operation} still runs after {DEADLINE_SECONDS:.0f} s: {worker.output[-500:]}")
            os.kill(worker.pid, signal.SIGKILL)
            worker.wait(5)
            return
        is_to_die = event.point is not None or event.kill_after_seconds is not None
        if code < 0 and not (is_to_die and code == -signal.SIGKILL):
            self._say(f"{event.operation} ended by signal {-code}: {worker.output[-500:]}")
        self._judge_words(code, worker)

    def _judge_words(self, code: int | None, worker: Worker) -> None:
        output = worker.output
        if code == _DEFECT or "Traceback" in output:
            self._say(f"{worker.order.operations[0].kind} ended as a defect: {output[-700:]}")
        elif code is not None and code > 0 and "error:" not in output:
            self._say(f"{worker.order.operations[0].kind} failed without a message: {output[-500:]}")
        elif code == 0 and "error:" in output:
            self._say(f"{worker.order.operations[0].kind} said an error and ended with 0: {output[-500:]}")

    def _heal(self) -> None:
        """Run everything again, as an operator or the daemon does."""
        worker = self._engine.start(
            Order(tuple(self._places.find(one) for one in self._plan.heal)), self._environment, self._places.new_log()
        )
        code = worker.wait(DEADLINE_SECONDS)
        if code != 0:
            self._say(f"run again without faults it ended with {code}: {worker.output[-900:]}")
            if code is None:
                os.kill(worker.pid, signal.SIGKILL)

    # In the end.

    def _check(self) -> None:
        url = self._engine.database.url(self._name)
        expected, derived = self._expected()
        self._say(*invariants.check_sessions(url))
        self._say(*invariants.check_stored(url, self._engine.reference, expected, derived))
        self._check_catalogs()
        self._say(*invariants.check_litter(self._places.root))
        self._say(
            *invariants.check_secrets(self._places.root, [self._engine.database.password, self._engine.objects.secret])
        )

    def _expected(self) -> tuple[dict[Key, str], dict[Key, str]]:
        """Say in which version every partition must be."""
        plan, reference = self._plan, self._engine.reference
        is_there = {SOURCE: True, "manual_csv": plan.uploads, "vendor": plan.backfills}

        def version_of(key: Key) -> str | None:
            _, source, day, _ = key
            if source != SOURCE:
                return FIRST if is_there[source] else None
            return plan.versions.get(day)

        return tuple(  # type: ignore[return-value]
            {
                key: version
                for key, states in of.items()
                if (version := version_of(key)) is not None and version in states
            }
            for of in (reference.states, reference.derived)
        )

    def _check_catalogs(self) -> None:
        """What is published is what the warehouse says, whole and nothing besides."""
        for catalog in self._catalogs:
            if "://" in catalog.place:
                self._say(*self._engine.objects.check(catalog.place))
                continue
            place = Path(catalog.place)
            said = read_catalog(place)
            if said or said is None:
                self._say(f"catalog {place.name}: {said or 'is not there'}")
                continue
            besides = invariants.files_besides(place)
            if besides:
                self._say(f"catalog {place.name} holds {besides} besides what its manifest names")
        self._say(*invariants.check_readbacks(self._engine.database.url(self._name)))


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("Next:")]
    return lines[-1][:160] if lines else ""
