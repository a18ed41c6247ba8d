"""The vendor's own client, watched so that a reply's status and headers can be seen.

The client tells of a refusal by the text of its body alone, and would try again by itself, out of the shared rate
limit's sight. So its retries are off, and its pool of connections (a public attribute) is wrapped: the wrapper keeps
status and headers, and ends a reply that trickles for longer than one try may take, which the client's own timeout,
counted anew with each packet, does not. Nothing of the client itself is replaced.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import ConfigurationError, PipelineError
from pipeline_defs.sources.asking.bounding import AnswerBound
from pipeline_defs.sources.asking.calling import TryAgainError
from pipeline_defs.sources.asking.credentials import guard_logger, read_credential
from pipeline_defs.sources.polygon.refusals import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from massive import RESTClient
    from urllib3 import PoolManager

VENDOR_URL: Final = "https://api.massive.com"
_KEY_FORM: Final = re.compile(r"[\x21-\x7e]+")
_CHUNK: Final = 1 << 16
_OK: Final = 200


def read_key() -> str:
    """Read the API key.

    Raises
    ------
    ConfigurationError
        If it is missing, or holds what no header can carry (its text would stand in the client's complaint).

    """
    key = read_credential("POLYGON_API_KEY", "Polygon's API key")
    if not _KEY_FORM.fullmatch(key):
        raise ConfigurationError(
            "the API key holds a blank, a line break or a letter outside ASCII",
            where="POLYGON_API_KEY",
            next_step="copy it again, without quotes and spaces around it",
        )
    return key


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; the client looks at `status` and `data`.

    Parameters
    ----------
    status : int
        Of HTTP.
    headers : mapping
        By name, in any case.
    data : bytes
        The whole body.

    """

    status: int
    headers: Mapping[str, str]
    data: bytes


class _WatchedPool:
    """The client's pool of connections: reads replies whole, in time, and remembers the last one."""

    def __init__(self, pool: PoolManager, seconds: float) -> None:
        self._pool = pool
        self._seconds = seconds
        self._bound = AnswerBound("Polygon")
        self.last: Reply | None = None

    def request(self, method: str, url: str, **options: Any) -> Reply:  # noqa: ANN401 -- passed on as it came
        self.last = None
        deadline = time.monotonic() + self._seconds
        response = self._pool.request(method, url, preload_content=False, **options)
        chunks: list[bytes] = []
        self._bound.begin()
        try:
            while chunk := response.read1(_CHUNK):
                chunks.append(chunk)
                self._bound.count(len(chunk))
                self._check_time(deadline)
        except BaseException:
            response.close()
            raise
        response.release_conn()
        self.last = Reply(response.status, response.headers, b"".join(chunks))
        return self.last

    def clear(self) -> None:
        self._pool.clear()

    def _check_time(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise TryAgainError(f"Polygon's reply was not complete after {self._seconds:g} s")


class Connection:
    """Does single requests through the vendor's client.

    Parameters
    ----------
    endpoint : str or None
        Where to ask; default the vendor's own address.
    try_seconds : float
        For one request.

    Raises
    ------
    ConfigurationError
        If the key is missing or unusable, or the endpoint is no address.

    """

    def __init__(self, endpoint: str | None, try_seconds: float) -> None:
        import urllib3  # noqa: PLC0415 -- heavy, and only asking needs it
        from massive import RESTClient  # noqa: PLC0415

        base = (endpoint or VENDOR_URL).rstrip("/")
        if not re.fullmatch(r"https?://[^\s?#]+", base):
            raise ConfigurationError(
                f"{base!r} is no address", where="PIPELINE_POLYGON_ENDPOINT", next_step=f"such as {VENDOR_URL}"
            )
        key = read_key()
        tame_loggers()
        self.client: RESTClient = RESTClient(
            key,
            base=base,
            retries=0,
            connect_timeout=try_seconds,
            read_timeout=try_seconds,
            pagination=False,
            # Without this the client would turn a 429 into an error that has neither status nor headers.
            connection_pool_kw={"retries": urllib3.Retry(total=0, redirect=False, status_forcelist=())},
        )
        self._pool = _WatchedPool(self.client.client, try_seconds)
        self.client.client = self._pool
        self._seconds = try_seconds

    def get(self, request: Callable[[RESTClient], object]) -> Reply:
        """Do one request.

        Parameters
        ----------
        request : callable
            Calls one method of the client it is given, with ``raw=True``.

        Returns
        -------
        Reply
            With status 200.

        Raises
        ------
        TryAgainError
            If the server is busy or in trouble, or the connection was lost or too slow.
        SourceError
            If the request was refused, or the answer is too large.
        ConfigurationError
            If the key was.

        """
        from massive.exceptions import BadResponse  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        try:
            request(self.client)
        except BadResponse:
            reply = self._seen()
            raise refusal(reply.status, reply.headers, reply.data.decode(errors="replace")) from None
        except UnicodeDecodeError:
            # The client decodes the text of a refusal, and some proxies' pages are not what they claim to be.
            reply = self._seen()
            raise refusal(reply.status, reply.headers, "") from None
        except HTTPError as error:
            raise _lost(error, self._seconds) from None
        return self._seen()

    def follow(self, path: str) -> Reply:
        """Get a further page by its path and query on the endpoint; as `get`.

        The client has no public way to one page: its own pagination goes on over damaged pages as if they were the end.
        """
        return self.get(lambda client: client._get(path, raw=True))  # noqa: SLF001

    def close(self) -> None:
        """Let go of connections."""
        self._pool.clear()

    def _seen(self) -> Reply:
        if self._pool.last is None:
            raise AssertionError("the client gave a reply that did not pass through its pool")
        return self._pool.last


def tame_loggers() -> None:
    """Keep the key out of what the client and its libraries log, and their lines off the standard output."""
    import logging  # noqa: PLC0415

    import massive  # noqa: F401, PLC0415 -- makes its loggers

    for name in ("RESTClient", "WebSocketClient"):
        logging.getLogger(name).handlers.clear()
    guard_logger("RESTClient", "WebSocketClient", "urllib3.connectionpool", "websockets.client")


def _lost(error: Exception, seconds: float) -> PipelineError:
    """Say what became of a connection, without the client's own text: it repeats the whole address."""
    from urllib3 import exceptions as kinds  # noqa: PLC0415

    cause = error.reason if isinstance(error, kinds.MaxRetryError) and error.reason is not None else error
    if isinstance(cause, kinds.LocationValueError):
        return ConfigurationError(
            "the address cannot be read", where="PIPELINE_POLYGON_ENDPOINT", next_step=f"such as {VENDOR_URL}"
        )
    if isinstance(cause, kinds.SSLError):
        return ConfigurationError(
            "Polygon's certificate was not accepted",
            next_step="check the machine's clock, and SSL_CERT_FILE if a proxy signs the traffic",
        )
    if isinstance(cause, kinds.NameResolutionError | kinds.NewConnectionError):
        return TryAgainError("Polygon cannot be reached", next_step="check the network; nothing was stored")
    if isinstance(cause, kinds.TimeoutError):
        return TryAgainError(f"Polygon did not answer within {seconds:g} s")
    if isinstance(cause, kinds.DecodeError):
        return TryAgainError("Polygon's reply cannot be unpacked")
    return TryAgainError(f"the connection to Polygon was lost in the middle of a reply ({type(cause).__name__})")
