"""The daily login: a person logs in on Kite's page, and what the page gives back is turned into a session.

Zerodha forbids to automate the page. The session ends at 06:00 in India on the next morning.
"""

from __future__ import annotations

import datetime as dt
import os
from urllib.parse import parse_qs, urlsplit

from pipeline_defs.errors import ConfigurationError, PipelineError, SourceError
from pipeline_defs.sources.asking.credentials import read_credential, redact, remember_secret
from pipeline_defs.sources.zerodha.client import Client
from pipeline_defs.sources.zerodha.session import Session, SessionExpiredError, api_key, save_session

_TRY_SECONDS = 30.0


def login_url() -> str:
    """Give the page on which a person logs in; it needs ZERODHA_API_KEY."""
    return _client().login_url()


def log_in(request_token: str, now: dt.datetime | None = None) -> Session:
    """Turn what the login page gave into a session, and keep it in the session file.

    Parameters
    ----------
    request_token : str
        As in the address that the page leads to; the whole address will do.
    now : datetime.datetime, optional
        UTC; default the time.

    Returns
    -------
    Session

    Raises
    ------
    ConfigurationError
        If the key or the secret is missing, or the address holds no token.
    SourceError
        If Kite refuses.

    """
    token = _token_of(request_token)
    remember_secret(token)
    secret = read_credential("ZERODHA_API_SECRET", "the API secret of the Kite Connect app")
    client = _client()
    try:
        reply = client.exchange(token, secret)
    except SessionExpiredError as error:
        raise SourceError(
            redact(error.what).replace("the session", "the request token"),
            where="zerodha login",
            next_step="a request token serves once and for a few minutes: run 'pipeline kite-login' and log in again",
        ) from None
    except PipelineError as error:
        raise SourceError(
            redact(error.what),
            where="zerodha login",
            next_step="check ZERODHA_API_KEY and ZERODHA_API_SECRET, and log in again",
        ) from None
    finally:
        client.close()
    remember_secret(str(reply["access_token"]))
    session = Session(str(reply["access_token"]), now or dt.datetime.now(dt.UTC), str(reply.get("user_id", "")))
    save_session(session)
    return session


def _token_of(text: str) -> str:
    if "://" not in text:
        return text.strip()
    try:
        found = [token.strip() for token in parse_qs(urlsplit(text.strip()).query).get("request_token", [])]
    except ValueError:  # no address: a bracket that is not closed, say
        found = []
    if not found or not found[0]:
        raise ConfigurationError(
            "the address holds no request_token", next_step="give the address that the login page led to"
        )
    return found[0]


def _client() -> Client:
    return Client(api_key(), None, os.environ.get("PIPELINE_ZERODHA_ENDPOINT") or None, _TRY_SECONDS)
