"""The export port for Backtrader: what the registry and the Dagster assets hold.

Only the steps of the port belong here. Backtrader is imported by another process only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.exports.backtrader.build import build_files
from pipeline_defs.exports.backtrader.truth import ENGINE_BARS, write_truth
from pipeline_defs.exports.verifying import validate_in_process, verify_in_process
from pipeline_defs.schema.exporters import Exporter

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice, Verification

VERIFY_MODULE: Final = "pipeline_defs.exports.backtrader.verify"
VALIDATE_MODULE: Final = "pipeline_defs.exports.backtrader.validate"


@dataclass(frozen=True)
class BacktraderExporter(Exporter):
    """CSV files for a plain ``GenericCSVData(dataname=path)``, see ``docs/exports/backtrader.md``.

    Parameters
    ----------
    engine_bars : int, default ENGINE_BARS
        Bars that a verification has Backtrader itself read, the underlying's apart: each in both ways
        of loading, at about 25 000 a second. Of a larger export it reads contracts at even distances; the text of every
        file is compared exactly in any case.

    """

    engine_bars: int = ENGINE_BARS
    name = "backtrader"
    engine_package = "backtrader"
    greeks = "six more columns of an option's finest bars"

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
        return verify_in_process(
            VERIFY_MODULE, built, lambda folder: write_truth(built, market, folder, self.engine_bars)
        )

    def validate(self, root: Path) -> Verification:
        """Check a published folder without the slice that it was made from, in a process of its own.

        Parameters
        ----------
        root : Path
            The folder.

        Returns
        -------
        Verification
            Not passed if a file is not the manifest's or the sidecar's, has another text than the format allows, or
            Backtrader reads it otherwise; `failures` say so. Nothing that is in the folder raises here.

        """
        return validate_in_process(VALIDATE_MODULE, root, self.name)
