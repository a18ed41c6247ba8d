"""Have an engine read an export back in a process of its own: what every format's `verify` does alike.

An engine may abort its process on a bad file, so it never runs in ours. What it must find (the truth) and how it looks
are the format's own; starting it, and what a crash means, are decided here.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.exports.patience import run_engine
from pipeline_defs.schema.exports import READBACK_SCHEMA, ROUNDED_SCHEMA, BuiltExport, Verification
from pipeline_defs.scratch import scratch
from pipeline_defs.settings import PROJECT_ROOT

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

REPORT_FILE: Final = "report.json"
"""Written by the engine's process beside the truth: ``engine``, ``checks``, ``failures``."""

READBACK_FILE: Final = "readback.parquet"
"""Written there, too: what the engine read, as `READBACK_SCHEMA`."""

MAX_FAILURES: Final = 50
"""Failures that a report spells out; the rest are counted."""

_TAIL_CHARACTERS: Final = 2_000


@dataclass
class Report:
    """What the engine's process found.

    Parameters
    ----------
    engine : str
        Engine and version.
    readback : polars.DataFrame or None
        `READBACK_SCHEMA`, once it is known.

    """

    engine: str
    checks: dict[str, Any] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    readback: pl.DataFrame | None = None

    def expect(self, what: str, expected: object, found: object) -> None:
        """Note a failure when two values differ."""
        if expected != found:
            self.failures.append(f"{what}: expected {expected}, found {found}")

    def write(self, truth: Path) -> None:
        """Write the report beside the truth, with a bounded number of failures."""
        shown = self.failures[:MAX_FAILURES]
        if len(self.failures) > MAX_FAILURES:
            shown.append(f"and {len(self.failures) - MAX_FAILURES} more")
        content = {"engine": self.engine, "checks": self.checks, "failures": shown}
        if self.readback is not None:
            schema = READBACK_SCHEMA | {
                name: dtype for name, dtype in ROUNDED_SCHEMA.items() if name in self.readback.columns
            }
            self.readback.select(list(schema)).cast(pl.Schema(schema)).write_parquet(truth / READBACK_FILE)
        (truth / REPORT_FILE).write_text(json.dumps(content), encoding="utf-8")


def verify_in_process(module: str, built: BuiltExport, write_truth: Callable[[Path], list[str]]) -> Verification:
    """Run a format's verifying module over a staged export.

    Parameters
    ----------
    module : str
        Run as ``python -m <module> EXPORT TRUTH``; writes `REPORT_FILE` into the truth's folder.
    built : BuiltExport
        The staged export.
    write_truth : callable
        Writes what the engine must find into the folder it is given, outside the export; returns what is wrong
        already without the engine.

    Returns
    -------
    Verification
        A process that ends without a report is a failed verification with the end of its error output.

    Raises
    ------
    TooSlowError
        If the engine was not done in the time that `patience` gives it.

    """
    with scratch("export-truth") as truth:
        failures = write_truth(truth)
        return _reported(module, built.root, truth, built.engine, failures)


def validate_in_process(module: str, root: Path, engine: str) -> Verification:
    """Run a format's validating module over a published export, of which nothing else is at hand.

    Parameters
    ----------
    module : str
        Run as ``python -m <module> EXPORT FOLDER``; writes `REPORT_FILE` into the folder.
    root : Path
        The export.
    engine : str
        Engine that the export was made for; what a process that ends without a report cannot say.

    Returns
    -------
    Verification
        As of `verify_in_process`.

    """
    with scratch("export-report") as folder:
        return _reported(module, root, folder, engine, [])


def _reported(module: str, root: Path, folder: Path, engine: str, failures: list[str]) -> Verification:
    """Run a module and read its report from the folder, adding to failures that are known already."""
    command = [sys.executable, "-m", module, str(root.resolve()), str(folder)]
    finished = run_engine(command, where=str(root), cwd=PROJECT_ROOT)
    report = folder / REPORT_FILE
    if not report.exists():
        return Verification(passed=False, engine=engine, checks={}, failures=(*failures, _crash(finished)))
    found = json.loads(report.read_text(encoding="utf-8"))
    readback = folder / READBACK_FILE
    rows = pl.read_parquet(readback, memory_map=False) if readback.exists() else None
    failures = [*failures, *found["failures"]]
    return Verification(not failures, found["engine"], found["checks"], tuple(failures), rows)


def _crash(finished: subprocess.CompletedProcess[str]) -> str:
    end = f"signal {-finished.returncode}" if finished.returncode < 0 else f"exit code {finished.returncode}"
    tail = (finished.stderr or finished.stdout).strip()[-_TAIL_CHARACTERS:]
    return f"the engine's process was expected to report, but ended with {end}: {tail}"
