"""Errors of the client to ours: asking again may help, it was refused for good, or it is set up wrongly.

The client maps most HTTP states to "not available", also those that no waiting mends; so the state is looked at first.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import ConfigurationError, PipelineError, SchemaDriftError, SourceError
from pipeline_defs.sources.asking.calling import TryAgainError, retry_after

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_BANNED: Final = 418
_TOO_MANY: Final = 429
_BANNED_SECONDS: Final = 120.0
"""Who asks again sooner is banned for longer; used where the exchange does not say how long."""
_UNAUTHORIZED: Final = frozenset({401, 407, 511})
_FORBIDDEN: Final = frozenset({403, 451})
_PASSING: Final = frozenset({408, 425})
_REFUSED: Final = range(400, 500)
_BROKEN: Final = range(500, 600)
_SHOWN: Final = 200
_NEAR: Final = 5
_SIGNED: Final = re.compile(r"(signature|sign)=[^&\s]+", re.IGNORECASE)
_UNKNOWN: Final = ("unknown asset pair", "invalid symbol", "unknown symbol", "symbol not found")


def translate(  # noqa: C901, PLR0911 -- one line a case, in the order in which they are told apart
    error: Exception, exchange: str, status: int | None, headers: Mapping[str, str], symbols: Collection[str]
) -> PipelineError:
    """Say what an error of the client means.

    Parameters
    ----------
    error : Exception
        Of the client, or of Python where its parsers stumbled.
    exchange : str
        Its id.
    status : int or None
        Of HTTP, if a reply came.
    headers : mapping
        Of that reply.
    symbols : collection of str
        What the exchange lists.

    Returns
    -------
    PipelineError
        To be raised.

    """
    import ccxt  # noqa: PLC0415 -- heavy: only asking needs it

    told = _SIGNED.sub(r"\1=***", " ".join(str(error).split()))[:_SHOWN]
    answered = f"{exchange} answered {status}"
    if status == _BANNED:
        wait = retry_after(headers.get("Retry-After"))
        return TryAgainError(
            f"{exchange} bans this address for asking too often (418)",
            next_step="wait until the ban is over, and run fewer imports of this exchange at once",
            wait_seconds=_BANNED_SECONDS if wait is None else wait,
        )
    if status == _TOO_MANY or isinstance(error, (ccxt.DDoSProtection, ccxt.RateLimitExceeded)):
        return TryAgainError(f"{exchange}'s rate limit: {told}", wait_seconds=retry_after(headers.get("Retry-After")))
    if isinstance(error, ccxt.PermissionDenied) or status in _FORBIDDEN:
        return SourceError(
            f"{exchange} does not allow it ({status or 'no state'}): {told}",
            next_step="exchanges close themselves to some countries and addresses, and keys may be bound to others;"
            " choose an exchange that serves yours",
        )
    if isinstance(error, ccxt.AuthenticationError) or status in _UNAUTHORIZED:
        return ConfigurationError(
            f"{exchange} refused the API key: {told}",
            next_step="check CCXT_API_KEY and CCXT_SECRET, or unset both: prices need none",
        )
    if isinstance(error, ccxt.BadSymbol) or any(text in told.lower() for text in _UNKNOWN):
        return SourceError(f"{exchange} does not know the pair: {told}", next_step=near_names(error, symbols))
    if status in _BROKEN:
        return TryAgainError(f"{answered}: {told}", wait_seconds=retry_after(headers.get("Retry-After")))
    if isinstance(error, ccxt.RequestTimeout):
        return TryAgainError(f"{exchange} did not answer in time: {told}")
    if status in _REFUSED and status not in _PASSING:
        return SourceError(f"{answered}: {told}", next_step="look at what was asked for; asking again would not help")
    if isinstance(error, (ccxt.NotSupported, ccxt.BadRequest)):
        return SourceError(f"{exchange} cannot do it: {told}", next_step="choose other bars or another exchange")
    if isinstance(error, ccxt.OperationFailed) or _is_broken_off(error):
        return TryAgainError(f"{exchange} could not be asked: {told or type(error).__name__}")
    if isinstance(error, ccxt.BaseError):
        return SourceError(f"{exchange} refused: {told}", next_step="nothing was stored; see what the exchange says")
    return SchemaDriftError(
        f"{exchange}'s reply cannot be read: {type(error).__name__} {told}",
        next_step="nothing was stored; a newer CCXT may know the exchange's new format",
    )


def near_names(asked: object, symbols: Collection[str]) -> str:
    """Say which pairs are called alike.

    Parameters
    ----------
    asked : object
        Its text holds the name.
    symbols : collection of str
        What there is.

    Returns
    -------
    str

    """
    words = str(asked).upper().replace("'", " ").split()
    near = [name for word in words[-3:] for name in difflib.get_close_matches(word, symbols, _NEAR, 0.6)]
    return f"correct it in the universe file; near names: {', '.join(dict.fromkeys(near)) or 'none'}"


def _is_broken_off(error: BaseException) -> bool:
    """Tell whether a reply broke off under way, which the client calls an error of the exchange."""
    import requests  # noqa: PLC0415 -- comes with the client

    cause: Any = error.__cause__
    lasting = (requests.exceptions.SSLError, requests.exceptions.TooManyRedirects, requests.exceptions.HTTPError)
    return isinstance(cause, requests.exceptions.RequestException) and not isinstance(cause, lasting)
