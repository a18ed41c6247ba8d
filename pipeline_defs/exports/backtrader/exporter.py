"""The export port for Backtrader: what the registry and the Dagster assets hold.

Only the two steps of the port belong here. Backtrader is imported by another process only.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline_defs.exports.backtrader.build import build_files
from pipeline_defs.exports.backtrader.truth import REPORT_FILE, write_truth
from pipeline_defs.schema.exports import BuiltExport, Exporter, MarketSlice, Verification
from pipeline_defs.settings import PROJECT_ROOT

VERIFY_MODULE: Final = "pipeline_defs.exports.backtrader.verify"

_TAIL_CHARACTERS: Final = 2_000


@dataclass(frozen=True)
class BacktraderExporter(Exporter):
    """CSV files for a plain ``GenericCSVData(dataname=path)``, see ``docs/exports/backtrader.md``.

    Parameters
    ----------
    engine_bars : int, default 100_000
        Bars that a verification has Backtrader itself read, the underlying's apart: each in both ways
        of loading, at about 25 000 a second. Of a larger export it reads contracts at even distances; the text of every
        file is compared exactly in any case.

    """

    engine_bars: int = 100_000
    name = "backtrader"

    def build(self, market: MarketSlice, root: Path) -> BuiltExport:
        """Write the files into an empty staging directory.

        Parameters
        ----------
        market : MarketSlice
            What to export.
        root : Path
            Existing, empty directory.

        Returns
        -------
        BuiltExport

        Raises
        ------
        ExportError
            See `pipeline_defs.exports.backtrader.build.build_files`.

        """
        return build_files(market, root)

    def verify(self, built: BuiltExport, market: MarketSlice) -> Verification:
        """Have Backtrader itself load the files, in a process of its own, and compare with the slice.

        Parameters
        ----------
        built : BuiltExport
            What `build` returned.
        market : MarketSlice
            The truth, read again.

        Returns
        -------
        Verification
            A crash of the engine is a failed verification with the end of its error output.

        """
        with tempfile.TemporaryDirectory(prefix="backtrader-truth-") as folder:
            truth = Path(folder)
            failures = write_truth(built, market, truth, self.engine_bars)
            finished = subprocess.run(  # noqa: S603 -- our own module, no shell
                [sys.executable, "-m", VERIFY_MODULE, str(built.root.resolve()), str(truth)],
                cwd=PROJECT_ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
            report = truth / REPORT_FILE
            if not report.exists():
                failures.append(_crash(finished))
                return Verification(passed=False, engine=built.engine, checks={}, failures=tuple(failures))
            found = json.loads(report.read_text(encoding="utf-8"))
        failures.extend(found["failures"])
        return Verification(not failures, found["engine"], found["checks"], tuple(failures))


def _crash(finished: subprocess.CompletedProcess[str]) -> str:
    end = f"signal {-finished.returncode}" if finished.returncode < 0 else f"exit code {finished.returncode}"
    tail = (finished.stderr or finished.stdout).strip()[-_TAIL_CHARACTERS:]
    return f"the engine's process was expected to report, but ended with {end}: {tail}"
