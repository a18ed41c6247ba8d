"""One thing that went wrong, and the message made of several. Secrets are taken out here, once for all notifiers."""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.sources.asking.credentials import REDACTED, redact

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LINES: Final = 8
MAX_CHARACTERS: Final = 1_000
"""Of an error: its beginning says what, where and what next; the rest is in the run."""

_USER_INFO: Final = re.compile(r"(?<=://)[^/\s@]+@")
_QUERY_SECRET: Final = re.compile(
    r"(?i)([?&;](?:[a-z_-]*(?:key|token|secret|password|passwd|signature|sig|auth|code)[a-z_-]*)=)[^&\s\"'<>]+"
)
_HEADER_SECRET: Final = re.compile(r"(?i)\b(authorization\s*[:=]\s*(?:bearer|basic|token)?\s*)[^\s,\"']+")


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that went wrong.

    Parameters
    ----------
    kind : str
        ``run failed``, ``check failed``, ``stale`` or ``test``.
    subject : str
        A job, or an asset key with slashes and the check's name.
    partition : str, default ""
        Which, if it has one.
    assets : tuple of str
        What the run was to make.
    error : str, default ""
        What was wrong; `of` keeps its first lines.
    next_step : str, default ""
        What to do about it.
    run_id : str, default ""
        The run, for whoever looks it up.
    url : str, default ""
        Where it is shown.
    at : str, default ""
        When, UTC, ISO 8601.

    """

    kind: str
    subject: str
    partition: str = ""
    assets: tuple[str, ...] = ()
    error: str = ""
    next_step: str = ""
    run_id: str = ""
    url: str = ""
    at: str = ""

    @property
    def identity(self) -> str:
        """Tell it from every other alert, in 16 letters: one a run, one a check of a run, one each time it is stale."""
        parts = (self.kind, self.subject, self.partition, self.run_id or self.at)
        return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]

    @property
    def title(self) -> str:
        """One line."""
        return f"{self.kind}: {self.subject}" + (f" [{self.partition}]" if self.partition else "")

    def cleaned(self) -> Alert:
        """Give the alert without secrets, and with the beginning of its error alone."""
        told = {name: _cleaned(value) for name, value in asdict(self).items()}
        return Alert(**{**told, "error": _beginning(told["error"])})

    def plain(self) -> dict[str, Any]:
        """Give its fields, for JSON; empty ones are left out."""
        return {name: value for name, value in asdict(self).items() if value}

    def text(self) -> str:
        """Give all of it for people."""
        lines = [self.title]
        lines += [f"  {line}" for line in self.error.splitlines()]
        labelled = {
            "next": self.next_step,
            "assets": ", ".join(self.assets),
            "run": self.url or self.run_id,
            "at": self.at,
        }
        lines += [f"  {label}: {value}" for label, value in labelled.items() if value]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Message:
    """What a notifier is given to send.

    Parameters
    ----------
    title : str
        One line, without line breaks.
    text : str
        Plain text.
    alerts : tuple of Alert
        What it is made of.
    left_out : int, default 0
        So many more happened, of which only the number is known.

    """

    title: str
    text: str
    alerts: tuple[Alert, ...]
    left_out: int = 0

    def plain(self) -> dict[str, Any]:
        """Give its fields, for JSON."""
        told = {"title": self.title, "text": self.text, "alerts": [alert.plain() for alert in self.alerts]}
        return {**told, "left_out": self.left_out} if self.left_out else told


def compose(alerts: Sequence[Alert], left_out: int = 0) -> Message:
    """Make one message of what went wrong.

    Parameters
    ----------
    alerts : sequence of Alert
        At least one.
    left_out : int, default 0
        How many more there were.

    Returns
    -------
    Message
        Without any secret that is known or looks like one.

    """
    clean = tuple(alert.cleaned() for alert in alerts)
    total = len(clean) + left_out
    title = clean[0].title if total == 1 else f"{total} alerts, the first: {clean[0].title}"
    parts = [alert.text() for alert in clean]
    if left_out:
        parts.append(f"and {left_out} more: look at the runs themselves")
    return Message(" ".join(title.split()), "\n\n".join(parts), clean, left_out)


def without_secrets(text: str) -> str:
    """Give a text without secrets: those that this process has read, and what looks like one in a URL or a header."""
    text = _USER_INFO.sub(f"{REDACTED}@", redact(text))
    text = _QUERY_SECRET.sub(rf"\g<1>{REDACTED}", text)
    return _HEADER_SECRET.sub(rf"\g<1>{REDACTED}", text)


def _cleaned(value: Any) -> Any:  # noqa: ANN401 -- text, or several texts
    return without_secrets(value) if isinstance(value, str) else tuple(without_secrets(one) for one in value)


def _beginning(text: str) -> str:
    lines = text.strip().splitlines()
    kept = "\n".join(lines[:MAX_LINES])[:MAX_CHARACTERS]
    return kept if kept == text.strip() else f"{kept} …"
