"""A market as the exchange describes it to the terms of an instrument."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import SourceError
from pipeline_defs.sources.asking.questions import Listed
from pipeline_defs.sources.ccxt.refusals import near_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline_defs.sources.asking.universe import Named

_UNDERLYING: Final = re.compile(r"[A-Z0-9][A-Z0-9&.-]*")
_DECIMALS: Final = 8
"""Of prices in the warehouse."""
_MOST_PLACES: Final = 40
_DECIMAL_PLACES, _TICK_SIZE = 2, 4
"""How the client counts precision: decimals after the point, or the smallest step."""


def list_pair(exchange: str, markets: Mapping[str, dict[str, Any]], precision_mode: int, named: Named) -> Listed:
    """Find a pair.

    Parameters
    ----------
    exchange : str
        Its id.
    markets : mapping
        Symbol to what the client knows of it.
    precision_mode : int
        How the client counts precision.
    named : Named
        As the universe file has it.

    Returns
    -------
    Listed

    Raises
    ------
    SourceError
        If the exchange lists no such spot pair, or it cannot be named in the warehouse.

    """
    market = markets.get(named.symbol)
    if market is None or not market.get("spot"):
        what = "is not listed" if market is None else f"is a {market.get('type')}, not a spot pair,"
        spots = [symbol for symbol, one in markets.items() if one.get("spot")]
        raise SourceError(
            f"{what} at {exchange}, which lists {len(spots)} spot pairs",
            where=f"ccxt {named.symbol}",
            next_step=near_names(named.symbol, spots),
        )
    underlying = named.underlying or f"{market['base']}{market['quote']}".upper()
    if _UNDERLYING.fullmatch(underlying) is None:
        raise SourceError(
            f"{underlying!r} cannot be the name of an underlying: expected capital letters, digits, & . -",
            where=f"ccxt {named.symbol}",
            next_step="give the pair an `underlying` of your own in the universe file",
        )
    terms = {
        "kind": "PAIR",
        "symbol": named.symbol,
        "underlying": underlying,
        "base_currency": market["base"],
        "currency": named.currency or market["quote"],
        "venue": named.venue or exchange.upper(),
        "tick_size": tick_size((market.get("precision") or {}).get("price"), precision_mode),
    }
    return Listed(f"{exchange}:{named.symbol}", terms, named.first_date, named.last_date)


def tick_size(precision: object, precision_mode: int) -> Decimal | None:
    """Read the smallest step of a price.

    Parameters
    ----------
    precision : object
        A number or its text, as the client has it.
    precision_mode : int
        What it counts.

    Returns
    -------
    Decimal or None
        None if it is not known, counts significant digits, or is finer than the warehouse's prices.

    """
    try:
        value = Decimal(str(precision))
    except InvalidOperation:
        return None
    if not value.is_finite() or abs(value.adjusted()) > _MOST_PLACES:
        return None
    if precision_mode == _DECIMAL_PLACES:
        if not -_MOST_PLACES <= value <= _MOST_PLACES:
            return None
        value = Decimal(1).scaleb(-int(value))
    elif precision_mode != _TICK_SIZE:
        return None
    plain = Decimal(format(value.normalize(), "f"))
    exponent = plain.as_tuple().exponent
    return plain if plain > 0 and isinstance(exponent, int) and -exponent <= _DECIMALS else None
