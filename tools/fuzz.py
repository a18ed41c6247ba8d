"""Fuzz parsers: inputs are damaged without end, and what breaks a promise is kept.

    PYTHONPATH=. .venv/bin/python tools/fuzz.py TARGET … --seconds 60
    PYTHONPATH=. .venv/bin/python tools/fuzz.py --all --seconds 20
    PYTHONPATH=. .venv/bin/python tools/fuzz.py --list

Each target runs in a process of its own, with limited memory. Where coverage of Python code guides the search well,
atheris chooses what to damage further; other targets are given damaged inputs alone. The growing corpus lies in
``tmp-fuzz/TARGET/``; with ``--keep`` the smallest inputs that cover something are put into the kept corpus. The first
input of each fault is saved in ``tmp-fuzz/TARGET-faults/``, with the traceback beside it. The exit code is 1 if there
was any.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import hashlib
import importlib
import itertools
import json
import mmap
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import CodeType

    from pipeline_tests.fuzzing.target import Target

WORK = Path("tmp-fuzz")
MEMORY_BYTES = 6 << 30
"""Address space of a process: libraries alone reserve a good part of it."""
MOST_BYTES = 8_000
"""Longer inputs say nothing more, and are not kept."""
HANG_SECONDS = 60
"""Native code that does not come back for so long ends the process."""
KEPT_BYTES = 5_000
_PROGRESS = re.compile(r"cov: (\d+) ft: (\d+)")
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s*(\d+)")


class Trial:
    """One target under way in this process.

    Parameters
    ----------
    target : Target
        What is tried.
    folder : Path
        Where faults are saved.

    """

    def __init__(self, target: Target, folder: Path) -> None:
        self.target = target
        self.executions = self.read = self.refused = 0
        self.faults: dict[str, int] = {}
        self.lines = (0, 0)
        self.cpu_seconds = 0.0
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._last = _Last(folder / "last-input")

    def __call__(self, data: bytes) -> None:
        """Try one input; a fault is saved, and the trial goes on."""
        self.executions += 1
        self._last.remember(data)
        faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
        try:
            outcome = self.target.run(data)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 -- whatever is raised is what we look for
            self._save(data, error)
        else:
            self.read += outcome == "read"
            self.refused += outcome == "refused"
        finally:
            faulthandler.cancel_dump_traceback_later()

    def _save(self, data: bytes, error: BaseException) -> None:
        from pipeline_tests.fuzzing.target import fault_of  # noqa: PLC0415 -- after instrumentation

        fault = fault_of(error)
        self.faults[fault] = self.faults.get(fault, 0) + 1
        path = self._folder / hashlib.sha256(fault.encode()).hexdigest()[:12]
        if not path.exists() or len(data) < path.stat().st_size:
            path.write_bytes(data)
            path.with_suffix(".txt").write_text(f"{fault}\n\n{''.join(traceback.format_exception(error))}")

    def report(self) -> dict[str, Any]:
        """Say what came of it."""
        return {
            "executions": self.executions,
            "read": self.read,
            "refused": self.refused,
            "faults": self.faults,
            "reached": self.lines,
            "cpu_seconds": round(self.cpu_seconds, 1),
        }


class _Last:
    """The input that is tried, where it survives the process."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(8 + MOST_BYTES))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8 + MOST_BYTES)

    def remember(self, data: bytes) -> None:
        """Put the input there."""
        head = data[:MOST_BYTES]
        self._map[: 8 + len(head)] = len(head).to_bytes(8, "little") + head


def guided(name: str, room: str, seconds: int, folder: Path) -> None:
    """Let atheris choose, by the Python code that an input reaches."""
    import atheris  # noqa: PLC0415 -- only this process needs it

    with atheris.instrument_imports(include=["pipeline_defs"]), contextlib.redirect_stderr(sys.stdout):
        target = find(name, room)
    from pipeline_tests.fuzzing.damage import damaged, random_edits  # noqa: PLC0415

    if target.prepare is not None:
        target.prepare()
    trial = Trial(target, _faults(folder))
    _limit()

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        chance = random.Random(seed)  # noqa: S311 -- no secret
        if chance.random() < 0.25:  # noqa: PLR2004 -- a quarter: plain damage, which knows what was compared
            return bytes(atheris.Mutate(data, max_size))
        return damaged(data, random_edits(chance), target.form)[:max_size]

    def one(data: bytes) -> None:
        trial(data)
        if trial.executions % 50 == 0:
            _report(folder, trial)

    _seed(target, folder)
    options = [
        *(f"-max_total_time={seconds}", f"-max_len={MOST_BYTES}", "-timeout=0", "-handle_alrm=0", "-rss_limit_mb=0"),
        *("-print_final_stats=1", "-reload=0", f"-seed={random.randrange(1, 1 << 31)}"),  # noqa: S311
    ]
    atheris.Setup([sys.argv[0], *options, str(folder)], one, custom_mutator=mutate)
    import atexit  # noqa: PLC0415

    atexit.register(lambda: _report(folder, trial))
    atheris.Fuzz()


