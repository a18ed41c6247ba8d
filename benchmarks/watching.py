"""What a long run does to a machine: memory, files and connections of its processes, sample by sample, and the trend.

Processes are found as descendants of given ones and told apart by their command lines.
"""

# ruff: noqa: INP001 -- beside scripts, not in a package

from __future__ import annotations

import os
import statistics
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS: Final = {
    "webserver": "dagster-webserver",
    "daemon": "dagster-daemon",
    "code server": "api grpc",
    "runs and steps": "multiprocessing",
    "reader": "--role reader",
    "exporter": "pipeline_defs.cli.main",
}
"""By a word of the command line; the children of the database server are its own kind."""

LONG_LIVED: Final = ("webserver", "daemon", "code server", "reader")
UNFINISHED: Final = ("staging-", ".partial", ".arriving", "data.partial")
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass
class Sample:
    """One look.

    Parameters
    ----------
    at : float
        Seconds since the watch began.
    memory : dict of str to float
        Mebibytes by kind, all its processes together; of the database proportional, since its memory is shared.
    files : dict of str to int
        Open files by kind.
    counts : dict of str to int
        Whatever else was counted.

    """

    at: float
    memory: dict[str, float] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


class Watch:
    """Looks every few seconds, in a thread, until it is stopped.

    Parameters
    ----------
    roots : dict of int to str
        Processes whose descendants are watched; a kind given here is that of all of them, "" asks the command line.
    count : callable
        Gives further numbers to note with each sample.
    every_seconds : float
        How often.

    """

    def __init__(self, roots: dict[int, str], count: Callable[[], dict[str, int]], every_seconds: float) -> None:
        self.samples: list[Sample] = []
        self.peak_process: dict[str, float] = {}
        self._roots = roots
        self._count = count
        self._every_seconds = every_seconds
        self._cpu: dict[tuple[int, str], tuple[str, float]] = {}
        self._begun = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def cpu_seconds(self) -> dict[str, float]:
        """Sum processor seconds by kind, as far as they were seen: the last moments of a process are not."""
        sums: dict[str, float] = {}
        for kind, seconds in self._cpu.values():
            sums[kind] = sums.get(kind, 0.0) + seconds
        return {kind: round(seconds, 1) for kind, seconds in sorted(sums.items())}

    def peaks(self) -> dict[str, dict[str, float]]:
        """Give the peak of each kind: of one process, and of all at once."""
        kinds = {kind for sample in self.samples for kind in sample.memory}
        return {
            kind: {
                "one_process_mib": round(self.peak_process.get(kind, 0.0)),
                "together_mib": round(max(sample.memory.get(kind, 0.0) for sample in self.samples)),
            }
            for kind in sorted(kinds)
        }

    def trends(self, after_seconds: float) -> dict[str, dict[str, float]]:
        """Fit a line to memory and open files of what lives long, once it is warm.

        Parameters
        ----------
        after_seconds : float
            Samples before are left out: caches fill at first.

        """
        found = {}
        for kind in LONG_LIVED:
            warm = [one for one in self.samples if one.at >= after_seconds and kind in one.memory]
            if len(warm) < 4:  # noqa: PLR2004 -- a line through fewer says nothing
                continue
            hours = [one.at / 3600 for one in warm]
            memory = statistics.linear_regression(hours, [one.memory[kind] for one in warm])
            files = statistics.linear_regression(hours, [one.files[kind] for one in warm])
            found[kind] = {
                "first_mib": round(warm[0].memory[kind]),
                "last_mib": round(warm[-1].memory[kind]),
                "mib_an_hour": round(memory.slope, 1),
                "first_files": warm[0].files[kind],
                "last_files": warm[-1].files[kind],
                "files_an_hour": round(files.slope, 1),
            }
        return found

    def _run(self) -> None:
        while True:
            self.samples.append(self._look())
            if self._over.wait(self._every_seconds):
                return

    def _look(self) -> Sample:
        sample = Sample(time.monotonic() - self._begun, counts=self._count())
        for pid, kind in self._processes().items():
            try:
                mebibytes = _memory(pid, shared=kind == "database")
                opened = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
                started, cpu = _times(pid)
            except (OSError, ValueError, IndexError):  # ended while we looked
                continue
            self.peak_process[kind] = max(self.peak_process.get(kind, 0.0), mebibytes)
            sample.memory[kind] = sample.memory.get(kind, 0.0) + mebibytes
            sample.files[kind] = sample.files.get(kind, 0) + opened
            self._cpu[pid, started] = (kind, cpu)
        return sample

    def _processes(self) -> dict[int, str]:
        parents, commands = {}, {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(") ")[2].split()[1])
                commands[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
        found = {}
        for pid in parents:
            above, chain = pid, []
            while above in parents and above not in self._roots:
                chain.append(above)
                above = parents[above]
            if above in self._roots:
                kind = self._roots[above] or _kind(commands[pid]) or "other"
                found[pid] = kind
        return found


def unfinished_below(folder: Path) -> int:
    """Count files and folders whose names say that they are on their way."""
    found = 0
    for _, folders, files in os.walk(folder):
        found += sum(any(word in name for word in UNFINISHED) for name in (*folders, *files))
    return found


def _kind(command: str) -> str | None:
    return next((kind for kind, word in KINDS.items() if word in command), None)


def _memory(pid: int, *, shared: bool) -> float:
    file, label = ("smaps_rollup", "Pss:") if shared else ("status", "VmRSS:")
    for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(label):
            return int(line.split()[1]) / 1024
    return 0.0


def _times(pid: int) -> tuple[str, float]:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return fields[19], (int(fields[11]) + int(fields[12])) / _TICKS
