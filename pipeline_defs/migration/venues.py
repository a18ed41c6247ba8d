"""In which market the symbols of a bundle trade, and what kind of instrument they are. Nothing is guessed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

from pipeline_defs.markets.market import MARKETS
from pipeline_defs.migration.bcolz_minute import CALENDARS
from pipeline_defs.migration.numbering import Problem
from pipeline_defs.migration.reasons import MARKET_MIXED, MARKET_UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline_defs.migration.legacy import LegacySymbol

type InstrumentKind = Literal["EQ", "SPOT", "PAIR"]

PAIRS: Final = "CRYPTO"

_EXCHANGES: Final = {
    **dict.fromkeys(("NSE", "BSE", "XNSE", "XBOM", "NFO"), "NSE"),
    **dict.fromkeys(("US", "NYSE", "NASDAQ", "AMEX", "ARCA", "BATS", "XNYS", "XNAS", "NMS", "NYQ"), "US"),
}
_YAHOO_SUFFIXES: Final = {".NS": "NSE", ".BO": "NSE"}
_YAHOO_US: Final = re.compile(r"[A-Z]{1,5}(-[A-Z]{1,2})?")
_PAIR: Final = re.compile(r"[A-Z0-9.]+/[A-Z0-9.]+(:[A-Z0-9.]+)?")
_PAIR_TYPES: Final = frozenset({"crypto", "cryptocurrency", "pair"})


@dataclass(frozen=True, slots=True)
class Venue:
    """Where the symbols of a bundle trade.

    Parameters
    ----------
    market : str or None
        Name of a market of ours.
    venue : str or None
        Exchange of pairs.
    told_by : str
        What says so.
    problem : Problem or None
        Why there is none.

    """

    market: str | None
    venue: str | None
    told_by: str
    problem: Problem | None = None


def kind_of(symbol: LegacySymbol) -> InstrumentKind:
    """Tell what a symbol is in the warehouse: a pair or an index where it was recorded as such, a share otherwise."""
    asset_type = (symbol.asset_type or "").lower()
    if asset_type in _PAIR_TYPES or _PAIR.fullmatch(symbol.symbol):
        return "PAIR"
    return "SPOT" if asset_type == "index" else "EQ"


def find_venue(
    bundle: str | None,
    symbols: Sequence[LegacySymbol],
    source_type: str | None,
    source_url: str | None,
    *,
    calendar: str | None = None,
    told: str | None = None,
) -> Venue:
    """Find out where the symbols of a bundle trade.

    Parameters
    ----------
    bundle : str or None
        Name, for messages; None where there is one bundle only.
    symbols : sequence of LegacySymbol
        All of them.
    source_type, source_url : str or None
        As recorded.
    calendar : str or None
        Name of the calendar that a bcolz bundle is laid out on.
    told : str or None
        Market that the user named; it counts before all else.

    Returns
    -------
    Venue
        In this order: what the user says; pairs; the exchange of each symbol; Yahoo's suffixes; the calendar.

    """
    if told is not None:
        return Venue(told, _exchange_of_pairs(symbols, source_url) if told == PAIRS else None, "named by the user")
    found: dict[str | None, str] = {}
    ways: set[str] = set()
    for symbol in symbols:
        market, way = _one(symbol, source_type, calendar)
        found.setdefault(market, symbol.symbol)
        ways.add(way)
    if len(found) == 1 and None not in found:
        (market,) = found
        venue = _exchange_of_pairs(symbols, source_url) if market == PAIRS else None
        return Venue(market, venue, " and ".join(sorted(ways)))
    known = sorted(one for one in found if one is not None)
    if len(known) > 1:
        return Venue(None, None, "", _mixed(known))
    return Venue(None, None, "", _unknown(bundle, found.get(None, "its symbols")))


def _one(symbol: LegacySymbol, source_type: str | None, calendar: str | None) -> tuple[str | None, str]:
    if kind_of(symbol) == "PAIR":
        return PAIRS, "they are pairs"
    exchange = _EXCHANGES.get((symbol.exchange or "").upper())
    if exchange is not None:
        return exchange, "the exchange recorded for each symbol"
    if source_type == "yfinance":
        suffix = next((market for end, market in _YAHOO_SUFFIXES.items() if symbol.symbol.endswith(end)), None)
        if suffix is not None:
            return suffix, "Yahoo's suffix"
        if _YAHOO_US.fullmatch(symbol.symbol):
            return "US", "Yahoo's symbols without suffix"
    if calendar in CALENDARS:
        return CALENDARS[calendar], f"the calendar {calendar} of the bundle"
    return None, ""


def _exchange_of_pairs(symbols: Iterable[LegacySymbol], source_url: str | None) -> str | None:
    """Give the exchange recorded for all pairs, or the one in the address they came from."""
    recorded = {symbol.exchange.lower() for symbol in symbols if symbol.exchange}
    if len(recorded) == 1:
        return recorded.pop()
    host = urlsplit(source_url or "").hostname or ""
    parts = host.split(".")
    return parts[-2] if not recorded and len(parts) > 1 else None


def _mixed(known: Sequence[str]) -> Problem:
    return Problem(
        MARKET_MIXED,
        f"its symbols trade in {' and '.join(known)}",
        "ingest the symbols of each market anew, as bundles of their own",
    )


def _unknown(bundle: str | None, symbol: str) -> Problem:
    names = ", ".join(name for name in MARKETS if name != "ANY")
    return Problem(
        MARKET_UNKNOWN,
        f"neither source nor exchange says where {symbol} trades",
        f"name it: --market {'' if bundle is None else f'{bundle}='}NSE (one of {names})",
    )
