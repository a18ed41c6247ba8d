"""The processes of an installation with shorter waits, for `benchmarks.leaks_of_processes`.

    python -m benchmarks.hastened {code-server,daemon,webserver,metrics,reader} FASTER [ARGUMENT ...]

What runs is Dagster's own command, or ours, in a process of its own. Of the daemon all waits are divided by FASTER:
between two rounds, between the ticks of a sensor, between heartbeats, between two looks at the workspace; its question
each second whether the code server is the same is left as it is. The others' pace is their callers'. SIGUSR1 has a
process tell on standard error what it holds: objects by type, and what the C library's allocator keeps. With
LEAKS_TRACE_FRAMES=8, say, it tells from the second time on where the memory came from that was allocated since the
first.
"""

# ruff: noqa: INP001, PLC0415 -- beside scripts, not in a package; a process imports only what it runs

from __future__ import annotations

import ctypes
import datetime as dt
import gc
import json
import os
import random
import signal
import sys
import threading
import time
import tracemalloc
from collections import Counter
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dagster._core.scheduler.instigation import InstigatorState

TRACE_VARIABLE: Final = "LEAKS_TRACE_FRAMES"
_SHOWN: Final = 60
_MALLINFO: Final = (
    *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
    *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
)
"""The fields of what mallinfo2 gives."""


ROUNDS: Final = Counter[str]()
"""How often each of the daemon's loops has begun anew."""


class Hasty(threading.Event):
    """An event for which is waited so many times shorter.

    Parameters
    ----------
    event : threading.Event
        The one that is set in the end.
    faster : float
        By which waits are divided.

    """

    def __init__(self, event: threading.Event, faster: float) -> None:
        super().__init__()
        self._event = event
        self._faster = faster

    def is_set(self) -> bool:
        """Ask the event."""
        return self._event.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the event, not so long."""
        return self._event.wait(None if timeout is None else timeout / self._faster)


def hasten_daemon(faster: float) -> None:
    """Divide the waits of the daemon that is started in this process."""
    from dagster._daemon import asset_daemon, cli, controller, daemon, sensor
    from dagster._scheduler import scheduler

    elapsed_of = sensor.get_elapsed

    def get_elapsed(state: InstigatorState) -> float | None:
        elapsed = elapsed_of(state)
        return None if elapsed is None else elapsed * faster

    loop: Any = daemon.DagsterDaemon.run_daemon_loop

    def run_hasty(self: Any, workspace: object, uuid: str, over: threading.Event, *rest: float) -> None:  # noqa: ANN401
        if isinstance(self, daemon.IntervalDaemon):
            self.interval_seconds /= faster
        begin_of, core_loop = daemon.SpanMarker.START_SPAN, self.core_loop

        def counted(*arguments: Any) -> Iterator[Any]:  # noqa: ANN401 -- as the loop is called, and what it yields
            for yielded in core_loop(*arguments):
                ROUNDS[self.daemon_type()] += yielded is begin_of
                yield yielded

        self.core_loop = counted
        loop(self, workspace, uuid, Hasty(over, faster), *rest)

    patched: Any = (sensor, asset_daemon, controller, scheduler, daemon, cli)
    for module in patched[:2]:
        module.get_elapsed = get_elapsed
    for name in ("THREAD_CHECK_INTERVAL", "HEARTBEAT_CHECK_INTERVAL", "RELOAD_WORKSPACE_INTERVAL"):
        setattr(controller, name, getattr(controller, name) / faster)
    patched[3]._get_next_scheduler_iteration_time = lambda begun: begun + 60  # the wait until then is divided  # noqa: SLF001
    patched[4].DagsterDaemon.run_daemon_loop = run_hasty
    patched[5].daemon_controller_from_instance = partial(
        controller.daemon_controller_from_instance,
        heartbeat_interval_seconds=controller.DEFAULT_HEARTBEAT_INTERVAL_SECONDS / faster,  # type: ignore[arg-type]
    )


def serve_metrics(address: str) -> None:
    """Serve what `pipeline metrics --listen` serves, every scrape read anew."""
    from pipeline_defs.operations import metrics
    from pipeline_defs.operations.warehouse_metrics import warehouse_parts
    from pipeline_defs.orchestration.operations.metrics import instance_parts
    from pipeline_defs.orchestration.runs import open_instance
    from pipeline_defs.settings import load_settings
    from pipeline_defs.warehouse.connection import Warehouse, database_url

    settings = load_settings()
    with open_instance(settings, captures_output=False) as instance:
        parts = warehouse_parts(Warehouse(database_url(settings))) | instance_parts(instance)
        _, thread = metrics.serve(metrics.registry_of(parts, reuse_seconds=0), *metrics.parse_address(address))
        thread.join()


def read_windows(underlying: str, first: str, last: str, counted: str, pause_seconds: str) -> None:
    """Look at windows of random minutes through a portal of its own each, as a strategy's process does."""
    from pipeline_defs.portal import DataPortal, SimulationClock
    from pipeline_defs.warehouse.connection import Warehouse

    url, file, windows = os.environ["PIPELINE_DATABASE_URL"], Path(counted), 0
    begin = dt.datetime.fromisoformat(f"{first}T10:00:00+05:30")
    days = (dt.date.fromisoformat(last) - dt.date.fromisoformat(first)).days
    while True:
        now = begin + dt.timedelta(days=random.randint(0, days), minutes=random.randrange(300))  # noqa: S311
        portal = DataPortal(warehouse=Warehouse(url), clock=SimulationClock(now))
        portal.history(underlying, ["open", "close"], 20, random.choice(("1m", "1d")))  # noqa: S311 -- any will do
        windows += 1
        file.write_text(str(windows))
        time.sleep(float(pause_seconds))


