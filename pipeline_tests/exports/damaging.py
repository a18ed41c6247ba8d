"""An exporter whose files are not what the slice says, to be named in the registry by a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_defs.exports.backtrader.exporter import BacktraderExporter

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice


class DamagingExporter(BacktraderExporter):
    """Builds the files and then leaves out the last bar of one."""

    def build(self, market: MarketSlice, root: Path) -> BuiltExport:
        built = super().build(market, root)
        file = root / "NIFTY_250814_24600_CE_1m.csv"
        file.write_text("\n".join(file.read_text().splitlines()[:-1]) + "\n")
        return built
