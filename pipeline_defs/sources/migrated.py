"""Sources of bundles that were moved in from other systems' stores: ``rustybt/nse/nse50``, ``csvdir/us/mine``.

Their history is whole and nothing will come after it, so they have no assets, no freshness and no gaps; nobody can ask
them again. What is stored of them is read, checked, compared and exported like that of any source.

Standard library only, as the registry.
"""

from __future__ import annotations

from typing import Final

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.markets.market import MARKETS
from pipeline_defs.sources.entry import SourceEntry

SYSTEMS: Final = ("rustybt", "csvdir")
"""First part of the names."""

EVERY: Final = tuple(f"{system}/*" for system in SYSTEMS)
"""Patterns that stand for all of them in an order of sources."""

_PARTS: Final = 3


def is_migrated(name: str) -> bool:
    """Tell whether a name is that of a moved-in bundle's source."""
    parts = name.split("/", _PARTS - 1)
    return len(parts) == _PARTS and parts[0] in SYSTEMS and parts[1].upper() in MARKETS and parts[2] != ""


def migrated_entry(name: str) -> SourceEntry:
    """Give the line of the registry that a moved-in bundle's source would have; the name tells its market.

    Raises
    ------
    ConfigurationError
        If the name is not of the form ``system/market/bundle``.

    """
    if not is_migrated(name):
        raise ConfigurationError(
            f"no source {name!r}; those of moved-in bundles are called like rustybt/nse/nse50",
            next_step="list them with 'pipeline migrate rustybt --dry-run'",
        )
    return SourceEntry(
        "pipeline_defs.sources.migrated_source:MigratedSource",
        source_type="file",
        market=name.split("/")[1].upper(),
        tables=("spot_prices", "equity_daily"),
        meaning="Moved in from another system's store.",
    )
