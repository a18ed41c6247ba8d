"""Whether a ticker exists, and which ones look like it."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.sources.asking.calling import TryAgainError
from pipeline_defs.sources.polygon.numbers import read_json
from pipeline_defs.sources.polygon.pages import results_of
from pipeline_defs.sources.polygon.refusals import UnknownNameError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from pipeline_defs.sources.polygon.connection import Connection

INDEX: Final = "I:"
_FORM: Final = re.compile(r"[A-Za-z0-9:.-]+")
_PREFIX: Final = 2
_MOST: Final = 1000


def checked_ticker(text: str) -> str:
    """Give a ticker of the universe, once it can be one of the vendor's.

    Raises
    ------
    ConfigurationError
        If it holds what no ticker does.

    """
    if not _FORM.fullmatch(text):
        raise ConfigurationError(
            f"{text!r} is no ticker of Polygon's",
            where="universe, section polygon",
            next_step="write it as the vendor does: AAPL, BRK.B, I:SPX",
        )
    return text


def require_known(connection: Connection, ticker: str, day: dt.date, turn: Callable[[], None]) -> None:
    """Ask whether the vendor knows a ticker of which it has no bars.

    Parameters
    ----------
    connection : Connection
        Does the requests.
    ticker : str
        Of a share or an index.
    day : datetime.date
        On which it is to be known: tickers come, go, and are given again.
    turn : callable
        Waits for a turn under the rate limit.

    Raises
    ------
    SourceError
        If it does not, with the names that look like it.

    """
    turn()
    try:
        reply = connection.get(lambda client: client.get_ticker_details(ticker, date=str(day), raw=True))
    except UnknownNameError:
        near = _near(connection, ticker, turn)
        raise SourceError(
            f"Polygon does not know the ticker {ticker} on {day}{f'; near it: {", ".join(near)}' if near else ''}",
            where="universe, section polygon",
            next_step="correct the universe file, or give it first_date and last_date if it was listed for a time only",
        ) from None
    content = read_json(reply.data, f"details of {ticker}")
    results = content.get("results")
    if not isinstance(results, dict) or results.get("ticker") != ticker:
        raise TryAgainError(f"Polygon's details of {ticker} are not about it; nothing stored")


def _near(connection: Connection, ticker: str, turn: Callable[[], None]) -> list[str]:
    """Give known tickers that look like one, the best first; none if that cannot be told."""
    kind, _, name = ticker.rpartition(":")
    first = f"{kind}:{name[:_PREFIX]}" if kind else name[:_PREFIX]
    turn()
    try:
        reply = connection.get(
            lambda client: client.list_tickers(
                ticker_gte=first,
                ticker_lt=f"{first}ZZZZ",
                market="indices" if kind else "stocks",
                limit=_MOST,
                raw=True,
            )
        )
        results = results_of(read_json(reply.data, "list of tickers"), 1, "list of tickers")
    except SourceError:
        return []
    known = [str(row["ticker"]) for row in results if isinstance(row, dict) and "ticker" in row]
    return difflib.get_close_matches(ticker, known, n=3, cutoff=0.5)
