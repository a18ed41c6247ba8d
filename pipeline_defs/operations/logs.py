"""Log lines that a program reads: one JSON object a line, without secrets, in place of text for people.

`PIPELINE_LOG_FORMAT` says which. Dagster's webserver, daemon and code server have their own ``--log-format json``; what
is here serves runs and the command line.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import re
import traceback
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from pipeline_defs.errors import UNSHOWN, ConfigurationError
from pipeline_defs.secret_files import read_secret
from pipeline_defs.sources.asking.credentials import REDACTED, redact

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECRETS: Final = ("PGPASSWORD", "DAGSTER_POSTGRES_PASSWORD", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
"""Variables whose values a client library might repeat."""

_LOGIN: Final = re.compile(r"(?<=://)([^\s:/@]*):[^\s@]+@")
_DATABASE: Final = "PIPELINE_DATABASE_URL"
_PASSWORD: Final = re.compile(r"://[^\s:/@]*:([^\s@]+)@|(?:^|[?&\s])(?:ssl)?password=(?:'([^']*)'|([^&\s]+))")
_SHORTEST: Final = 4
_OF_DAGSTER: Final = ("run_id", "job_name", "step_key", "dagster_event_type")


def without_secrets(text: str) -> str:
    """Give a text without the secrets that this process knows, and without the password of any URL."""
    text = redact(text)
    values = [os.environ.get(name) or "" for name in _SECRETS]
    values += _passwords(*(os.environ.get(f"{_DATABASE}{ending}") for ending in ("", "_FILE")))
    for value in values:
        if len(value) >= _SHORTEST:
            text = text.replace(value, REDACTED)
    return _LOGIN.sub(rf"\1:{REDACTED}@", text)


@cache
def _passwords(url: str | None, file: str | None) -> tuple[str, ...]:
    """Find the database's passwords in its address, as they stand there and as they are meant."""
    del file  # a part of the key
    try:
        address = url or read_secret(_DATABASE, "the database's address") or ""
    except ConfigurationError:
        return ()
    found = [next(filter(None, groups), "") for groups in _PASSWORD.findall(address)]
    return tuple(sorted({*found, *map(unquote, found)}, key=len, reverse=True))


def json_line(
    level: str, logger: str, message: str, fields: Mapping[str, Any] | None = None, at: dt.datetime | None = None
) -> str:
    """Write one line.

    Parameters
    ----------
    level : str
        E.g. ``ERROR``.
    logger : str
        Who says it.
    message : str
        What it says.
    fields : mapping, optional
        More, by name; None and empty values are left out.
    at : datetime.datetime, optional
        When; default now.

    Returns
    -------
    str
        Without a line end, whatever the message holds.

    """
    line = {
        "timestamp": (at or dt.datetime.now(dt.UTC)).isoformat(timespec="milliseconds"),
        "level": level,
        "logger": logger,
        "message": message,
        **{name: value for name, value in (fields or {}).items() if value},
    }
    text = without_secrets(json.dumps(line, ensure_ascii=False, default=str))
    # JSON itself leaves ends of lines of Unicode, and what commands a terminal, as they are.
    return UNSHOWN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class JsonLines(logging.Formatter):
    """Formats a record as one line, with the run, job and step that Dagster adds to it."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        meta = getattr(record, "dagster_meta", None) or {}
        fields = {name: meta.get(name) for name in _OF_DAGSTER}
        event = meta.get("dagster_event")
        if event is not None:
            fields["event"] = event.event_type_value
        fields.pop("dagster_event_type")
        message = meta.get("orig_message") or record.getMessage()
        if record.exc_info:
            fields["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        at = dt.datetime.fromtimestamp(record.created, dt.UTC)
        return json_line(record.levelname, record.name, message, fields, at)
