"""Hands a message to a notifier with bounded patience. Never raises: who tells of failures must not be one."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline_defs.alerting.alert import without_secrets
from pipeline_defs.alerting.log_file import append
from pipeline_defs.alerting.notifier import AlertError
from pipeline_defs.alerting.registry import make_notifier
from pipeline_defs.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.alerting.alert import Message


@dataclass(frozen=True, slots=True)
class AlertPatience:
    """How long to try: with the defaults 33 seconds at most.

    Parameters
    ----------
    tries : int, default 3
        In all.
    try_seconds : float, default 10
        For one.
    first_wait_seconds : float, default 1
        Before the second; doubled each time.

    """

    tries: int = 3
    try_seconds: float = 10.0
    first_wait_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message at one notifier.

    Parameters
    ----------
    name : str
        The notifier's.
    error : str or None
        Why it was not taken; None when it was.
    tries : int
        How often it was tried.

    """

    name: str
    error: str | None
    tries: int


def deliver(
    name: str,
    message: Message,
    patience: AlertPatience | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Hand a message to a notifier; a failure is written to the log file as well.

    Parameters
    ----------
    name : str
        Of the notifier.
    message : Message
        What to tell.
    patience : AlertPatience, optional
        How long to try.
    wait : callable
        Waits for some seconds.

    Returns
    -------
    Outcome
        Its error holds no secret.

    """
    patience = patience or AlertPatience()
    outcome = Outcome(name, None, 0)
    for tried in range(1, patience.tries + 1):
        if tried > 1:
            wait(patience.first_wait_seconds * 2 ** (tried - 2))
        try:
            make_notifier(name).send(message, timeout_seconds=patience.try_seconds)
        except PipelineError as error:
            outcome = Outcome(name, without_secrets(str(error)), tried)
            if not (isinstance(error, AlertError) and error.again):
                break
        except Exception as error:  # noqa: BLE001 -- a notifier that nobody here wrote may raise anything
            outcome = Outcome(name, f"{type(error).__name__}: a defect of the notifier", tried)
            break
        else:
            return Outcome(name, None, tried)
    with suppress(PipelineError):  # the caller is told in any case
        append("notifier_failed", {"notifier": name, "error": outcome.error, "title": message.title})
    return outcome
