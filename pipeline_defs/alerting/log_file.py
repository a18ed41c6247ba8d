"""Lines of JSON in a file: needs no account, and is what remains when everything else is down."""

from __future__ import annotations

import datetime as dt
import json
import os
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pipeline_defs.alerting.notifier import AlertError, Notifier
from pipeline_defs.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.alerting.alert import Message

FILE: Final = "alerts.jsonl"


class LogFileNotifier(Notifier):
    """Appends each message to ``PIPELINE_HOME/alerts/alerts.jsonl``."""

    name: ClassVar[str] = "log"

    def send(self, message: Message, *, timeout_seconds: float) -> None:
        """Append one line."""
        del timeout_seconds
        append("alert", message.plain())


def log_path() -> Path:
    """Where the lines are."""
    return load_settings().home / "alerts" / FILE


def append(event: str, fields: dict[str, Any]) -> None:
    """Append one line of JSON in one write, so that two processes never mix theirs.

    Parameters
    ----------
    event : str
        ``alert`` or ``notifier_failed``.
    fields : dict
        More of it.

    Raises
    ------
    AlertError
        If the file cannot be written.

    """
    line = json.dumps({"at": dt.datetime.now(dt.UTC).isoformat(), "event": event, **fields}, ensure_ascii=False)
    path = log_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, f"{line}\n".encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise AlertError(f"cannot be written: {error.strerror}", where=str(path), again=False) from None
