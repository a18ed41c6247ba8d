"""When to tell: the first alert at once, later ones together. A broken night is a handful of messages.

One queue for each notifier, since one may be down while another works. A queue is remembered as JSON between two
looks, so its size is bounded: of what happens beyond, only the number is kept.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.alerting.alert import Alert
from pipeline_defs.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

EVERY_VARIABLE: Final = "PIPELINE_ALERT_EVERY_SECONDS"
DEFAULT_EVERY_SECONDS: Final = 900.0

MAX_WAITING: Final = 20
_LONGEST_WAIT_SECONDS: Final = 3_600.0
_FIRST_WAIT_SECONDS: Final = 60.0


@dataclass(slots=True)
class Queue:
    """What one notifier has not been given yet.

    Parameters
    ----------
    waiting : list of Alert
        At most 20.
    left_out : int
        How many more.
    not_before : float
        Seconds since the epoch: nothing is sent earlier.
    failures : int
        In a row.

    """

    waiting: list[Alert] = field(default_factory=list)
    left_out: int = 0
    not_before: float = 0.0
    failures: int = 0

    def add(self, alerts: Iterable[Alert]) -> None:
        """Take alerts in, each once, without secrets: the queue is written down."""
        known = {alert.identity for alert in self.waiting}
        for alert in alerts:
            if alert.identity in known:
                continue
            if len(self.waiting) < MAX_WAITING:
                self.waiting.append(alert.cleaned())
                known.add(alert.identity)
            else:
                self.left_out += 1

    def is_due(self, now: float) -> bool:
        """Tell whether a message is to be sent now."""
        return bool(self.waiting) and now >= self.not_before

    def was_sent(self, now: float, every_seconds: float) -> None:
        """Begin anew: the next message waits."""
        self.waiting, self.left_out, self.failures = [], 0, 0
        self.not_before = now + every_seconds

    def has_failed(self, now: float) -> None:
        """Keep what was not taken, and wait longer each time, an hour at most."""
        wait_seconds = min(_FIRST_WAIT_SECONDS * 2**self.failures, _LONGEST_WAIT_SECONDS)
        self.failures += 1
        self.not_before = now + wait_seconds

    def plain(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        return {
            "waiting": [alert.plain() for alert in self.waiting],
            "left_out": self.left_out,
            "not_before": self.not_before,
            "failures": self.failures,
        }

    @classmethod
    def read(cls, plain: dict[str, Any]) -> Queue:
        """Give the queue that `plain` wrote.

        Raises
        ------
        ValueError
            If it is none.

        """
        try:
            waiting = [_alert(alert) for alert in plain["waiting"]]
            left_out, failures = int(plain["left_out"]), int(plain["failures"])
            not_before = float(plain["not_before"])
            if not math.isfinite(not_before):
                raise ValueError(f"not_before is {not_before}")  # with NaN, nothing would ever be due
            return cls(waiting, left_out, not_before, failures)
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"no queue of alerts: {type(error).__name__}: {error}") from None


def _alert(plain: dict[str, Any]) -> Alert:
    alert = Alert(**{**plain, "assets": tuple(plain.get("assets", ()))})
    texts = (getattr(alert, one.name) for one in fields(alert) if one.name != "assets")
    if not all(isinstance(text, str) for text in (*texts, *alert.assets)) or not (alert.kind and alert.subject):
        raise ValueError(f"no alert: {plain!r}")
    return alert


def every_seconds() -> float:
    """Read how long alerts are collected after a message.

    Raises
    ------
    ConfigurationError
        If ``PIPELINE_ALERT_EVERY_SECONDS`` is no number, or below zero.

    """
    text = os.environ.get(EVERY_VARIABLE) or ""
    try:
        seconds = float(text) if text else DEFAULT_EVERY_SECONDS
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ConfigurationError(
            f"{text!r} is no number of seconds", where=EVERY_VARIABLE, next_step="set it to, say, 900"
        )
    return seconds
