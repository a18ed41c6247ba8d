"""One request to a vendor: its turn under the rate limit, retries where they help, and an end to waiting.

An adapter does the request and says, by the error it raises, whether asking again can help: `TryAgainError` is tried
again, everything else is not. Whatever a client raises by itself is the adapter's to translate; what it does not know
becomes an error that names the client's own, without its text's secrets.
"""

from __future__ import annotations

import datetime as dt
import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import PipelineError, SourceError, UnansweredError
from pipeline_defs.sources.asking.credentials import redact

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.sources.asking.limiting import SharedLimits


class TryAgainError(SourceError):
    """Asking again may help: too many requests, a lost connection, a server in trouble, a reply cut short.

    Parameters
    ----------
    what : str
        What was wrong.
    wait_seconds : float or None
        How long the vendor asked to wait (``Retry-After``); None when it did not say.

    """

    def __init__(
        self, what: str, *, where: str | None = None, next_step: str | None = None, wait_seconds: float | None = None
    ) -> None:
        super().__init__(what, where=where, next_step=next_step)
        self.wait_seconds = wait_seconds


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to try.

    Parameters
    ----------
    tries : int, default 5
        Requests in all.
    total_seconds : float, default 300
        From the first request to the last, waits included.
    try_seconds : float, default 30
        For one request; adapters hand it to their client.
    first_wait_seconds : float, default 1
        Before the second request; doubled each time, and varied, unless the vendor says how long.

    """

    tries: int = 5
    total_seconds: float = 300.0
    try_seconds: float = 30.0
    first_wait_seconds: float = 1.0


_LONGEST_WAIT_SECONDS: Final = 60.0
_LONGEST_ASKED_SECONDS: Final = 86_400.0
_SECONDS: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?", re.ASCII)


def retry_after(told: str | None, now: dt.datetime | None = None) -> float | None:
    """Read the header ``Retry-After``, of whichever vendor.

    Parameters
    ----------
    told : str or None
        Seconds, decimals allowed, or a date of HTTP; None when the header is missing.
    now : datetime.datetime, optional
        The time, with a zone, that a date is compared with; default the clock's.

    Returns
    -------
    float or None
        Seconds from zero, for what is past, to a day; None for what is neither. A date without a zone is one of UTC,
        since HTTP knows no other (RFC 9110, section 5.6.7).

    """
    text = (told or "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), _LONGEST_ASKED_SECONDS)
    try:
        until = parsedate_to_datetime(text)
        if until.tzinfo is None:
            until = until.replace(tzinfo=dt.UTC)
        wait = (until - (now or dt.datetime.now(dt.UTC))).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):  # whatever a date that is none stumbles over
        return None
    return min(max(wait, 0.0), _LONGEST_ASKED_SECONDS)


class Caller:
    """Does requests.

    Parameters
    ----------
    limits : SharedLimits
        Of the source.
    patience : Patience
        How long to try.

    """

    def __init__(self, limits: SharedLimits, patience: Patience) -> None:
        from stamina.instrumentation import LoggingOnRetryHook, set_on_retry_hooks  # noqa: PLC0415 -- as below

        set_on_retry_hooks([LoggingOnRetryHook])  # its default prints where the command line prints results
        self._limits = limits
        self.patience = patience

    def __call__[T](self, request: Callable[[], T], where: str, group: str = "history") -> T:
        """Do a request.

        Parameters
        ----------
        request : callable
            Without arguments; gives the whole reply or raises.
        where : str
            Names it in messages.
        group : str, default "history"
            Which rate limit it counts for.

        Returns
        -------
        object
            What `request` gave.

        Raises
        ------
        UnansweredError
            If it was tried often or long enough.
        SourceError
            If it was refused; no secret is in its text, nor in an error behind it.

        """
        import stamina  # noqa: PLC0415 -- only asking needs it

        patience = self.patience
        deadline = time.monotonic() + patience.total_seconds
        tries = 0

        def wait_or_stop(error: Exception) -> bool | float:
            if not isinstance(error, TryAgainError):
                return False
            if error.wait_seconds is None:
                return time.monotonic() < deadline
            return error.wait_seconds if time.monotonic() + error.wait_seconds < deadline else False

        try:
            for attempt in stamina.retry_context(
                on=wait_or_stop,
                attempts=patience.tries,
                timeout=patience.total_seconds,
                wait_initial=patience.first_wait_seconds,
                wait_max=_LONGEST_WAIT_SECONDS,
                wait_jitter=patience.first_wait_seconds,
            ):
                with attempt:
                    self._limits.wait(group, max(deadline - time.monotonic(), 0.001))
                    tries += 1
                    return _translated(request, where)
        except TryAgainError as error:
            spent = patience.total_seconds - (deadline - time.monotonic())
            raise UnansweredError(
                f"{error.what}; gave up after {tries} {'try' if tries == 1 else 'tries'} / {spent:.0f} s",
                where=where,
                next_step=error.next_step or "nothing was stored; run the partition again later",
            ) from None
        raise AssertionError("a retry context that neither gave nor raised")

    def turn(self, group: str = "history") -> None:
        """Wait for one more turn: for a request that needs several pages.

        Parameters
        ----------
        group : str, default "history"
            Which rate limit it counts for.

        Raises
        ------
        SourceError
            If the turn does not come within the patience.

        """
        self._limits.wait(group, self.patience.total_seconds)


def _translated[T](request: Callable[[], T], where: str) -> T:
    """Let errors of ours pass, free of secrets; name those of a client that its adapter does not know."""
    try:
        return request()
    except TryAgainError as error:
        raise TryAgainError(
            redact(error.what), where=where, next_step=error.next_step, wait_seconds=error.wait_seconds
        ) from None
    except PipelineError as error:
        place = where if error.where is None else redact(error.where)
        raise type(error)(redact(error.what), where=place, next_step=error.next_step) from None
    except Exception as error:  # noqa: BLE001 -- a client may raise anything; its traceback may hold a key
        raise SourceError(
            f"the client failed with {type(error).__name__}: {redact(str(error))[:500]}",
            where=where,
            next_step="nothing was stored; if it happens again, report it with this message",
        ) from None
