"""HTTP POST of JSON with a field ``text``: Slack, Mattermost, Teams' workflows, or a program of one's own.

The address often carries the permission to write there, so it is a secret: no message, log or error shows it.
"""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlsplit

from pipeline_defs.alerting.notifier import AlertError, Notifier
from pipeline_defs.encrypted import check_endpoint
from pipeline_defs.errors import ConfigurationError
from pipeline_defs.sources.asking.credentials import read_credential, remember_secret

if TYPE_CHECKING:
    from pipeline_defs.alerting.alert import Message

URL_VARIABLE: Final = "PIPELINE_ALERT_WEBHOOK_URL"

_SHORTEST_TOKEN: Final = 12
"""A shorter path is a word such as ``alerts``, and hiding it would make messages unreadable."""

_TOO_MANY: Final = 429
_SERVER_ERRORS: Final = 500


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """What is sent to one address does not go to another."""

    def redirect_request(self, *_args: Any, **_more: Any) -> None:  # noqa: ANN401 -- the library's own signature
        return None


class WebhookNotifier(Notifier):
    """Posts each message to one address.

    Raises
    ------
    ConfigurationError
        If ``PIPELINE_ALERT_WEBHOOK_URL`` (or ``…_FILE``) is missing, or is no http address.

    """

    name: ClassVar[str] = "webhook"

    def __init__(self) -> None:
        self._url = read_credential(URL_VARIABLE, "the webhook's address")
        try:
            parts = urlsplit(self._url)
            is_address = parts.scheme in {"http", "https"} and bool(parts.hostname)
        except ValueError:
            is_address = False
        if not is_address:
            raise ConfigurationError(
                "the address does not begin with http:// or https:// and a host",
                where=URL_VARIABLE,
                next_step="copy the whole address",
            )
        check_endpoint(self._url, URL_VARIABLE)
        for part in (parts.path.strip("/"), parts.query):
            if len(part) >= _SHORTEST_TOKEN:
                remember_secret(part)
        self._opener = urllib.request.build_opener(_NoRedirect())

    def send(self, message: Message, *, timeout_seconds: float) -> None:
        """Post one message."""
        request = urllib.request.Request(  # noqa: S310 -- the scheme was checked
            self._url,
            data=json.dumps(message.plain(), ensure_ascii=False).encode(),
            headers={"Content-Type": "application/json; charset=utf-8", "User-Agent": "market-data-pipeline"},
            method="POST",
        )
        try:
            with self._opener.open(request, timeout=timeout_seconds):
                return
        except urllib.error.HTTPError as error:
            again = error.code == _TOO_MANY or error.code >= _SERVER_ERRORS
            raise self._error(f"the webhook answered {error.code}", again=again) from None
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise self._error("the webhook's certificate is not trusted", again=False) from None
            raise self._error("the webhook cannot be reached", again=True) from None
        except (OSError, http.client.HTTPException) as error:
            raise self._error(f"the webhook cannot be reached: {type(error).__name__}", again=True) from None

    @staticmethod
    def _error(what: str, *, again: bool) -> AlertError:
        return AlertError(what, where=URL_VARIABLE, next_step="'pipeline alerts --test' tries the address", again=again)
