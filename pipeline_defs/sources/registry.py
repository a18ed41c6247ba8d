"""The sources there are, by name; a source's module is imported when it is asked for."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Final, cast

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.sources.entry import SourceEntry
from pipeline_defs.sources.places import universe_market

if TYPE_CHECKING:
    from pipeline_defs.schema.batches import Source

SOURCES: Final = {
    "nse_csv": SourceEntry(
        "pipeline_defs.sources.nse_csv.adapter:NseCsvSource",
        source_type="file",
        kinds=frozenset({"csv", "postgres"}),
        meaning="Files of the NSE and of its data vendors.",
    ),
    "ccxt": SourceEntry(
        "pipeline_defs.sources.ccxt.adapter:CcxtSource",
        market="CRYPTO",
        tables=("spot_prices",),
        meaning="Spot pairs of any exchange that CCXT speaks to.",
    ),
    "interactive_brokers": SourceEntry(
        "pipeline_defs.sources.interactive_brokers.adapter:InteractiveBrokersSource",
        market="US",
        meaning="History from a running TWS or IB Gateway.",
    ),
    "polygon": SourceEntry(
        "pipeline_defs.sources.polygon.adapter:PolygonSource", market="US", meaning="Polygon's REST interface."
    ),
    "yahoo": SourceEntry(
        "pipeline_defs.sources.yahoo.adapter:YahooSource",
        market="US",
        tables=("equity_daily", "spot_prices"),
        meaning="Yahoo Finance: shares and indices, adjusted for splits by Yahoo.",
    ),
    "zerodha": SourceEntry(
        "pipeline_defs.sources.zerodha.adapter:ZerodhaSource", meaning="Kite Connect; needs a login each day."
    ),
}
"""Sources that have assets: name, as stored in the `source` column, to what is known without loading it."""

FURTHER_SOURCES: Final = {
    "manual_csv": SourceEntry("pipeline_defs.sources.manual_csv.adapter:ManualCsvSource", source_type="file"),
}
"""Sources that nobody delivers daily: for whoever names them, without daily assets."""


def source_entry(name: str) -> SourceEntry:
    """Find a source.

    Parameters
    ----------
    name : str
        As in `SOURCES` or `FURTHER_SOURCES`; hyphens count as underscores.

    Returns
    -------
    SourceEntry

    Raises
    ------
    ConfigurationError
        If there is no such source.

    """
    every = SOURCES | FURTHER_SOURCES
    known = every.get(name.replace("-", "_"))
    if known is None:
        raise ConfigurationError(
            f"no source {name!r}, expected one of {', '.join(sorted(every))}", next_step="check the spelling"
        )
    return known


def source_market(name: str) -> str:
    """Name the market whose days are a source's partitions.

    Parameters
    ----------
    name : str
        As in `source_entry`.

    Returns
    -------
    str
        What the universe file says, if it does; else the source's usual one.

    """
    entry = source_entry(name)
    return (universe_market(name) if entry.source_type == "api" else None) or entry.market


def trading_at(market_name: str, table: str) -> list[str]:
    """List the sources that fill a table with sessions of a market, by name."""
    return [name for name in sorted(SOURCES) if table in SOURCES[name].tables and source_market(name) == market_name]


def get_source(name: str, **config: object) -> Source:
    """Make a source.

    Parameters
    ----------
    name : str
        As in `source_entry`.
    **config
        Fields of the source's class.

    Returns
    -------
    Source

    Raises
    ------
    ConfigurationError
        If there is no such source, or it has no such field.

    """
    module, _, class_name = source_entry(name).adapter.partition(":")
    source_class = getattr(importlib.import_module(module), class_name)
    fields = inspect.signature(source_class).parameters
    unknown = sorted(set(config) - set(fields))
    if unknown:
        raise ConfigurationError(
            f"no setting {', '.join(unknown)}, expected some of {', '.join(fields)}", where=f"source {name}"
        )
    return cast("Source", source_class(**config))
