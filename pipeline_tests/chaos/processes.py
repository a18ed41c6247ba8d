"""Processes that cost milliseconds: forked from one that has imported everything and has never run a thread."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipeline_tests.chaos.operations import perform

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from multiprocessing.context import ForkServerContext, ForkServerProcess
    from pathlib import Path

    from pipeline_tests.chaos.operations import Operation
    from pipeline_tests.chaos.points import Point

_PRELOADED: Final = ["pipeline_tests.chaos.preloaded"]


@dataclass(frozen=True, slots=True)
class Order:
    """What one process is to do.

    Parameters
    ----------
    operations : tuple of Operation
        One after the other; the first that fails ends it.
    point : Point or None
        Where it kills itself.
    occurrence : int
        At which of its arrivals there.
    clock_shift_seconds : float
        By how much its clock is wrong.

    """

    operations: tuple[Operation, ...]
    point: Point | None = None
    occurrence: int = 1
    clock_shift_seconds: float = 0.0


@dataclass(slots=True)
class Worker:
    """A running process.

    Parameters
    ----------
    order : Order
        What it does.
    process : multiprocessing.Process
        Itself.
    log : Path
        What it prints.

    """

    order: Order
    process: ForkServerProcess
    log: Path
    began: float = field(default_factory=time.monotonic)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid or 0

    @property
    def output(self) -> str:
        """What it printed so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait(self, seconds: float) -> int | None:
        """Wait for its end; its exit code (negative: the signal), None if it still runs."""
        self.process.join(seconds)
        return self.process.exitcode


def open_forkserver() -> ForkServerContext:
    """Give the context whose processes are forked from one that is warm."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def start(context: ForkServerContext, order: Order, environment: Mapping[str, str], log: Path) -> Worker:
    """Start a process."""
    process = context.Process(target=_live, args=(order, dict(environment), str(log)), daemon=True)
    process.start()
    return Worker(order, process, log)


def _live(order: Order, environment: dict[str, str], log: str) -> None:
    """Be a process of the world; ends as the command line ends."""
    from pipeline_tests.chaos.clocks import shift_clock  # noqa: PLC0415 -- in the new process only
    from pipeline_tests.chaos.points import die_at  # noqa: PLC0415

    os.setpgid(0, 0)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    tempfile.tempdir = None  # what it was in the process that this one was forked from
    if order.clock_shift_seconds:
        shift_clock(order.clock_shift_seconds)
    if order.point is not None:
        die_at(order.point, order.occurrence)
    code = _perform_all(order.operations)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _perform_all(operations: Sequence[Operation]) -> int:
    from pipeline_defs.cli.failing import end  # noqa: PLC0415 -- in the new process only
    from pipeline_defs.warehouse import faults  # noqa: PLC0415

    faults.WAITS_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0)  # type: ignore[assignment,misc] # people wait longer
    try:
        for operation in operations:
            perform(operation)
    except Exception as error:  # noqa: BLE001 -- told as the command line tells it
        return int(end(error, show_traceback=False))
    return 0
