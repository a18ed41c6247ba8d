"""Asset factories: tables of a source, bars, published catalogs, their parity, and the comparison of sources.

A new source or format is a line in its registry; a new factory belongs here only for a new kind of result.
``describing`` holds what all assets share: owners, groups, and how an error reaches the person who reads the UI.
"""

from pipeline_defs.orchestration.assets.bars import build_bar_assets
from pipeline_defs.orchestration.assets.catalogs import build_catalog_assets
from pipeline_defs.orchestration.assets.certificates import build_certificate_asset
from pipeline_defs.orchestration.assets.greeks import build_greeks_asset, build_greeks_checks
from pipeline_defs.orchestration.assets.reconciliation import build_reconciliation_asset
from pipeline_defs.orchestration.assets.sources import build_source_assets

__all__ = [
    "build_bar_assets",
    "build_catalog_assets",
    "build_certificate_asset",
    "build_greeks_asset",
    "build_greeks_checks",
    "build_reconciliation_asset",
    "build_source_assets",
]
