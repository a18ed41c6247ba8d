"""Names in the warehouse of what an old store holds: its source, its named bundle, the instruments of its symbols."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.markets.market import market
from pipeline_defs.schema.batches import CONTRACT_SCHEMA
from pipeline_defs.sources.yahoo.naming import underlying_of, venue_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_defs.migration.plan import BundlePlan, SeriesPlan

_BUNDLE_CHARACTERS: Final = re.compile(r"[^A-Za-z0-9._-]+")
_PAIR: Final = re.compile(r"([A-Za-z0-9.]+)[/_-]([A-Za-z0-9.]+)(?::[A-Za-z0-9.]+)?")
_MOST_CHARACTERS: Final = 100


def source_name(system: str, market_name: str, bundle: str) -> str:
    """Give the source under which a bundle's observations are stored.

    Parameters
    ----------
    system : str
        ``rustybt`` or ``csvdir``.
    market_name : str
        Whose sessions its days are; part of the name, so that whoever has the name knows them.
    bundle : str
        The old name. Hyphens count as underscores, as in every source's name, and so do characters that are neither
        letters nor digits.

    Returns
    -------
    str
        E.g. ``rustybt/nse/nse50``.

    """
    return f"{system}/{market_name.lower()}/{bundle_name(bundle).replace('-', '_')}"


def bundle_name(bundle: str) -> str:
    """Give the named bundle of an old bundle: the same name, with ``-`` for characters that such a name cannot have."""
    return _BUNDLE_CHARACTERS.sub("-", bundle)[:_MOST_CHARACTERS].lstrip("._-") or "bundle"


def describe_contracts(plan: BundlePlan, series: Sequence[SeriesPlan]) -> pl.DataFrame:
    """Give the instruments of some series, in their order.

    A share or index has the identity that live sources give it (``RELIANCE.NS`` is RELIANCE at NSE, series EQ), so that
    its history continues theirs. Several names of one instrument, as a store may have them, are one contract each here;
    the warehouse gives them one number.

    Parameters
    ----------
    plan : BundlePlan
        Names market and venue.
    series : sequence of SeriesPlan
        With symbols.

    Returns
    -------
    polars.DataFrame
        `CONTRACT_SCHEMA`.

    """
    empty = dict.fromkeys(CONTRACT_SCHEMA)
    rows = [{**empty, **_terms(plan, one), "contract_key": key} for key, one in enumerate(series)]
    return pl.DataFrame(rows, schema=CONTRACT_SCHEMA, orient="row")


def _terms(plan: BundlePlan, series: SeriesPlan) -> dict[str, str | None]:
    trades_at = market(str(plan.market))
    symbol = str(series.symbol)
    if series.kind == "PAIR":
        base, quote = split_pair(symbol) or (symbol, trades_at.currency)
        return {
            "kind": "PAIR",
            "symbol": symbol,
            "underlying": f"{base}{quote}".upper(),
            "base_currency": base.upper(),
            "currency": quote.upper(),
            "venue": (plan.venue or trades_at.venue).upper(),
        }
    venue = venue_of(symbol) or (plan.venue or trades_at.venue).upper()
    return {
        "kind": series.kind,
        "symbol": symbol,
        "underlying": underlying_of(symbol),
        "venue": venue,
        "currency": trades_at.currency,
        "series": "EQ" if series.kind == "EQ" and venue == "NSE" else None,
    }


def split_pair(symbol: str) -> tuple[str, str] | None:
    """Read ``BTC/USDT``, ``BTC-USDT`` or ``BTC/USDT:USDT`` as what is traded and what it is paid with, else None."""
    found = _PAIR.fullmatch(symbol)
    return None if found is None else (found[1], found[2])
