#!/usr/bin/env python3
"""What continuous integration runs in a clean clone: the tests, with the demo, the checks, the audit.

Prints the wall time and the peak memory of each, and stops what was started, also after a failure. Exit code 0 only
if all succeed within the time limit. Any Python from 3.8 on will do: the project's own is made by the commands.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = Path(os.environ.get("PIPELINE_HOME") or ROOT / ".pipeline")
COMMANDS = (("make", "test"), ("make", "-j2", "--output-sync=target", "check", "audit"))
WANTED_SECONDS = 20 * 60
"""What a run should stay under; a slow machine is told, not punished."""
LIMIT_SECONDS = 60 * 60
SAMPLE_SECONDS = 2.0


def memory_kib(pid: int) -> int:
    """Give the memory of a process, with shared pages divided among those who share them."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended, or there is no such file on this system
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def ours(session: int) -> "set[int]":
    """Give the processes of a command's session, and of the database it started, which has a session of its own."""
    parents, found = {}, set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            pid, stat = int(folder.name), (folder / "stat").read_text().rpartition(") ")[2].split()
            parents[pid] = int(stat[1])
            if int(stat[3]) == session or str(HOME) in (folder / "cmdline").read_text(errors="replace"):
                found.add(pid)
        except OSError:
            continue
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def run(command: "tuple[str, ...]", deadline: float) -> bool:
    """Run a command in a session of its own, without input, and report what it took."""
    print(f"== {' '.join(command)}", flush=True)
    begun, peak_kib, ended = time.monotonic(), 0, threading.Event()
    process = subprocess.Popen(
        command, cwd=ROOT, env=dict(os.environ, CI="true"), stdin=subprocess.DEVNULL, start_new_session=True
    )

    def sample() -> None:
        nonlocal peak_kib
        while True:
            peak_kib = max(peak_kib, sum(map(memory_kib, ours(process.pid))))
            if ended.wait(SAMPLE_SECONDS):
                return

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        code = process.wait(timeout=max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        print(f"== over the limit of {LIMIT_SECONDS} s for all commands", flush=True)
        code = -signal.SIGKILL
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what the command left behind, or the command itself
        process.wait()
        ended.set()
        sampler.join()
    seconds = time.monotonic() - begun
    print(f"== {' '.join(command)}: exit {code}, {seconds:.0f} s, peak memory {peak_kib / 1024:.0f} MiB", flush=True)
    return code == 0


def main() -> int:
    """Run the commands one after the other until one fails."""
    begun = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what follows `finally` happens, too
    try:
        passed = all(run(command, begun + LIMIT_SECONDS) for command in COMMANDS)
    finally:
        subprocess.run(("make", "stop"), cwd=ROOT, stdin=subprocess.DEVNULL, check=False)
    seconds = time.monotonic() - begun
    if seconds > WANTED_SECONDS:
        print(f"== slower than the {WANTED_SECONDS} s that a run should stay under", flush=True)
    print(f"== {'passed' if passed else 'FAILED'} after {seconds:.0f} s", flush=True)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
