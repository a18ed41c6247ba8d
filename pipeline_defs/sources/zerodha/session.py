"""The access token: of the environment, or of the session file that the daily login writes; it ends at 06:00 in India.

A token that Kite has refused is marked in the file, so that the other runs of a night do not ask with it again.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.markets.sessions import IST
from pipeline_defs.settings import load_settings
from pipeline_defs.sources.asking.credentials import read_credential, remember_secret

if TYPE_CHECKING:
    from pathlib import Path

TOKEN_VARIABLE: Final = "ZERODHA_ACCESS_TOKEN"  # noqa: S105 -- the name of a variable
LOGIN_STEP: Final = (
    "log in at https://kite.zerodha.com/connect/login ('pipeline kite-login' prints the whole address)"
    " and run 'pipeline kite-login --request-token …'"
)
_ENDS: Final = dt.time(6)
_PRIVATE: Final = 0o600


class SessionExpiredError(SourceError):
    """Kite wants a person to log in; nothing else helps."""


@dataclass(frozen=True, slots=True)
class Session:
    """A login.

    Parameters
    ----------
    access_token : str
        Sent with every request.
    logged_in_at : datetime.datetime or None
        UTC; None when it came from the environment.
    user : str, default ""
        Whose.
    refused_at : datetime.datetime or None
        When Kite refused the token; UTC.

    """

    access_token: str = field(repr=False)
    logged_in_at: dt.datetime | None = None
    user: str = ""
    refused_at: dt.datetime | None = None

    @property
    def ends_at(self) -> dt.datetime | None:
        """The first 06:00 in India after the login; None when that is not known."""
        if self.logged_in_at is None:
            return None
        local = self.logged_in_at.astimezone(IST)
        ends = dt.datetime.combine(local.date(), _ENDS, IST)
        return ends if local < ends else ends + dt.timedelta(days=1)


def api_key() -> str:
    """Read the API key."""
    return read_credential("ZERODHA_API_KEY", "the API key of the Kite Connect app")


def session_path() -> Path:
    """Where the session file lies."""
    return load_settings().home / "zerodha-session.json"


def current_session(now: dt.datetime) -> Session:
    """Give the session to ask with.

    Parameters
    ----------
    now : datetime.datetime
        UTC.

    Returns
    -------
    Session

    Raises
    ------
    ConfigurationError
        If nobody has logged in.
    SessionExpiredError
        If the file's session is over, which is known without asking.

    """
    if os.environ.get(TOKEN_VARIABLE) or os.environ.get(f"{TOKEN_VARIABLE}_FILE"):
        return Session(read_credential(TOKEN_VARIABLE, "the access token of Kite"))
    session = _read(session_path())
    if session is None:
        raise ConfigurationError("there is no Kite session", where=str(session_path()), next_step=LOGIN_STEP)
    remember_secret(session.access_token)
    if session.refused_at is not None or (session.ends_at is not None and now >= session.ends_at):
        raise expired(session, now)
    return session


def expired(session: Session, now: dt.datetime) -> SessionExpiredError:
    """Say why a session is over.

    Parameters
    ----------
    session : Session
        One whose time is up, or that Kite refused.
    now : datetime.datetime
        UTC.

    Returns
    -------
    SessionExpiredError

    """
    if session.ends_at is None:
        what = f"Kite session expired (tokens end at 06:00 IST, or with the next login); {TOKEN_VARIABLE} is not valid"
        # It goes before the session file, so that a login alone would change nothing.
        return SessionExpiredError(what, next_step=f"{LOGIN_STEP}; unset {TOKEN_VARIABLE}, or set it to the new token")
    if now >= session.ends_at:
        ended = session.ends_at.astimezone(IST)
        day = "" if ended.date() == now.astimezone(IST).date() else f" on {ended.date()}"
        what = f"Kite session expired (since 06:00 IST{day})"
    else:
        begun = (session.logged_in_at or now).astimezone(IST)
        what = f"Kite session of {begun:%H:%M} IST is no longer valid (another login ends it)"
    return SessionExpiredError(what, next_step=LOGIN_STEP)


def save_session(session: Session) -> Path:
    """Write the session file, for its owner only.

    Returns
    -------
    Path

    """
    path = session_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "access_token": session.access_token,
        "logged_in_at": _spelled(session.logged_in_at),
        "user": session.user,
        "refused_at": _spelled(session.refused_at),
    }
    staging = path.with_suffix(f".{os.getpid()}.tmp")
    staging.unlink(missing_ok=True)
    # Made with its mode: a file that is narrowed afterwards can be read for a moment.
    with os.fdopen(os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "w", encoding="utf-8") as file:
        json.dump(content, file)
    staging.replace(path)
    return path


def mark_refused(session: Session, now: dt.datetime) -> None:
    """Remember that Kite refused a session, unless somebody has logged in since."""
    kept = _read(session_path())
    if kept is not None and kept.access_token == session.access_token and kept.refused_at is None:
        save_session(Session(kept.access_token, kept.logged_in_at, kept.user, now))


def _read(path: Path) -> Session | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        token, begun, user = content["access_token"], content["logged_in_at"], content.get("user", "")
        if not isinstance(token, str) or not token:
            raise ValueError("the access token is empty")  # noqa: TRY301 -- one message for all that can be wrong
        refused = content.get("refused_at")
        return Session(token, _instant(begun), str(user), None if refused is None else _instant(refused))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"cannot be read: {error.strerror}", where=str(path), next_step=LOGIN_STEP) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        # The text may hold the token: it is not shown.
        raise ConfigurationError("is no session file of ours", where=str(path), next_step=LOGIN_STEP) from None


def _instant(text: str) -> dt.datetime:
    instant = dt.datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("without a zone")
    return instant.astimezone(dt.UTC)


def _spelled(instant: dt.datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