def tell_on_signal(name: str) -> None:
    """Have SIGUSR1 print what the process holds, as one line of JSON."""
    frames = int(os.environ.get(TRACE_VARIABLE, "0"))
    if frames:
        tracemalloc.start(frames)
    before: list[tracemalloc.Snapshot] = []

    def tell(*_: object) -> None:
        gc.collect()
        kinds = Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())
        held: dict[str, Any] = {"process": name, "anonymous_kib": anonymous_kib(), **allocated()}
        ctypes.CDLL(None).malloc_trim(0)
        held |= {"trimmed_kib": anonymous_kib(), "blocks": sys.getallocatedblocks()}
        held |= {"threads": Counter(one.name.rstrip("0123456789_-") for one in threading.enumerate())}
        held |= {"rounds": ROUNDS, "objects": kinds.total(), "kinds": dict(kinds.most_common(_SHOWN))}
        if frames:
            now = tracemalloc.take_snapshot()
            if before:
                grown = now.compare_to(before[0], "traceback")[:15]
                held["grown"] = [
                    f"{one.size_diff} B {one.count_diff}: "
                    + " < ".join(one.traceback.format(8, most_recent_first=True))
                    for one in grown
                ]
            else:
                before.append(now)
        print(f"HELD {json.dumps(held)}", file=sys.stderr, flush=True)  # noqa: T201 -- its log

    signal.signal(signal.SIGUSR1, tell)


class _Allocated(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in _MALLINFO]


def allocated() -> dict[str, int]:
    """Give what the C library's allocator holds: of the system, in use, and free in between; in KiB."""
    library = ctypes.CDLL(None)
    library.mallinfo2.restype = _Allocated
    found = library.mallinfo2()
    sizes = {"arenas": found.arena, "mapped": found.hblkhd, "used": found.uordblks, "free": found.fordblks}
    return {f"{name}_kib": size // 1024 for name, size in sizes.items()}


def anonymous_kib() -> int:
    """Give the process's own memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    return 0


def main() -> None:
    """Become one of the processes."""
    name, faster, sys.argv[1:] = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
    tell_on_signal(name)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what it starts in the background ignore it
    if name == "daemon":
        hasten_daemon(faster)
    commands: dict[str, Callable[..., object]] = {
        "code-server": partial(_run, "dagster._cli"),
        "daemon": partial(_run, "dagster._daemon.cli"),
        "webserver": partial(_run, "dagster_webserver.cli"),
        "metrics": partial(serve_metrics, *sys.argv[1:]),
        "reader": partial(read_windows, *sys.argv[1:]),
    }
    commands[name]()


def _run(module: str) -> None:
    import_module(module).main()


if __name__ == "__main__":
    main()
