"""What memory one partition takes, by its rows: the load of a day, and the export of it with verification.

``python -m benchmarks.partition_memory [--rows 1000000 4000000] [--format parquet nautilus] [--keep FOLDER]`` prints
one JSON object after each export: peaks of the commands, each in a process of its own, verification included. Of an
export they are told by process, the largest `ru_maxrss` of them, and what was sampled as anonymous memory (`RssAnon`):
without the pages of files, which the kernel takes back when it needs them. Of a usual day a third is NIFTY, which is
exported; with ``--one-chain`` all of it. With ``--keep`` the days stay loaded in the folder, and are not loaded again
by the next measurement.
"""

# ruff: noqa: INP001, S603, T201 -- a script to run: it prints, and starts our own command

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.export_memory import PEAK
from benchmarks.measuring import Server
from pipeline_defs.samples.chain import ChainSpec, count_contracts
from pipeline_defs.samples.generate import benchmark_day, generate
from pipeline_defs.samples.underlyings import underlying_named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.samples.products import SampleSpec

_CENTRE: Final = underlying_named("NIFTY").start_price
_WEEKLIES: Final = 20
_SAMPLE_SECONDS: Final = 0.01
_MODULE: Final = "pipeline_defs."


def main() -> None:
    """Load a day of each size, export it to each format, and print the peaks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 4_000_000])
    parser.add_argument("--format", nargs="+", default=["parquet"])
    parser.add_argument("--one-chain", action="store_true", help="days with nothing but NIFTY")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where loaded days stay")
    options = parser.parse_args()
    loads: dict[int, int | None] = {}
    exports: dict[str, dict[int, Any]] = {name: {} for name in options.format}
    for rows in options.rows:
        with loaded_day(rows, options.keep, one_chain=options.one_chain) as (url, folder, load_mib):
            loads[rows] = load_mib
            for name in options.format:
                exports[name][rows] = export(url, folder, name)
                told = {"rows": rows, "load_mib": loads[rows], "format": name, **exports[name][rows]}
                print(json.dumps(told), flush=True)
    print(json.dumps({"load_mib": loads, "exports": exports}, indent=2))


@contextmanager
def loaded_day(rows: int, keep: Path | None, *, one_chain: bool) -> Iterator[tuple[str, Path, int | None]]:
    """Give a server that holds a day of so many rows, a folder, and the peak of the load if there was one, in MiB."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name) if keep is None else keep / f"{rows}{'-of-one-chain' * one_chain}"
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        day, server = folder / "day.txt", Server(folder / "postgres")
        try:
            load_mib = None
            if not day.exists():
                spec = benchmark_day(rows, max(2_500, rows // 360))
                sample = generate(of_one_chain(spec) if one_chain else spec, folder / "day")
                load = ["import", "--source", "nse-csv", "--path", str(sample.landing)]
                load_mib = peak(server.url, folder / "home", load)
                day.write_text(sample.trade_dates[0].isoformat(), encoding="utf-8")
            yield server.url, folder, load_mib
        finally:
            server.stop()


def of_one_chain(spec: SampleSpec) -> SampleSpec:
    """List as many contracts of NIFTY alone, of many expiries."""
    contracts = sum(
        count_contracts(chain, spec.start_date, underlying_named(chain.symbol).start_price) for chain in spec.chains
    )
    chains = (ChainSpec("NIFTY", strikes, weeklies=_WEEKLIES, monthlies=3) for strikes in itertools.count(1))
    enough = next(chain for chain in chains if count_contracts(chain, spec.start_date, _CENTRE) >= contracts)
    return replace(spec, chains=(enough,))


def export(url: str, folder: Path, format_name: str) -> dict[str, Any]:
    """Export the day of a folder's server, and give the peaks in MiB and what it took."""
    day = (folder / "day.txt").read_text(encoding="utf-8")
    dates = ["--start-date", day, "--end-date", day]
    with tempfile.TemporaryDirectory(prefix="benchmark-") as output:
        command = ["export", "--format", format_name, "--underlying", "NIFTY", *dates, "--output", f"{output}/out"]
        with sampled() as anonymous:
            begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            largest = peak(url, folder / "home", command)
            seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "export_mib": largest,
        "anonymous_mib": anonymous,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
    }


def peak(url: str, home: Path, arguments: list[str]) -> int:
    """Run a command of the pipeline and give the peak of its largest process, in MiB."""
    command = [sys.executable, "-c", PEAK, sys.executable, "-m", "pipeline_defs.cli.main", *arguments]
    environment = {**os.environ, "PIPELINE_DATABASE_URL": url, "PIPELINE_HOME": str(home)}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return int(done.stdout.splitlines()[-1]) // 1024


@contextmanager
def sampled() -> Iterator[dict[str, int]]:
    """Watch the processes that are started below this one; at the end, peaks of `RssAnon` in MiB by module."""
    peaks: defaultdict[str, int] = defaultdict(int)
    told: dict[str, int] = {}
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_SAMPLE_SECONDS):
            for pid in _below(os.getpid()):
                name, anonymous_kib = _look_at(pid)
                if name is not None:
                    peaks[name] = max(peaks[name], anonymous_kib)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield told
    finally:
        ended.set()
        watcher.join()
        told |= {name: anonymous_kib // 1024 for name, anonymous_kib in peaks.items()}


def _below(pid: int) -> Iterator[int]:
    """Give the processes that descend from one."""
    try:
        tasks = [(task / "children").read_text(encoding="ascii") for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:  # ended while we looked
        return
    for child in (int(number) for numbers in tasks for number in numbers.split()):
        yield child
        yield from _below(child)


def _look_at(pid: int) -> tuple[str | None, int]:
    """Give the module of ours or the script that a process runs, if it does, and its anonymous memory in KiB."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:  # ended while we looked
        return None, 0
    kib = next((line.split()[1] for line in status.splitlines() if line.startswith("RssAnon:")), "0")
    started = (word for word in words[1:] if word.startswith(_MODULE) or word.endswith(".py"))
    return (None if PEAK in words else next((Path(word).name for word in started), None)), int(kib)


if __name__ == "__main__":
    main()