def unguided(names: list[str], seconds: int) -> None:
    """Damage inputs that are whole, for one target after the other; what reaches a new line is damaged further."""
    from pipeline_tests.fuzzing.damage import damaged, random_edits  # noqa: PLC0415
    from pipeline_tests.fuzzing.targets import TARGETS  # noqa: PLC0415

    _limit()
    lines = Lines()
    for name in names:
        folder, target = WORK / name, TARGETS[name]
        trial = Trial(target, _faults(folder))
        begun = time.process_time()
        _seed(target, folder)
        pool = [path.read_bytes() for path in sorted(folder.iterdir())]
        lines.forget()
        for data in pool:
            trial(data)
        first = lines.count
        chance = random.Random()  # noqa: S311 -- no secret
        end = begun + seconds
        while time.process_time() < end:
            data = damaged(chance.choice(pool), random_edits(chance), target.form)[:MOST_BYTES]
            before = lines.count
            trial(data)
            if lines.count > before:
                pool.append(data)
                (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
        trial.lines = (first, lines.count)
        trial.cpu_seconds = time.process_time() - begun
        _report(folder, trial)
        print(json.dumps({"target": name, **trial.report()}), flush=True)


def find(name: str, room: str) -> Target:
    """Give a target; only its room is imported, since some rooms take seconds to."""
    module = importlib.import_module(f"pipeline_tests.fuzzing.rooms.{room}")
    found: Target = next(target for target in module.TARGETS if target.name == name)
    return found


class Lines:
    """Counts the lines of the product that were reached; each costs something the first time alone."""

    def __init__(self) -> None:
        self.count = 0
        monitoring = sys.monitoring
        monitoring.use_tool_id(monitoring.COVERAGE_ID, "fuzz")
        monitoring.register_callback(monitoring.COVERAGE_ID, monitoring.events.LINE, self._reach)
        monitoring.set_events(monitoring.COVERAGE_ID, monitoring.events.LINE)

    def forget(self) -> None:
        """Count from none again."""
        self.count = 0
        sys.monitoring.restart_events()

    def _reach(self, code: CodeType, _line: int) -> Any:  # noqa: ANN401 -- what the interpreter expects
        self.count += "/pipeline_defs/" in code.co_filename
        return sys.monitoring.DISABLE


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _faults(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-faults")


def _seed(target: Target, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for data in target.kept():
        (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def _report(folder: Path, trial: Trial) -> None:
    (_faults(folder) / "report.json").write_text(json.dumps(trial.report()))


def _command(inside: str, names: Iterable[str], room: str, seconds: int) -> list[str]:
    return [
        *(sys.executable, "-W", "ignore", __file__, "--inside", inside, *names),
        *("--room", room, "--seconds", str(seconds)),
    ]


def run_guided(name: str, room: str, seconds: int) -> dict[str, Any]:
    """Fuzz one target in a process of its own.

    Returns
    -------
    dict
        Executions, outcomes, faults, processor seconds, and the edges of Python code that were reached at the begin
        and the end.

    """
    folder = WORK / name
    shutil.rmtree(_faults(folder), ignore_errors=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    finished = subprocess.run(
        _command("guided", [name], room, seconds), capture_output=True, text=True, errors="replace", check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = finished.stdout + finished.stderr
    report_path = _faults(folder) / "report.json"
    report: dict[str, Any] = json.loads(report_path.read_text()) if report_path.exists() else {"faults": {}}
    if covered := [int(edges) for edges, _ in _PROGRESS.findall(said)]:
        report["reached"] = (covered[0], covered[-1])
    if executed := _EXECUTED.findall(said):
        report["executions"] = int(executed[-1])
    if finished.returncode != 0:
        report["faults"][_save_last(name, finished.returncode, said)] = 1
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"target": name, **report, "cpu_seconds": round(cpu_seconds, 1), "guided": True}


def run_unguided(names: list[str], seconds: int) -> Iterator[dict[str, Any]]:
    """Fuzz targets in one process; where it is killed by an input, another one goes on with the next target."""
    waiting = list(names)
    for name in names:
        shutil.rmtree(_faults(WORK / name), ignore_errors=True)
    while waiting:
        command = _command("unguided", waiting, "all", seconds)
        with (
            tempfile.TemporaryFile("w+") as errors,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
        ):
            for line in process.stdout or ():
                if line.startswith('{"target"'):
                    yield json.loads(line)
                    del waiting[0]
            code = process.wait()
            errors.seek(0)
            said = errors.read()
        if waiting:
            yield {"target": waiting[0], "faults": {_save_last(waiting[0], code, said): 1}}
            del waiting[0]


def _save_last(name: str, code: int, said: str) -> str:
    """Save the input that ended a process, and say so."""
    folder = _faults(WORK / name)
    folder.mkdir(parents=True, exist_ok=True)
    last = folder / "last-input"
    held = last.read_bytes() if last.exists() else bytes(8)
    data = held[8 : 8 + int.from_bytes(held[:8], "little")]
    path = folder / f"ended-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    path.with_suffix(".txt").write_text(f"the process ended with {code}\n\n{said[-5_000:]}")
    return f"the process ended with {code}"


def keep(names: list[str]) -> None:
    """Put the smallest inputs that together reach every line that any reaches into the kept corpus."""
    from pipeline_tests.fuzzing.target import CORPUS  # noqa: PLC0415
    from pipeline_tests.fuzzing.targets import TARGETS  # noqa: PLC0415

    lines = Lines()
    for name in names:
        target, folder, kept = TARGETS[name], WORK / name, CORPUS / name
        trial = Trial(target, _faults(folder))
        lines.forget()
        for data in target.seeds:
            trial(data)
        _seed(target, folder)
        shutil.rmtree(kept, ignore_errors=True)
        size = 0
        for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_size):
            before, faults = lines.count, sum(trial.faults.values())
            data = path.read_bytes()
            trial(data)
            is_new = lines.count > before and sum(trial.faults.values()) == faults
            if is_new and data not in target.seeds and size + len(data) <= KEPT_BYTES:
                size += len(data)
                kept.mkdir(parents=True, exist_ok=True)
                (kept / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)


def main(arguments: Iterable[str] | None = None) -> int:
    """Read the arguments and do what they say."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--all", action="store_true", help="every target, one after the other")
    parser.add_argument("--list", action="store_true", help="name the targets and end")
    parser.add_argument("--seconds", type=int, default=60, help="processor seconds for each target (default 60)")
    parser.add_argument("--guided", choices=("yes", "no", "as-declared"), default="as-declared")
    parser.add_argument("--keep", action="store_true", help="afterwards, put the best inputs into the kept corpus")
    parser.add_argument("--inside", choices=("guided", "unguided"), help=argparse.SUPPRESS)
    parser.add_argument("--room", help=argparse.SUPPRESS)
    given = parser.parse_args(None if arguments is None else list(arguments))
    if given.inside == "guided":
        (name,) = given.targets
        guided(name, given.room, given.seconds, WORK / name)
    if given.inside == "unguided":
        unguided(given.targets, given.seconds)
    if given.inside:
        return 0
    from pipeline_tests.fuzzing.targets import ROOM_OF, TARGETS  # noqa: PLC0415 -- instrumented elsewhere

    unknown = [name for name in given.targets if name not in TARGETS]
    if unknown:
        parser.error(f"no target {', '.join(unknown)}; --list names them")
    names = list(TARGETS) if given.all else given.targets
    if given.list or not names:
        print("\n".join(TARGETS))
        return 0
    os.environ["PYTHONPATH"] = "."
    declared = {name for name in names if TARGETS[name].pays}
    paying = {"yes": set(names), "no": set(), "as-declared": declared}[given.guided]
    reports = itertools.chain(
        run_unguided([name for name in names if name not in paying], given.seconds),
        (run_guided(name, ROOM_OF[name], given.seconds) for name in names if name in paying),
    )
    failed = False
    for report in reports:
        failed = failed or bool(report["faults"])
        print(json.dumps(report), flush=True)
    if given.keep:
        keep(names)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
