"""All pages of one reply, or none.

The vendor cuts long replies and names the next page by an address. Only its path and query are used, on the endpoint
that was asked first: wherever the address points, the key does not go there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pipeline_defs.errors import SchemaDriftError, SourceError
from pipeline_defs.sources.asking.calling import TryAgainError
from pipeline_defs.sources.polygon.numbers import read_json
from pipeline_defs.sources.polygon.refusals import plan_refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from massive import RESTClient

    from pipeline_defs.sources.polygon.connection import Connection

DELAYED: Final = "DELAYED"
MOST_PAGES: Final = 1000
"""The longest listing, all options of an index, has a few dozen."""


def all_pages(
    connection: Connection,
    first: Callable[[RESTClient], object],
    what: str,
    turn: Callable[[], None],
    most: int = MOST_PAGES,
) -> list[dict[str, Any]]:
    """Get all pages.

    Parameters
    ----------
    connection : Connection
        Does the requests.
    first : callable
        Asks the client it is given for the first page.
    what : str
        Names it in messages, e.g. ``AAPL 2024-01-16``.
    turn : callable
        Waits for a turn under the rate limit; called before every page but the first.
    most : int
        Pages at most.

    Returns
    -------
    list of dict
        Each page as `read_json` gives it, of status ``OK`` or ``DELAYED``.

    Raises
    ------
    TryAgainError
        If a page is unreadable or in doubt: nothing of the others is given.
    SourceError
        If the pages do not end, or one was refused.

    """
    pages = [_read(connection.get(first).data, 1, what)]
    seen: set[str] = set()
    while (path := _next_path(pages[-1], len(pages), what)) is not None:
        number = len(pages) + 1
        if path in seen:
            raise SourceError(
                f"Polygon page {number - 1} of {what} names a page again that was read already; nothing stored",
                next_step="run the partition again later; if it stays so, report it to the vendor",
            )
        if number > most:
            raise SourceError(
                f"Polygon gave {most} pages of {what} and has more; nothing stored",
                next_step="ask for less: fewer days, expiries or strikes",
            )
        seen.add(path)
        turn()
        pages.append(_read(connection.follow(path).data, number, what))
    return pages


def results_of(page: dict[str, Any], number: int, what: str) -> list[dict[str, Any]]:
    """Give the results of a listing's page, where an empty one still has the key.

    Raises
    ------
    SchemaDriftError
        If there is no list of results.

    """
    results = page.get("results")
    if not isinstance(results, list):
        raise SchemaDriftError(
            f"Polygon page {number} of {what}: no list 'results', got {', '.join(sorted(page))}",
            next_step="nothing was stored; the vendor's format has changed: report it with this message",
        )
    return results


def _read(data: bytes, number: int, what: str) -> dict[str, Any]:
    page = read_json(data, f"page {number} of {what}")
    status = page.get("status")
    if status in ("OK", DELAYED):
        return page
    said = str(page.get("error") or page.get("message") or "")
    if status == "NOT_AUTHORIZED":
        raise plan_refusal(f"NOT_AUTHORIZED: {said}" if said else "")
    if status is None:
        raise SchemaDriftError(f"Polygon page {number} of {what}: no 'status', got {', '.join(sorted(page))}")
    raise TryAgainError(
        f"Polygon page {number} of {what} has status {status!r}, expected 'OK' or 'DELAYED'{said and f': {said}'};"
        " nothing stored"
    )


def _next_path(page: dict[str, Any], number: int, what: str) -> str | None:
    address = page.get("next_url")
    if address is None or address == "":
        return None
    try:
        parts = urlsplit(address) if isinstance(address, str) else None
    except ValueError:
        parts = None
    if parts is None or not parts.path.startswith(("/v2/", "/v3/", "/vX/")):
        raise SchemaDriftError(f"Polygon page {number} of {what}: 'next_url' is no address of the API; nothing stored")
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
