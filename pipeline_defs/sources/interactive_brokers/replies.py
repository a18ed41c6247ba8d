"""Bars and ticks as the text that TWS sent, kept before the client makes floats of it.

The client turns each number of a reply into a float, one Python object per row, and loses the whole reply, without an
error, when a single number is none. Here the reply's fields are cut into columns of text instead: exact, whole columns
at once, and one bad number costs one row. The handlers take the places of the client's own in its decoder's table; the
rest of the client (handshake, framing, throttling, ends of requests) is used as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import SchemaDriftError

if TYPE_CHECKING:
    from collections.abc import Sequence

BAR_FIELDS: Final = ("date", "open", "high", "low", "close", "volume", "average", "count")
QUOTE_FIELDS: Final = ("time", "mask", "bid_price", "ask_price", "bid_size", "ask_size")
TRADE_FIELDS: Final = ("time", "mask", "price", "size", "exchange", "conditions")

BARS: Final = 17
QUOTES: Final = 97
TRADES: Final = 98
CONTRACT: Final = 10
CHAIN: Final = 75
SYMBOLS: Final = 79

_WITH_EXPONENT: Final = r"^-?[0-9]+(\.[0-9]+)?[eE][+-]?[0-9]{1,3}$"
_BARS_HEAD: Final = 5
_TICKS_HEAD: Final = 3


@dataclass(frozen=True, slots=True)
class Told:
    """Rows of a reply.

    Parameters
    ----------
    request : int
        Which one they answer.
    rows : polars.DataFrame
        Columns of text.
    is_last : bool
        Whether the reply ends with them.

    """

    request: int
    rows: pl.DataFrame
    is_last: bool


def read_bars(fields: Sequence[str]) -> Told:
    """Read message 17.

    Parameters
    ----------
    fields : sequence of str
        Number, request, first and last instant, number of bars, and `BAR_FIELDS` of each.

    Returns
    -------
    Told

    Raises
    ------
    SchemaDriftError
        If the bars have more fields or fewer.

    """
    rows = _columns(fields[_BARS_HEAD:], _count(fields, _BARS_HEAD - 1), BAR_FIELDS, "bar")
    return Told(int(fields[1]), rows, is_last=True)


def read_ticks(fields: Sequence[str]) -> Told:
    """Read message 97 (quotes) or 98 (trades); a reply may come in several.

    Parameters
    ----------
    fields : sequence of str
        Number, request, number of ticks, `QUOTE_FIELDS` or `TRADE_FIELDS` of each, and whether it is the last one.

    Returns
    -------
    Told

    Raises
    ------
    SchemaDriftError
        If the ticks have more fields or fewer.

    """
    names = QUOTE_FIELDS if int(fields[0]) == QUOTES else TRADE_FIELDS
    rows = _columns(fields[_TICKS_HEAD:-1], _count(fields, _TICKS_HEAD - 1), names, "tick")
    return Told(int(fields[1]), rows, is_last=fields[-1] == "1")


def plain(texts: pl.Series) -> pl.Series:
    """Write numbers without an exponent: TWS writes 0.0005 as ``5.0E-4``, and 12345678 as ``1.2345678E7``.

    Parameters
    ----------
    texts : polars.Series
        Numbers, as TWS writes them.

    Returns
    -------
    polars.Series
        The same; what is no number stays as it is.

    """
    has_exponent = texts.str.contains(_WITH_EXPONENT).fill_null(value=False)
    if not has_exponent.any():
        return texts
    written = texts.filter(has_exponent).map_elements(lambda text: format(Decimal(text), "f"), return_dtype=pl.String)
    return texts.scatter(has_exponent.arg_true(), written)


def request_of(fields: Sequence[str], server_version: int) -> int:
    """Tell which request a message about a contract, a chain or symbols answers."""
    has_version_field = int(fields[0]) == CONTRACT and server_version < _UNVERSIONED_CONTRACT
    return int(fields[2 if has_version_field else 1])


_UNVERSIONED_CONTRACT: Final = 164


def _count(fields: Sequence[str], place: int) -> int:
    text = fields[place] if place < len(fields) else ""
    if not (text.isascii() and text.isdigit()):
        raise SchemaDriftError(f"a reply's number of rows is {text!r}, expected a number", next_step=_REPORT)
    return int(text)


def _columns(cells: Sequence[str], count: int, names: Sequence[str], what: str) -> pl.DataFrame:
    width = len(names)
    if len(cells) != count * width:
        raise SchemaDriftError(
            f"a reply of {count} {what}s has {len(cells)} fields, expected {width} of each: {', '.join(names)}",
            next_step=_REPORT,
        )
    columns = {name: list(cells[place::width]) for place, name in enumerate(names)}
    return pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String()))


_REPORT: Final = "TWS speaks another version of its protocol: nothing was stored; report it with this message"
