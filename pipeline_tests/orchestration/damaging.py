"""An exporter whose files are not what the warehouse holds, to be named in the registry by a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_defs.exports.backtrader.exporter import BacktraderExporter

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice


class BarLosingExporter(BacktraderExporter):
    """Builds the files, then leaves out the last bar of the first of them."""

    def build(self, market: MarketSlice, root: Path) -> BuiltExport:
        built = super().build(market, root)
        file = min(root.rglob("*_1m.csv"))
        file.write_text("\n".join(file.read_text().splitlines()[:-1]) + "\n")
        return built
