"""The export port: what a format implements. The types that go in and out are those of `exports`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice, Verification


@dataclass(frozen=True, slots=True)
class Engine:
    """What confirms the exports of a format.

    Parameters
    ----------
    name : str
        E.g. ``nautilus_trader``.
    version : str or None
        The installed one; None when it is not installed.

    """

    name: str
    version: str | None

    @classmethod
    def of_package(cls, package: str) -> Engine:
        """Look up an installed package, without importing it."""
        try:
            return cls(package, version(package))
        except PackageNotFoundError:
            return cls(package, None)


class Exporter(ABC):
    """The export port: every engine format implements this and nothing else."""

    name: str
    """Format name as in ``pipeline export --format``."""
    lengths: ClassVar[str] = "any"
    """Which lengths of bars it has a place for."""
    ticks: ClassVar[str | None] = None
    """What becomes of ticks; None when the format has no place for them."""
    greeks: ClassVar[str | None] = None
    """Where Greeks of options go; None when the format has no place for them."""
    engine_package: ClassVar[str | None] = None
    """Package of the engine that confirms it, where it is one."""

    def engine(self) -> Engine:
        """Tell what confirms the exports, and whether it is installed."""
        return Engine.of_package(self.engine_package or self.name)

    @abstractmethod
    def build(self, market: MarketSlice, root: Path) -> BuiltExport:
        """Write the export into an empty staging directory.

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
            If the slice cannot be expressed in the format; the message says which instrument and why.

        """

    @abstractmethod
    def verify(self, built: BuiltExport, market: MarketSlice) -> Verification:
        """Read the export back with the engine itself, in a subprocess.

        Parameters
        ----------
        built : BuiltExport
            What `build` returned.
        market : MarketSlice
            The truth to compare with, value by value for a sample and by sums for all.

        Returns
        -------
        Verification
            A crash of the engine is a failed verification, not an exception.

        """

    def validate(self, root: Path) -> Verification:  # noqa: ARG002 -- the default looks at nothing
        """Check a published export on its own, without the slice that it was made of.

        Whether the files agree with the manifest is checked for every format by
        `pipeline_defs.exports.validating.validate_export`; here a format looks at what is in them. Whatever may crash
        on a bad file runs in a process of its own.

        Parameters
        ----------
        root : Path
            Folder of the export, with its manifest.

        Returns
        -------
        Verification
            Passed without any check, unless a format has its own.

        """
        from pipeline_defs.schema.exports import Verification  # noqa: PLC0415 -- that module imports this one

        return Verification(passed=True, engine="", checks={}, failures=())
