"""What came back: a chart, an explicit nothing, or what was wrong and whether asking again can help."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import SourceError
from pipeline_defs.sources.asking.calling import TryAgainError
from pipeline_defs.sources.asking.half_characters import refuse_half_characters
from pipeline_defs.sources.yahoo.client import COOKIE_REFUSALS
from pipeline_defs.sources.yahoo.drift import drift

if TYPE_CHECKING:
    from pipeline_defs.sources.yahoo.client import Reply

_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500
_NOT_FOUND: Final = 404
_SHOWN: Final = 200
_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_NOTHING_THEN: Final = re.compile(r"data doesn't exist for startdate", re.IGNORECASE)
"""How Yahoo says that an instrument did not trade yet, or no more."""
_COLUMNS: Final = ("open", "high", "low", "close", "volume")


class UnknownSymbolError(SourceError):
    """Yahoo does not know the symbol."""


class ClientRefusedError(TryAgainError):
    """Yahoo refused the cookie or the crumb; fresh ones may help."""


def chart_of(reply: Reply, symbol: str) -> dict[str, Any] | None:
    """Find the one chart of a reply.

    Parameters
    ----------
    reply : Reply
        Of ``/v8/finance/chart``.
    symbol : str
        What was asked for, for messages.

    Returns
    -------
    dict or None
        With ``meta`` and ``indicators``, and with ``timestamp`` if there are bars; None when Yahoo says that there is
        nothing then.

    Raises
    ------
    TryAgainError
        If it is no whole reply of Yahoo's data service.
    UnknownSymbolError
        If there is no such symbol.
    SourceError
        If the question was refused.
    SchemaDriftError
        If a key is missing, or is something else than it was.

    """
    if reply.status in COOKIE_REFUSALS:
        raise ClientRefusedError(f"Yahoo refused its own cookie or crumb ({reply.status}{_told(reply)})")
    document = document_of(reply)
    chart = _part(document, "chart", dict, "the reply")
    error = chart.get("error")
    if error is not None:
        _raise_refusal(reply, error, symbol)
        return None
    results = chart.get("result")
    if not isinstance(results, list) or len(results) != 1 or not isinstance(results[0], dict):
        raise TryAgainError(f"Yahoo gave neither a chart nor a reason ({_shortened(json.dumps(chart))})")
    return _checked(results[0])


def document_of(reply: Reply) -> dict[str, Any]:
    """Read a body as a JSON object.

    Parameters
    ----------
    reply : Reply
        Any.

    Returns
    -------
    dict

    Raises
    ------
    TryAgainError
        If there were too many requests, the server is in trouble, or it is a web page or damaged.

    """
    if reply.status == _TOO_MANY:
        raise TryAgainError(
            "Yahoo had too many requests of this address (429)",
            next_step="nothing was stored; wait some minutes, and run fewer backfills of Yahoo at once",
            wait_seconds=reply.wait_seconds,
        )
    if reply.status >= _SERVER_ERROR:
        raise TryAgainError(
            f"Yahoo's server is in trouble ({reply.status}{_told(reply)})", wait_seconds=reply.wait_seconds
        )
    try:
        document = json.loads(reply.text)
        refuse_half_characters(document, reply.text)
    except (ValueError, RecursionError):
        if reply.text.lstrip().startswith("<"):
            raise TryAgainError(f"Yahoo sent a web page in place of data{_told(reply)}") from None
        raise TryAgainError(
            f"the reply is no whole JSON: {len(reply.text)} characters, ending in {reply.text[-20:]!r}"
        ) from None
    if not isinstance(document, dict):
        raise drift(f"the reply is a JSON {type(document).__name__}, expected an object")
    return document


def _raise_refusal(reply: Reply, error: Any, symbol: str) -> None:  # noqa: ANN401 -- whatever Yahoo gave
    """Raise what an error in a well-formed reply means; return if it means that there is nothing."""
    told = error if isinstance(error, dict) else {"description": error}
    code, description = str(told.get("code", reply.status)), _shortened(str(told.get("description")))
    if _NOTHING_THEN.search(description):
        return
    if code == "Not Found" or reply.status == _NOT_FOUND:
        raise UnknownSymbolError(f"Yahoo does not know {symbol!r}: {description}")
    if code in {"Internal Server Error", "Internal Error", "Service Unavailable"}:
        raise TryAgainError(f"Yahoo's server is in trouble ({code}: {description})")
    raise SourceError(
        f"Yahoo refused the question ({code}: {description})",
        next_step="correct the symbol or the dates; if both are right, Yahoo has changed what it serves",
    )


def _checked(result: dict[str, Any]) -> dict[str, Any]:
    """Compare a chart with what charts look like, with bars or without."""
    _part(result, "meta", dict, "the chart")
    indicators = _part(result, "indicators", dict, "the chart")
    quotes = _part(indicators, "quote", list, "indicators")
    quote = quotes[0] if quotes and isinstance(quotes[0], dict) else {}
    if "timestamp" not in result and not quote:
        return result
    times = _part(result, "timestamp", list, "the chart")
    for name in _COLUMNS:
        column = _part(quote, name, list, "the bars", what="column")
        if len(column) != len(times):
            raise TryAgainError(
                f"the reply is not whole: column {name!r} has {len(column)} values of {len(times)} bars"
            )
    return result


def _part(parent: dict[str, Any], name: str, kind: type, where: str, *, what: str = "key") -> Any:  # noqa: ANN401
    if name not in parent:
        got = ", ".join(repr(key) for key in parent) or "none"
        raise drift(f"{what} {name!r} is missing in {where}, got {got}")
    value = parent[name]
    if not isinstance(value, kind):
        raise drift(f"{what} {name!r} in {where} is a {type(value).__name__}, expected a {kind.__name__}")
    return value


def _told(reply: Reply) -> str:
    """Give what a body says in a few words, after a colon; empty if it says nothing."""
    title = _TITLE.search(reply.text)
    if title is not None:
        return f": {_shortened(' '.join(title[1].split()))}"
    try:
        document = json.loads(reply.text)
        (section,) = document.values()
        error = section["error"]
        return f" {error['code']}: {_shortened(str(error['description']))}"
    except (ValueError, TypeError, KeyError, AttributeError):
        return ""


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
