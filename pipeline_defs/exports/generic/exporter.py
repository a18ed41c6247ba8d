"""The export port for generic files: what the registry and the Dagster assets hold, once for each file format.

Only the steps of the port belong here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.generic.build import build_files
from pipeline_defs.exports.generic.reading import reader_version
from pipeline_defs.exports.generic.truth import write_truth
from pipeline_defs.exports.manifest import check_manifest, read_manifest
from pipeline_defs.exports.verifying import verify_in_process
from pipeline_defs.schema.exporters import Exporter
from pipeline_defs.schema.exports import BuiltExport, MarketSlice, Verification

if TYPE_CHECKING:
    from pathlib import Path

VERIFY_MODULE: Final = "pipeline_defs.exports.generic.verify"


class GenericExporter(Exporter):
    """Files for any tool, see ``docs/exports/generic.md``; the name is also the ending of the files."""

    ticks = "every tick, one file"
    greeks = "one file, at the closes of option bars"

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
            See `pipeline_defs.exports.generic.build.build_files`.

        """
        return build_files(market, root, self.name)

    def verify(self, built: BuiltExport, market: MarketSlice) -> Verification:
        """Have another library read every value back, in a process of its own, and compare with the slice.

        Parameters
        ----------
        built : BuiltExport
            What `build` returned.
        market : MarketSlice
            The truth, read again.

        Returns
        -------
        Verification
            A crash of the reader is a failed verification with the end of its error output.

        """
        return verify_in_process(VERIFY_MODULE, built, lambda folder: write_truth(built, market, folder, self.name))

    def validate(self, root: Path) -> Verification:
        """Check a published export by itself: its files against manifest and sidecar, every value against its type.

        Parameters
        ----------
        root : Path
            Folder of the export.

        Returns
        -------
        Verification
            `failures` says why the export is not what it claims to be; a damaged file never raises.

        """
        engine = reader_version(self.name)
        try:
            manifest = read_manifest(root)
            failures = check_manifest(root)
        except ExportError as error:
            return Verification(passed=False, engine=engine, checks={}, failures=(str(error),))
        if manifest["format"] != self.name:
            failures.append(f"format in the manifest: expected {self.name}, found {manifest['format']}")
        built = BuiltExport(root, {}, pl.DataFrame(), engine, {})
        return verify_in_process(VERIFY_MODULE, built, lambda _: failures)


class CsvExporter(GenericExporter):
    """CSV files."""

    name = "csv"
    engine_package = "pyarrow"


class ParquetExporter(GenericExporter):
    """Parquet files."""

    name = "parquet"
    engine_package = "polars"
