"""What the vendor refused, in words a user can act on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ConfigurationError, PipelineError, SourceError
from pipeline_defs.sources.asking.calling import TryAgainError, retry_after
from pipeline_defs.sources.asking.credentials import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

BAD_REQUEST: Final = 400
UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
TOO_MANY: Final = 429
SERVER_ERRORS: Final = 500
_PASSING: Final = frozenset({408, 425, TOO_MANY, 499})
"""Statuses below 500 after which the same request may succeed."""
_LONGEST_SAYING: Final = 300


class UnknownNameError(SourceError):
    """The vendor does not know what was asked for (404)."""


class PlanError(SourceError):
    """The plan of the key does not include what was asked for (403)."""


def refusal(status: int, headers: Mapping[str, str], body: str) -> PipelineError:
    """Give the error for a reply that is no success.

    Parameters
    ----------
    status : int
        Of HTTP.
    headers : mapping
        Of the reply, whatever the case of their names.
    body : str
        Its text.

    Returns
    -------
    PipelineError
        A `TryAgainError` where asking again may help.

    """
    said = saying(body)
    if status in _PASSING or status >= SERVER_ERRORS:
        what = "too many requests" if status == TOO_MANY else "the server is in trouble"
        return TryAgainError(
            f"Polygon: {what} ({status}{said and f' {said}'})",
            next_step="set POLYGON_REQUESTS_PER_MINUTE to what the plan of the key allows"
            if status == TOO_MANY
            else None,
            wait_seconds=retry_after(headers.get("Retry-After")),
        )
    if status == UNAUTHORIZED:
        return ConfigurationError(
            f"Polygon refused the API key (401 {said or 'without a reason'}). Check POLYGON_API_KEY.",
            next_step="compare POLYGON_API_KEY with the key shown in the vendor's dashboard, then run again",
        )
    if status == FORBIDDEN:
        return plan_refusal(said)
    if status == NOT_FOUND:
        return UnknownNameError(f"Polygon does not know it (404{said and f' {said}'})")
    return SourceError(
        f"Polygon refused the request ({status}{said and f' {said}'})",
        next_step="nothing was stored; check the universe file, and PIPELINE_POLYGON_ENDPOINT if it is set",
    )


def plan_refusal(said: str) -> PlanError:
    """Give the error for data that the key's plan does not include."""
    return PlanError(
        f"the plan of this Polygon key does not include it (403 {said or 'NOT_AUTHORIZED'})",
        next_step="ask for a range or asset class that the plan includes, or upgrade the plan; waiting does not help",
    )


def saying(body: str) -> str:
    """Give what the vendor said in a reply: its status word and message, or nothing for a page of HTML."""
    try:
        content = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(content, dict):
        return ""
    message = content.get("error") or content.get("message") or ""
    status = content.get("status")
    word = status if isinstance(status, str) and status not in {"ERROR", "OK", "NOT_FOUND"} else ""
    return redact(": ".join(part for part in (word, str(message)) if part))[:_LONGEST_SAYING]
