"""Kite's own client, giving its replies unread and its errors in our words.

The client reads each candle by itself, with a parser that guesses, and turns prices of the instruments into floats;
both are replaced by handing its raw reply on. What it forgets of a reply, the status and ``Retry-After``, is noted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from pipeline_defs.errors import ConfigurationError, PipelineError, SchemaDriftError, SourceError
from pipeline_defs.sources.asking.bounding import AnswerBound
from pipeline_defs.sources.asking.calling import TryAgainError, retry_after
from pipeline_defs.sources.asking.credentials import guard_logger
from pipeline_defs.sources.zerodha.session import SessionExpiredError

if TYPE_CHECKING:
    from collections.abc import Callable

_TOO_MANY, _SERVER_FAULTS, _REFUSED = 429, 500, 400
_SHOWN = 200
_UNKNOWN = "invalid token"
_NOT_SERVED = "it is in the dump, but Kite serves it no more: give it a last_date in the universe"


@dataclass(slots=True)
class _Reply:
    """What the client forgets of the last reply."""

    status: int | None = None
    wait_seconds: float | None = None

    @property
    def is_passing(self) -> bool:
        """Whether the same request may be answered later."""
        return self.status is not None and (self.status == _TOO_MANY or self.status >= _SERVER_FAULTS)


class Client:
    """Asks Kite.

    Parameters
    ----------
    api_key, access_token : str
        Credentials; the token is empty before the login.
    endpoint : str or None
        Where to ask in place of Kite's own address.
    try_seconds : float
        How long the server may be silent.

    """

    def __init__(self, api_key: str, access_token: str | None, endpoint: str | None, try_seconds: float) -> None:
        guard_logger("kiteconnect", "kiteconnect.connect", "urllib3", "urllib3.connectionpool")
        self._kite = _raw_client()(api_key, access_token=access_token, root=endpoint, timeout=try_seconds)
        self._reply = _Reply()
        self._kite.reqsession.hooks["response"].append(self._note)
        AnswerBound("Kite").guard(self._kite.reqsession)

    def login_url(self) -> str:
        """Give the page on which a person logs in."""
        return str(self._kite.login_url())

    def exchange(self, request_token: str, secret: str) -> dict[str, Any]:
        """Turn the token that the login page gave into a session; Kite's reply."""
        reply = self._do(lambda: self._kite.generate_session(request_token, secret))
        if not isinstance(reply, dict) or not reply.get("access_token"):
            raise SchemaDriftError("the reply to the login lacks 'access_token'", where="zerodha login")
        return reply

    def instruments(self) -> bytes:
        """Fetch the instruments dump of all exchanges, as it is."""
        reply = self._do(self._kite.instruments)
        if not isinstance(reply, bytes):
            raise SchemaDriftError(f"the instruments came as {type(reply).__name__}, expected CSV")
        return reply

    def candles(self, token: str, first: str, last: str, interval: str, *, with_interest: bool) -> object:
        """Ask for history.

        Parameters
        ----------
        token : str
            Instrument.
        first, last : str
            ``YYYY-MM-DD HH:MM:SS`` in India, both inclusive: text, since the client drops a datetime's zone.
        interval : str
            Kite's word.
        with_interest : bool
            Whether open interest is wanted.

        Returns
        -------
        object
            What the reply holds under ``candles``.

        """
        reply = self._do(lambda: self._kite.historical_data(token, first, last, interval, oi=with_interest))
        if not isinstance(reply, dict) or "candles" not in reply:
            got = ", ".join(map(str, reply)) if isinstance(reply, dict) else type(reply).__name__
            raise SchemaDriftError(f"the reply lacks 'candles', got {got or 'nothing'}")
        return reply["candles"]

    def close(self) -> None:
        """Let go of connections."""
        self._kite.reqsession.close()

    def _note(self, response: Any, *_: object, **__: object) -> None:  # noqa: ANN401 -- of a library without types
        self._reply = _Reply(response.status_code, retry_after(response.headers.get("Retry-After")))

    def _do(self, request: Callable[[], object]) -> object:
        self._reply = _Reply()
        try:
            return request()
        except PipelineError:
            raise
        except Exception as error:  # noqa: BLE001 -- the client raises whatever its code stumbles over
            raise self._translated(error) from None

    def _translated(self, error: Exception) -> PipelineError:
        """Say in our words what the client met."""
        return _of_connection(error) or self._of_refusal(error) or self._of_muddle(error)

    def _of_refusal(self, error: Exception) -> PipelineError | None:
        """Translate what Kite itself said."""
        from kiteconnect import exceptions as kite  # noqa: PLC0415 -- with the client

        said, status = str(error)[:_SHOWN], self._reply.status
        if isinstance(error, kite.TokenException):
            return SessionExpiredError(f"Kite refused the session ({status} {said})")
        if isinstance(error, kite.PermissionException):
            return SourceError(
                f"Kite refused for want of permission ({status} {said})",
                next_step="check on the developer console that the app's plan includes historical data",
            )
        if self._reply.is_passing:
            return self._passing(said if isinstance(error, kite.KiteException) else "")
        if isinstance(error, kite.DataException) and (status is None or status < _REFUSED):
            return TryAgainError(f"Kite answered with something that is no JSON ({said[:80]})")
        if isinstance(error, kite.KiteException):
            step = _NOT_SERVED if _UNKNOWN in said else None
            return SourceError(f"Kite refused ({status} {said})", next_step=step)
        return None

    def _of_muddle(self, error: Exception) -> PipelineError:
        """Translate what the client stumbled over in a reply that it does not know."""
        status = self._reply.status
        if status is not None and status >= _REFUSED:
            return SourceError(f"Kite refused with HTTP {status}, in a form that its client cannot read")
        if isinstance(error, KeyError) and error.args == ("content-type",):
            return TryAgainError("Kite's reply has no content type: something on the way has answered for it")
        stumble = f"{type(error).__name__} {str(error)[:_SHOWN]}"
        return SchemaDriftError(f"Kite's reply has another shape: its client stumbled over {stumble}")

    def _passing(self, said: str) -> TryAgainError:
        if self._reply.status == _TOO_MANY:
            return TryAgainError(f"Kite rate limit (429 {said})", wait_seconds=self._reply.wait_seconds)
        page = f": {json.dumps(said[:80])}" if said else ""
        return TryAgainError(
            f"Kite is in trouble (HTTP {self._reply.status}{page})", wait_seconds=self._reply.wait_seconds
        )


def _of_connection(error: Exception) -> PipelineError | None:
    import requests  # noqa: PLC0415 -- with the client

    if isinstance(error, requests.exceptions.Timeout):
        return TryAgainError("Kite did not answer in time")
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.MissingSchema):
        return ConfigurationError("the endpoint is no address", where="PIPELINE_ZERODHA_ENDPOINT")
    if isinstance(error, requests.exceptions.RequestException):
        return TryAgainError(f"the connection to Kite broke ({type(error).__name__})")
    return None


@cache
def _raw_client() -> Any:  # noqa: ANN401 -- a class of a library without types
    from kiteconnect import KiteConnect  # noqa: PLC0415 -- heavy: it brings its streaming reactor along

    class RawKite(KiteConnect):  # type: ignore[misc]
        """The client without its own reading of history and instruments."""

        def _format_historical(self, data: object) -> object:
            return data

        def _parse_instruments(self, data: object) -> object:
            return data

    return RawKite
