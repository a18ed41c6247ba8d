"""E-mail by SMTP. A password is sent only through TLS."""

from __future__ import annotations

import os
import smtplib
import ssl
from email.message import EmailMessage
from typing import TYPE_CHECKING, ClassVar, Final

from pipeline_defs.alerting.notifier import AlertError, Notifier
from pipeline_defs.errors import ConfigurationError, showable
from pipeline_defs.sources.asking.credentials import read_credential

if TYPE_CHECKING:
    from pipeline_defs.alerting.alert import Message

PREFIX: Final = "PIPELINE_ALERT_SMTP_"
_HIGHEST_PORT: Final = 0xFFFF
_PORTS: Final = {"starttls": 587, "tls": 465, "none": 25}
_TEMPORARY: Final = range(400, 500)
"""Replies by which a mail server asks to be tried again later."""


class MailNotifier(Notifier):
    """Sends each message as one mail, to all recipients.

    Raises
    ------
    ConfigurationError
        If a variable is missing or wrong; it is named.

    """

    name: ClassVar[str] = "mail"

    def __init__(self) -> None:
        self._host = _needed("HOST", "the mail server's name")
        self._security = os.environ.get(f"{PREFIX}SECURITY") or "starttls"
        if self._security not in _PORTS:
            raise ConfigurationError(
                f"{self._security!r} is none of {', '.join(_PORTS)}",
                where=f"{PREFIX}SECURITY",
                next_step="leave it out",
            )
        self._port = _port(os.environ.get(f"{PREFIX}PORT") or "", _PORTS[self._security])
        self._user = os.environ.get(f"{PREFIX}USER") or ""
        self._password = read_credential(f"{PREFIX}PASSWORD", "the mail server's password") if self._user else ""
        self._from = _needed("FROM", "the sender's address")
        self._to = [one.strip() for one in _needed("TO", "the recipients, separated by commas").split(",")]
        self._authorities = os.environ.get(f"{PREFIX}CA_FILE") or None
        if self._user and self._security == "none":
            raise ConfigurationError(
                "a password would be sent in the clear",
                where=f"{PREFIX}SECURITY",
                next_step="use starttls or tls, or leave the user out",
            )

    def send(self, message: Message, *, timeout_seconds: float) -> None:
        """Send one mail; anything but a whole delivery to everybody is an error."""
        mail = EmailMessage()
        # The library refuses a header with an end of line: a name of strangers must not keep an alert from being sent.
        mail["Subject"], mail["From"] = showable(message.title, one_line=True), self._from
        mail["To"] = ", ".join(self._to)
        mail.set_content(showable(message.text))
        try:
            refused = self._deliver(mail, timeout_seconds)
        except smtplib.SMTPRecipientsRefused as error:
            codes = {code for code, _ in error.recipients.values()}
            raise self._error("every recipient was refused", again=codes <= set(_TEMPORARY)) from None
        except smtplib.SMTPResponseException as error:
            raise self._error(f"the server answered {error.smtp_code}", again=error.smtp_code in _TEMPORARY) from None
        except smtplib.SMTPNotSupportedError:
            raise self._error("the server does not offer what is needed (STARTTLS, login)", again=False) from None
        except ssl.SSLCertVerificationError as error:
            raise self._error(f"its certificate is not trusted: {error.verify_message}", again=False) from None
        except (OSError, smtplib.SMTPException) as error:
            raise self._error(f"cannot be reached: {type(error).__name__}", again=True) from None
        if refused:
            raise self._error(f"{len(refused)} of {len(self._to)} recipients were refused", again=False)

    def _deliver(self, mail: EmailMessage, timeout_seconds: float) -> dict[str, tuple[int, bytes]]:
        trusted = ssl.create_default_context(cafile=self._authorities)
        if self._security == "tls":
            client: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, timeout=timeout_seconds, context=trusted)
        else:
            client = smtplib.SMTP(self._host, self._port, timeout=timeout_seconds)
        with client:
            if self._security == "starttls":
                client.starttls(context=trusted)
            if self._user:
                client.login(self._user, self._password)
            return client.send_message(mail)

    def _error(self, what: str, *, again: bool) -> AlertError:
        return AlertError(
            what,
            where=f"mail server {self._host}:{self._port}",
            next_step=f"check the variables {PREFIX}…; 'pipeline alerts --test' tries them",
            again=again,
        )


def _needed(name: str, purpose: str) -> str:
    value = os.environ.get(f"{PREFIX}{name}")
    if not value:
        raise ConfigurationError(f"{purpose} is missing", where=f"{PREFIX}{name}", next_step=f"set {PREFIX}{name}")
    return value


def _port(text: str, usual: int) -> int:
    if not text:
        return usual
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= _HIGHEST_PORT):
        raise ConfigurationError(f"{text!r} is no port", where=f"{PREFIX}PORT", next_step=f"set it to, say, {usual}")
    return int(text)
