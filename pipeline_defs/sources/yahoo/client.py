"""yfinance's session: it gets Yahoo's cookie and crumb, and looks like a browser; replies are given as they came.

The client's own frames are not used: they fill a missing volume with zero, keep one of two bars of one time, and leave
bars out without a word. Its data layer is one object for the whole process and keeps cookies in the user's home. Here
each source has its own object, and the cookies lie in the pipeline's home, where several processes may share them.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pipeline_defs.settings import load_settings
from pipeline_defs.sources.asking.bounding import AnswerBound
from pipeline_defs.sources.asking.calling import TryAgainError, retry_after
from pipeline_defs.sources.asking.credentials import guard_logger

if TYPE_CHECKING:
    from collections.abc import Mapping

HOST: Final = "https://query2.finance.yahoo.com"
_COOKIES: Final = "curlCffi"
"""Under this name yfinance keeps the cookies of this kind of session."""
_LOCK: Final = threading.Lock()
_DATA_PATHS: Final = ("/v8/", "/v1/finance/")
_REFUSAL: Final = 400
COOKIE_REFUSALS: Final = frozenset({401, 403})
"""Statuses after which the client tries once more with cookies got in another way."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Parameters
    ----------
    status : int
        Of HTTP.
    text : str
        The body, whole.
    wait_seconds : float or None
        How long Yahoo asked to wait (``Retry-After``); None when it did not say.

    """

    status: int
    text: str
    wait_seconds: float | None = None


class _AnsweredError(Exception):
    """Carries a reply past the client, which would ask again at once with other cookies."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class YahooClient:
    """Asks Yahoo.

    Parameters
    ----------
    endpoint : str or None
        Where to ask in place of Yahoo's own hosts.
    try_seconds : float
        How long one request may take.

    """

    def __init__(self, endpoint: str | None, try_seconds: float) -> None:
        guard_logger("yfinance")
        self._seconds = try_seconds
        self._session = _new_session(endpoint, try_seconds)
        self._data = _data_of_its_own(self._session)

    def get(self, path: str, params: Mapping[str, str | int]) -> Reply:
        """Do a request; a cookie and a crumb are fetched before it where they are missing.

        Parameters
        ----------
        path : str
            Of the URL.
        params : mapping
            Of its query.

        Returns
        -------
        Reply
            Whatever the status.

        Raises
        ------
        TryAgainError
            If no whole reply came in time.

        """
        from curl_cffi.requests import exceptions  # noqa: PLC0415 -- only asking needs it
        from peewee import PeeweeException  # noqa: PLC0415

        try:
            response = self._data.get(f"{HOST}{path}", params=dict(params), timeout=self._seconds)
        except _AnsweredError as answered:
            return answered.reply
        except exceptions.Timeout:
            raise TryAgainError(f"Yahoo did not answer within {self._seconds:g} s") from None
        except exceptions.RequestException as error:
            raise TryAgainError(
                f"the connection to Yahoo failed, or broke off before the reply was whole ({type(error).__name__})"
            ) from None
        except PeeweeException as error:
            raise TryAgainError(
                f"yfinance's file of cookies could not be used ({type(error).__name__})",
                next_step=f"delete {cache_folder()} if it happens again",
            ) from None
        return _reply_of(response)

    def forget_cookies(self) -> None:
        """Let the next client begin with a cookie and a crumb of its own."""
        from yfinance import cache  # noqa: PLC0415 -- only asking needs it

        with suppress(Exception):  # a file that cannot be written holds nothing worth keeping
            cache.get_cookie_cache().store(_COOKIES, None)

    def close(self) -> None:
        """Let go of the connections."""
        self._session.close()


def cache_folder() -> str:
    """Where yfinance keeps its cookies."""
    return str(load_settings().home / "yahoo-cache")


def _reply_of(response: Any) -> Reply:  # noqa: ANN401 -- the client has no types
    return Reply(int(response.status_code), str(response.text), retry_after(response.headers.get("Retry-After")))


def _new_session(endpoint: str | None, try_seconds: float) -> Any:  # noqa: ANN401 -- the class is made below
    from curl_cffi import requests  # noqa: PLC0415 -- only asking needs it
    from curl_cffi.curl import CURL_WRITEFUNC_ERROR  # noqa: PLC0415
    from curl_cffi.requests import exceptions  # noqa: PLC0415

    bound = AnswerBound("Yahoo")

    class YahooSession(requests.Session[Any]):
        """Asks elsewhere if told so, never longer than it may, and not twice where other cookies are no remedy."""

        def request(self, method: Any, url: str, *args: Any, **options: Any) -> Any:  # noqa: ANN401 -- as it is there
            asked = urlsplit(url)
            if endpoint is not None:
                url = f"{endpoint.rstrip('/')}{asked.path}" + (f"?{asked.query}" if asked.query else "")
            # The client gives its own requests, for a cookie say, 30 s each.
            options["timeout"] = try_seconds
            portions: list[bytes] = []
            bound.begin()

            def take(portion: bytes) -> int:
                portions.append(portion)
                return CURL_WRITEFUNC_ERROR if bound.exceeds(len(portion)) else len(portion)

            options["content_callback"] = take
            try:
                response = super().request(method, url, *args, **options)
            except exceptions.RequestException:
                bound.count(0)
                raise
            response.content = b"".join(portions)
            is_data = asked.path.startswith(_DATA_PATHS)
            if is_data and response.status_code >= _REFUSAL and response.status_code not in COOKIE_REFUSALS:
                raise _AnsweredError(_reply_of(response))
            return response

    return YahooSession(impersonate="chrome")


def _data_of_its_own(session: Any) -> Any:  # noqa: ANN401 -- the client has no types
    from yfinance import cache  # noqa: PLC0415 -- only asking needs it
    from yfinance.data import SingletonMeta, YfData  # noqa: PLC0415

    folder = cache_folder()
    with _LOCK:
        if cache._CookieDBManager.get_location() != folder:  # noqa: SLF001 -- there is no public way to ask
            cache.set_cache_location(folder)
            # Else the client goes on with the file that it has open.
            cache._CookieCacheManager._Cookie_cache = None  # noqa: SLF001
            cache._TzCacheManager._tz_cache = None  # noqa: SLF001
        SingletonMeta._instances.pop(YfData, None)  # noqa: SLF001 -- else it gives the one of another source
        return YfData(session=session)
