"""The export port for Nautilus Trader: what the registry and the Dagster assets hold.

Only the two steps of the port belong here. Nautilus takes 1.7 s to import and aborts its process on
a bad file, so building imports it late and verifying runs it in another process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline_defs.schema.exports import BuiltExport, Exporter, MarketSlice, Verification
from pipeline_defs.settings import PROJECT_ROOT

VERIFY_MODULE: Final = "pipeline_defs.exports.nautilus.verify"

_TAIL_CHARACTERS: Final = 2_000


@dataclass(frozen=True)
class NautilusExporter(Exporter):
    """Catalogs for a plain ``ParquetDataCatalog(path)``, see ``docs/exports/nautilus.md``.

    Parameters
    ----------
    sample_size : int, default 24
        Futures and options that a verification compares value by value; the underlying and the
        option of the trial backtest come on top. Every instrument is compared by sums.

    """

    sample_size: int = 24
    name = "nautilus"

    def build(self, market: MarketSlice, root: Path) -> BuiltExport:
        """Write the catalog into an empty staging directory.

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
            See `pipeline_defs.exports.nautilus.build.build_catalog`.

        """
        from pipeline_defs.exports.nautilus.build import build_catalog  # noqa: PLC0415 -- imports Nautilus

        return build_catalog(market, root)

    def verify(self, built: BuiltExport, market: MarketSlice) -> Verification:
        """Have Nautilus itself read the catalog, in a process of its own, and compare with the slice.

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
        from pipeline_defs.exports.nautilus.truth import write_truth  # noqa: PLC0415 -- keeps this import light

        with tempfile.TemporaryDirectory(prefix="nautilus-truth-") as folder:
            truth = Path(folder)
            failures = write_truth(built, market, truth, self.sample_size)
            finished = subprocess.run(  # noqa: S603 -- our own module, no shell
                [sys.executable, "-m", VERIFY_MODULE, str(built.root.resolve()), str(truth)],
                cwd=PROJECT_ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
            report = truth / "report.json"
            if not report.exists():
                failures.append(_crash(finished))
                return Verification(passed=False, engine=built.engine, checks={}, failures=tuple(failures))
            found = json.loads(report.read_text())
        failures.extend(found["failures"])
        return Verification(not failures, found["engine"], found["checks"], tuple(failures))


def _crash(finished: subprocess.CompletedProcess[str]) -> str:
    end = f"signal {-finished.returncode}" if finished.returncode < 0 else f"exit code {finished.returncode}"
    tail = (finished.stderr or finished.stdout).strip()[-_TAIL_CHARACTERS:]
    return f"the engine's process was expected to report, but ended with {end}: {tail}"
