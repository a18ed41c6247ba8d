"""The export port for Nautilus Trader: what the registry and the Dagster assets hold.

Only the two steps of the port belong here. Nautilus takes 1.7 s to import and aborts its process on
a bad file, so building imports it late and verifying runs it in another process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.exports.verifying import verify_in_process
from pipeline_defs.schema.exporters import Engine, Exporter

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice, Verification

VERIFY_MODULES: Final = {
    "1.231": "pipeline_defs.exports.nautilus.verify",
    "2": "pipeline_defs.exports.nautilus.verify_2",
}
"""By target: run in a process of its own."""


@dataclass(frozen=True)
class NautilusExporter(Exporter):
    """Catalogs for a plain ``ParquetDataCatalog(path)``, see ``docs/exports/nautilus.md``.

    Parameters
    ----------
    sample_size : int, default 24
        Futures and options that a verification compares value by value; the underlying and the
        option of the trial backtest come on top. Every instrument is compared by sums.
    target : str, default "1.231"
        Format of the files: that of the installed Nautilus, or ``2``, which the pre-releases of version 2 read.

    """

    sample_size: int = 24
    target: str = "1.231"
    name = "nautilus"
    engine_package = "nautilus_trader"
    ticks = "trades and quotes"
    greeks = "OptionGreeks at the bars' times"

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

        return build_catalog(market, root, self.target)

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

        return verify_in_process(
            VERIFY_MODULES[self.target],
            built,
            lambda folder: write_truth(
                built, market, folder, self.sample_size, index_prices="index_prices" in built.counts
            ),
        )

    def validate(self, root: Path) -> Verification:
        """Check a published catalog on its own: its manifest, its files, and what Nautilus reads.

        Parameters
        ----------
        root : Path
            The catalog, with its manifest.

        Returns
        -------
        Verification
            See `pipeline_defs.exports.nautilus.validate.validate_catalog`.

        """
        from pipeline_defs.exports.nautilus.validate import validate_catalog  # noqa: PLC0415 -- keeps this import light

        return validate_catalog(root)


@dataclass(frozen=True)
class Nautilus2Exporter(NautilusExporter):
    """The same catalogs for the pre-releases of Nautilus 2."""

    target: str = "2"
    name = "nautilus-2"

    def engine(self) -> Engine:
        """Tell which pre-release confirms the exports, and whether its own environment exists."""
        from pipeline_defs.exports.nautilus.reading_2 import ENVIRONMENT  # noqa: PLC0415 -- keeps this import light
        from pipeline_defs.exports.nautilus.target_2 import VERSION  # noqa: PLC0415

        return Engine("nautilus_trader 2", VERSION if ENVIRONMENT.exists() else None)
