"""The sources there are, by name; a source's module is imported when it is asked for."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Final, cast

from pipeline_defs.errors import ConfigurationError, UnknownNameError
from pipeline_defs.sources.entry import SourceEntry, Variable
from pipeline_defs.sources.migrated import is_migrated, migrated_entry
from pipeline_defs.sources.places import universe_market
from pipeline_defs.sources.plugins import find_plugins

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
        settles_seconds=60,
        environment=(
            Variable("CCXT_API_KEY", "key of the exchange; prices need none", is_secret=True),
            Variable("CCXT_SECRET", "secret of that key", is_secret=True),
        ),
    ),
    "interactive_brokers": SourceEntry(
        "pipeline_defs.sources.interactive_brokers.adapter:InteractiveBrokersSource",
        market="US",
        meaning="History from a running TWS or IB Gateway.",
        settles_seconds=900,
        environment=(Variable("IB_CLIENT_ID", "client id at TWS; by default one that is free"),),
        split_adjusted_from=0,
    ),
    "polygon": SourceEntry(
        "pipeline_defs.sources.polygon.adapter:PolygonSource",
        market="US",
        tables=("options_ticks", "spot_prices", "equity_daily"),
        meaning="Polygon's REST interface: shares, indices and options of the United States.",
        settles_seconds=18_000,
        environment=(
            Variable("POLYGON_API_KEY", "key of the vendor", is_needed=True, is_secret=True),
            Variable("POLYGON_REQUESTS_PER_MINUTE", "what the plan allows"),
            Variable("PIPELINE_POLYGON_FEED", "address of the stream in place of the vendor's"),
        ),
    ),
    "yahoo": SourceEntry(
        "pipeline_defs.sources.yahoo.adapter:YahooSource",
        market="US",
        tables=("equity_daily", "spot_prices"),
        meaning="Yahoo Finance: shares and indices, adjusted for splits by Yahoo.",
        settles_seconds=14_400,
        split_adjusted_from=0,
    ),
    "zerodha": SourceEntry(
        "pipeline_defs.sources.zerodha.adapter:ZerodhaSource",
        meaning="Kite Connect; needs a login each day.",
        settles_seconds=10_800,
        environment=(
            Variable("ZERODHA_API_KEY", "key of the Kite Connect app", is_needed=True, is_secret=True),
            Variable("ZERODHA_ACCESS_TOKEN", "token of the day, in place of 'pipeline kite-login'", is_secret=True),
            Variable("ZERODHA_API_SECRET", "secret of the app, for 'pipeline kite-login'", is_secret=True),
            Variable("PIPELINE_ZERODHA_STREAM_ENDPOINT", "address of the stream in place of the vendor's"),
        ),
        split_adjusted_from=86_400,
    ),
}
"""Sources that have assets: name, as stored in the `source` column, to what is known without loading it."""

FURTHER_SOURCES: Final = {
    "manual_csv": SourceEntry(
        "pipeline_defs.sources.manual_csv.adapter:ManualCsvSource",
        source_type="file",
        meaning="Files of one's own, with a mapping that says what their columns mean.",
    ),
}
"""Sources that nobody delivers daily: for whoever names them, without daily assets."""

PLUGINS: Final = find_plugins({*SOURCES, *FURTHER_SOURCES})
"""What other packages bring: the same as our own from here on."""

SOURCES.update(PLUGINS.entries)

ALIASES: Final = {
    "csv": "manual_csv",
    "ib": "interactive_brokers",
    "ibkr": "interactive_brokers",
    "kite": "zerodha",
    "massive": "polygon",
    "nse": "nse_csv",
    "yfinance": "yahoo",
}
"""What people and other tools call some of them."""


def canonical_name(name: str) -> str:
    """Give a source's own name.

    Parameters
    ----------
    name : str
        Its name, with hyphens or underscores, or what its vendor's users call it: ``yfinance``.

    Returns
    -------
    str
        As in `SOURCES` or `FURTHER_SOURCES`, if there is such a source.

    """
    plain = name.replace("-", "_")
    return plain if plain in SOURCES or plain in FURTHER_SOURCES else ALIASES.get(plain.lower(), plain)


def source_entry(name: str) -> SourceEntry:
    """Find a source.

    Parameters
    ----------
    name : str
        As of `canonical_name`, or of a moved-in bundle.

    Returns
    -------
    SourceEntry

    Raises
    ------
    ConfigurationError
        If there is no such source, or the package that brings it cannot be loaded.

    """
    if is_migrated(name):
        return migrated_entry(name)
    every = SOURCES | FURTHER_SOURCES
    plain = canonical_name(name)
    known = every.get(plain)
    if known is None and (trouble := PLUGINS.trouble(plain)) is not None:
        raise trouble
    if known is None:
        raise UnknownNameError("source", name, every, aliases=ALIASES)
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


def api_sources() -> list[str]:
    """List the sources that are asked over a network, by name."""
    return [name for name in sorted(SOURCES) if SOURCES[name].source_type == "api"]


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
        If there is no such source, it cannot be loaded, or has no such field.

    """
    adapter = source_class(name)
    if is_migrated(name):
        config["name"] = canonical_name(name)
    fields = inspect.signature(adapter).parameters
    unknown = sorted(set(config) - set(fields))
    if unknown:
        raise ConfigurationError(
            f"no setting {', '.join(unknown)}, expected some of {', '.join(fields)}", where=f"source {name}"
        )
    return adapter(**config)


def source_class(name: str) -> type[Source]:
    """Import the class of a source.

    Parameters
    ----------
    name : str
        As in `SOURCES` or `FURTHER_SOURCES`.

    Returns
    -------
    type of Source

    Raises
    ------
    ConfigurationError
        If there is no such source, or it cannot be loaded.

    """
    entry = source_entry(name)
    name = canonical_name(name)
    module, _, class_name = entry.adapter.partition(":")
    package = PLUGINS.distributions.get(name)
    if package is None:
        return cast("type[Source]", getattr(importlib.import_module(module), class_name))
    where = f"source {name} of the package {package}"
    try:
        found = getattr(importlib.import_module(module), class_name)
    except Exception as error:
        raise ConfigurationError(
            f"{entry.adapter} cannot be loaded: {type(error).__name__}: {error}",
            where=where,
            next_step="mend or remove that package; the other sources work without it",
        ) from error
    if getattr(found, "name", None) != name:
        raise ConfigurationError(
            f"{entry.adapter} calls itself {getattr(found, 'name', None)!r}",
            where=where,
            next_step="have its author give the class and the entry point one name",
        )
    return cast("type[Source]", found)
