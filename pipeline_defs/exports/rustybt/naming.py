"""What instruments and bundles are called in rustybt, and which instruments it has no place for.

=====  ==============  ==============  ==========================================
kind   example         asset type      rule
=====  ==============  ==============  ==========================================
share  ``RELIANCE``    ``equity``      underlying; another series than EQ follows: ``X-BE``
index  ``NIFTY``       ``index``       underlying
pair   ``BTC/USDT``    ``crypto``      base and quote currency
=====  ==============  ==============  ==========================================

Asset ids (`sid`) count from 1 in the order of the symbols: in a decimal bundle they are the rows of ``bundle_symbols``,
where rustybt's finder takes them from, and the numbers of the Parquet files, where its readers take them from. Bundles
of rustybt's own making agree in this for the first bundle of a root only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import ExportError

if TYPE_CHECKING:
    from pipeline_defs.schema.exports import MarketSlice

ASSET_TYPES: Final = {"EQ": "equity", "SPOT": "index", "PAIR": "crypto"}
"""Kind of an instrument to the asset type in ``bundle_symbols``."""

RUN_SUFFIX: Final = "-run"
"""What the run bundle is called beyond the decimal bundle."""

_SAFE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9&._-]*")
_NO_PLACE: Final = {"OPT": "options", "FUT": "futures"}
_REASONS: Final = {
    "OPT": "rustybt has no option among its assets",
    "FUT": "rustybt's bundles give every future the expiry 2099-12-31",
}


def bundle_name(market: MarketSlice) -> str:
    """Name the decimal bundle of a slice: its underlying.

    Parameters
    ----------
    market : MarketSlice
        What is exported.

    Returns
    -------
    str
        E.g. ``RELIANCE``; the run bundle is called ``RELIANCE-run``.

    Raises
    ------
    ExportError
        If the underlying is not safe as the name of a folder.

    """
    if _SAFE.fullmatch(market.underlying) is None:
        raise ExportError(
            f"the underlying {market.underlying!r} cannot name a bundle: letters, digits and & . _ - are expected"
        )
    return market.underlying


def with_sids(market: MarketSlice) -> pl.DataFrame:
    """Give every instrument of a slice, of whatever resolution, its symbol and its sid.

    Parameters
    ----------
    market : MarketSlice
        What is exported.

    Returns
    -------
    polars.DataFrame
        `sid` (Int64, from 1), `instrument_id`, `rustybt_symbol`, `asset_type`, `venue`, `currency`; sorted by `sid`.

    Raises
    ------
    ExportError
        If there are options, futures or instruments of an unknown kind, or two instruments have one symbol.

    """
    parts = [part.instruments for part in market.every_resolution]
    instruments = pl.concat(parts).unique("instrument_id", keep="first", maintain_order=True)
    _refuse_kinds(instruments)
    kind = pl.col("kind")
    board = pl.when(pl.col("series").fill_null("EQ") == "EQ").then(pl.lit("")).otherwise("-" + pl.col("series"))
    named = (
        instruments.with_columns(
            rustybt_symbol=pl.when(kind == "EQ")
            .then(pl.concat_str("underlying", board))
            .when(kind == "PAIR")
            .then(pl.concat_str("base_currency", "currency", separator="/"))
            .otherwise("underlying"),
            asset_type=kind.replace_strict(ASSET_TYPES, return_dtype=pl.String),
        )
        .sort("rustybt_symbol", "instrument_id")
        .with_columns(sid=pl.int_range(1, pl.len() + 1, dtype=pl.Int64))
    )
    for row in named.filter(pl.col("rustybt_symbol").is_null()).head(1).iter_rows(named=True):
        raise ExportError("the instrument lacks a term that its name needs", where=f"{row['kind']} {row['symbol']}")
    for row in named.filter(pl.col("rustybt_symbol").is_duplicated()).head(1).iter_rows(named=True):
        raise ExportError(
            "two instruments would have one symbol in rustybt",
            where=f"{row['rustybt_symbol']} ({row['symbol']})",
            next_step="name the source whose instruments are wanted with --source",
        )
    return named.select("sid", "instrument_id", "rustybt_symbol", "asset_type", "venue", "currency")


def _refuse_kinds(instruments: pl.DataFrame) -> None:
    for kind, what in _NO_PLACE.items():
        contracts = instruments.filter(pl.col("kind") == kind)
        if contracts.height:
            raise ExportError(
                f"{_REASONS[kind]}, and the slice holds {contracts.height} {what}",
                where=str(contracts["symbol"].sort()[0]),
                next_step="export them as nautilus, backtrader or lean; for the underlying alone, name a source "
                "that holds nothing else with --source",
            )
    for row in instruments.filter(~pl.col("kind").is_in(list(ASSET_TYPES))).head(1).iter_rows(named=True):
        raise ExportError(f"an instrument of kind {row['kind']!r} has no form in rustybt", where=str(row["symbol"]))
