"""Exporters that only validate, to be named in the registry by a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_defs.errors import ExportError
from pipeline_defs.schema.exporters import Exporter
from pipeline_defs.schema.exports import BuiltExport, MarketSlice, Verification

if TYPE_CHECKING:
    from pathlib import Path


class PlainExporter(Exporter):
    """A format that looks at no file."""

    name = "plain"

    def build(self, market: MarketSlice, root: Path) -> BuiltExport:
        raise NotImplementedError

    def verify(self, built: BuiltExport, market: MarketSlice) -> Verification:
        raise NotImplementedError


class LookingExporter(PlainExporter):
    """A format that finds something, or fails, as its file says."""

    name = "looking"

    def validate(self, root: Path) -> Verification:
        if (root / "data.csv").read_text() == "raise":
            raise ExportError("cannot be looked at", where=str(root))
        return Verification(
            passed=False, engine="engine 2", checks={"looked": 1}, failures=("data.csv: is odd", "data.csv: is odd")
        )
