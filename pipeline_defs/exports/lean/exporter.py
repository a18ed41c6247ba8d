"""The export port for LEAN: what the registry and the Dagster assets hold.

Only the steps of the port belong here, and the check of a folder that somebody else may have touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs import __version__
from pipeline_defs.errors import ConfigurationError
from pipeline_defs.exports.lean.build import build_folder
from pipeline_defs.exports.lean.kinds import OptionStyle
from pipeline_defs.exports.lean.truth import write_truth
from pipeline_defs.exports.lean.validator import VALIDATOR, validate_folder
from pipeline_defs.exports.verifying import MAX_FAILURES, verify_in_process
from pipeline_defs.schema.exporters import Engine, Exporter
from pipeline_defs.schema.exports import BuiltExport, MarketSlice, Verification

if TYPE_CHECKING:
    from pathlib import Path

VERIFY_MODULE: Final = "pipeline_defs.exports.lean.verify"


@dataclass(frozen=True)
class LeanExporter(Exporter):
    """A LEAN data folder, see ``docs/exports/lean.md``.

    Parameters
    ----------
    option_style : str, default "european"
        Style of options on shares, ``european`` or ``american``; it is part of every path. Those of the Indian
        exchanges have been European since 2011, and as American ones LEAN would exercise and assign them early.
        LEAN's own default is American, so ``AddOption`` finds European files only when the symbol says so.
    compared_bars : int, default 2_000_000
        Bars of which a verification compares every value with the slice, besides the sums, counts and stamps of all.

    """

    option_style: str = OptionStyle.EUROPEAN.value
    compared_bars: int = 2_000_000
    name = "lean"
    lengths = "1s, 1m, 1h, 1d"
    ticks = "bid and ask of each minute"
    greeks = "universe files, at the end of a day"

    def __post_init__(self) -> None:
        """Refuse a style that LEAN does not know."""
        if self.option_style not in set(OptionStyle):
            raise ConfigurationError(
                f"option style was {self.option_style!r}, expected one of {', '.join(OptionStyle)}"
            )

    def engine(self) -> Engine:
        """Tell what confirms the exports: LEAN itself cannot run here."""
        return Engine(VALIDATOR, __version__)

    def build(self, market: MarketSlice, root: Path) -> BuiltExport:
        """Write the data folder into an empty staging directory.

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
            See `pipeline_defs.exports.lean.build.build_folder`.

        """
        return build_folder(market, root, OptionStyle(self.option_style))

    def verify(self, built: BuiltExport, market: MarketSlice) -> Verification:
        """Read the folder back in a process of its own, by LEAN's grammar, and compare with the slice.

        Parameters
        ----------
        built : BuiltExport
            What `build` returned.
        market : MarketSlice
            The truth, read again.

        Returns
        -------
        Verification
            Whose engine is this project's validator: LEAN itself cannot run here.

        """
        style = OptionStyle(self.option_style)
        return verify_in_process(
            VERIFY_MODULE, built, lambda folder: write_truth(built, market, folder, style, self.compared_bars)
        )

    def validate(self, root: Path) -> Verification:
        """Check a data folder by itself, ours or any other.

        Parameters
        ----------
        root : Path
            The folder.

        Returns
        -------
        Verification
            With one failure a finding of `pipeline_defs.exports.lean.validator.validate_folder`; without a slice there
            is nothing to compare with, so `readback` is None.

        """
        report = validate_folder(root)
        failures = [str(finding) for finding in report.findings[:MAX_FAILURES]]
        if len(report.findings) > MAX_FAILURES:
            failures.append(f"and {len(report.findings) - MAX_FAILURES} more")
        return Verification(not failures, VALIDATOR, dict(report.counts), tuple(failures))
