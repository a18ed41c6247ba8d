"""Keys and tokens: read from the environment, or from a file that it names, and kept out of every text.

`PREFIX_API_KEY` holds the value; `PREFIX_API_KEY_FILE` names a file with it (what container platforms mount). A value
that was read once is known to `redact` for the life of the process.
"""

from __future__ import annotations

import json
import logging
from typing import Final
from urllib.parse import quote, quote_plus

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.secret_files import read_secret

REDACTED: Final = "***"
_SHORTEST: Final = 4
"""Shorter values are no secrets, and hiding them would make messages unreadable."""

_known: set[str] = set()


def read_credential(name: str, purpose: str) -> str:
    """Read a secret.

    Parameters
    ----------
    name : str
        Environment variable.
    purpose : str
        What it is, for the message when it is missing.

    Returns
    -------
    str

    Raises
    ------
    ConfigurationError
        If neither the variable nor ``<name>_FILE`` is set, or the file cannot be read.

    """
    value = read_secret(name, purpose)
    if not value:
        raise ConfigurationError(
            f"{purpose} is missing", where=name, next_step=f"set {name}, or {name}_FILE to a file that holds it"
        )
    remember_secret(value)
    return value


def remember_secret(value: str) -> None:
    """Let `redact` hide a value: plain, and as it stands in a URL, in JSON and in a quoted text."""
    if len(value) >= _SHORTEST:
        _known.update({value, *_in_urls(value), json.dumps(value)[1:-1], repr(value)[1:-1]})


def _in_urls(value: str) -> set[str]:
    # What an environment may hold that is no UTF-8 stands in no URL, but must not keep the rest from being hidden.
    data = value.encode("utf-8", "surrogateescape")
    return {quote(data, safe=""), quote(data), quote_plus(data)}


def redact(text: str) -> str:
    """Give a text without any secret that was read."""
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    return text


class RedactingFilter(logging.Filter):
    """Keeps secrets out of the records of a client's logger."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record; every record passes."""
        text = record.getMessage()
        hidden = redact(text)
        if hidden != text:
            record.msg, record.args = hidden, None
        return True


def guard_logger(*names: str) -> None:
    """Keep secrets out of what clients log.

    Parameters
    ----------
    *names : str
        Loggers, e.g. ``kiteconnect``.

    """
    for name in names:
        logger = logging.getLogger(name)
        if not any(isinstance(known, RedactingFilter) for known in logger.filters):
            logger.addFilter(RedactingFilter())
