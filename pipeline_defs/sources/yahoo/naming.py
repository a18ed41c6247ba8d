"""Names in the warehouse of Yahoo's symbols: the same as other sources use, wherever that can be told."""

from __future__ import annotations

import re
from typing import Final

INDICES: Final = {
    "^NSEI": "NIFTY",
    "^NSEBANK": "BANKNIFTY",
    "^INDIAVIX": "INDIAVIX",
    "^BSESN": "SENSEX",
    "^GSPC": "SPX",
    "^NDX": "NDX",
    "^DJI": "DJI",
    "^RUT": "RUT",
    "^VIX": "VIX",
}
"""Yahoo's symbol of an index to the name under which its derivatives trade."""

_SUFFIX_VENUES: Final = {".NS": "NSE", ".BO": "BSE"}
_SHARE_CLASS: Final = re.compile(r"([A-Z]+)-([A-Z])")
_FOREIGN: Final = re.compile(r"[^A-Z0-9&.-]")


def underlying_of(symbol: str) -> str:
    """Give a symbol's name in the warehouse: ``RELIANCE.NS`` is RELIANCE, ``BRK-B`` is BRK.B.

    Parameters
    ----------
    symbol : str
        Yahoo's.

    Returns
    -------
    str

    """
    if symbol in INDICES:
        return INDICES[symbol]
    suffix = symbol[-3:].upper()
    bare = _FOREIGN.sub("", (symbol[:-3] if suffix in _SUFFIX_VENUES else symbol).upper())
    share_class = _SHARE_CLASS.fullmatch(bare)
    return f"{share_class[1]}.{share_class[2]}" if share_class and suffix not in _SUFFIX_VENUES else bare


def venue_of(symbol: str) -> str | None:
    """Name the venue that a symbol's ending says, or None."""
    return "BSE" if symbol == "^BSESN" else _SUFFIX_VENUES.get(symbol[-3:].upper())
