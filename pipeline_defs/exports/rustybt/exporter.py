"""The export port for rustybt: what the registry holds.

Only the steps of the port belong here. rustybt is imported by another process only, in an environment of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline_defs.exports.rustybt.build import ENGINE, build_root
from pipeline_defs.exports.rustybt.truth import write_truth
from pipeline_defs.exports.verifying import validate_in_process, verify_in_process
from pipeline_defs.schema.exporters import Engine, Exporter

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice, Verification

VERIFY_MODULE: Final = "pipeline_defs.exports.rustybt.verify"


class RustybtExporter(Exporter):
    """Folders for ``ZIPLINE_ROOT`` of rustybt 0.3.3, see ``docs/exports/rustybt.md``."""

    name = "rustybt"
    lengths = "1m, 1d"

    def engine(self) -> Engine:
        """Tell which version confirms the exports, and whether its own environment exists."""
        from pipeline_defs.exports.rustybt.reading import ENVIRONMENT  # noqa: PLC0415 -- only who asks needs it

        package, _, version = ENGINE.partition(" ")
        return Engine(package, version if ENVIRONMENT.exists() else None)

    def build(self, market: MarketSlice, root: Path) -> BuiltExport:
        """Write both bundles into an empty staging directory.

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
            See `pipeline_defs.exports.rustybt.build.build_root`.

        """
        return build_root(market, root)

    def verify(self, built: BuiltExport, market: MarketSlice) -> Verification:
        """Have rustybt itself read both bundles, in a process of its own, and compare with the slice.

        Parameters
        ----------
        built : BuiltExport
            What `build` returned.
        market : MarketSlice
            The truth, read again.

        Returns
        -------
        Verification
            Not passed without the environment of rustybt, or when rustybt fails.

        """
        return verify_in_process(VERIFY_MODULE, built, lambda folder: write_truth(built, market, folder))

    def validate(self, root: Path) -> Verification:
        """Have rustybt read a published folder without the slice that it was made from.

        Parameters
        ----------
        root : Path
            The folder, with its manifest.

        Returns
        -------
        Verification
            Not passed if rustybt fails, changes a file, finds another number of bars than the manifest has, or its two
            bundles disagree.

        """
        return validate_in_process(VERIFY_MODULE, root, ENGINE)
