"""Mail through a real server: STARTTLS, login, refusals, and no password anywhere."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.alerting.alert import Alert, compose
from pipeline_defs.alerting.mail import MailNotifier
from pipeline_defs.alerting.notifier import AlertError
from pipeline_defs.errors import ConfigurationError
from pipeline_tests.alerting.conftest import PASSWORD, USER

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_tests.alerting.conftest import Mailbox

MESSAGE = compose([Alert("run failed", "zerodha_daily", "2025-08-14", error="0 bars: कोई नहीं", next_step="again")])


def send() -> None:
    MailNotifier().send(MESSAGE, timeout_seconds=5)


def test_a_mail_goes_to_everybody_through_tls_and_after_login(mail_settings: Mailbox) -> None:
    send()

    (mail,) = mail_settings.mails
    assert mail["Subject"] == "run failed: zerodha_daily [2025-08-14]"
    assert (mail["From"], mail["To"]) == ("pipeline@example.org", "one@example.org, two@example.org")
    assert mail.get_content().replace("\r\n", "\n").rstrip() == MESSAGE.text
    assert mail_settings.recipients == [["one@example.org", "two@example.org"]]
    assert mail_settings.logins == [(USER, PASSWORD)]


def test_a_wrong_password_is_refused_for_good_and_not_told(
    mail_settings: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    del mail_settings
    monkeypatch.setenv("PIPELINE_ALERT_SMTP_PASSWORD", "not-the-password")
    with pytest.raises(AlertError, match="the server answered 535") as failure:
        send()
    assert not failure.value.again
    assert "not-the-password" not in str(failure.value)


@pytest.mark.parametrize(("reply", "again"), [("451 try later", True), ("554 no", False)])
def test_a_refusal_says_whether_to_try_again(mail_settings: Mailbox, reply: str, *, again: bool) -> None:
    mail_settings.replies = [reply]
    with pytest.raises(AlertError, match=f"the server answered {reply[:3]}") as failure:
        send()
    assert failure.value.again is again
    assert mail_settings.mails == []


def test_a_recipient_who_is_refused_is_an_error_although_the_others_were_told(mail_settings: Mailbox) -> None:
    mail_settings.refused = {"one@example.org"}
    with pytest.raises(AlertError, match="1 of 2 recipients were refused") as failure:
        send()
    assert not failure.value.again
    assert mail_settings.recipients == [["two@example.org"]]

    mail_settings.refused.add("two@example.org")
    with pytest.raises(AlertError, match="every recipient was refused") as all_refused:
        send()
    assert not all_refused.value.again


def test_a_certificate_that_nobody_vouches_for_ends_it_before_the_password_is_sent(
    mail_settings: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIPELINE_ALERT_SMTP_CA_FILE")
    with pytest.raises(AlertError, match="certificate is not trusted") as failure:
        send()
    assert not failure.value.again
    assert mail_settings.logins == []


def test_a_server_that_is_down_may_come_back(mail_settings: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    del mail_settings
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PIPELINE_ALERT_SMTP_PORT", str(free.getsockname()[1]))
    with pytest.raises(AlertError, match="cannot be reached: ConnectionRefusedError") as failure:
        send()
    assert failure.value.again


def plain(monkeypatch: pytest.MonkeyPatch, box: Mailbox, security: str) -> None:
    settings = {"HOST": "127.0.0.1", "PORT": str(box.port), "FROM": "a@example.org", "TO": "b@example.org"}
    for name, value in {**settings, "SECURITY": security}.items():
        monkeypatch.setenv(f"PIPELINE_ALERT_SMTP_{name}", value)


def test_a_server_in_the_house_needs_neither_tls_nor_login(
    home: Path, plain_mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    del home
    plain(monkeypatch, plain_mailbox, "none")
    send()

    assert len(plain_mailbox.mails) == 1


@pytest.mark.parametrize(
    ("security", "message"), [("starttls", "does not offer what is needed"), ("tls", "cannot be reached: SSLError")]
)
def test_encryption_that_is_asked_for_is_never_left_out(
    home: Path, plain_mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, security: str, message: str
) -> None:
    del home
    plain(monkeypatch, plain_mailbox, security)
    with pytest.raises(AlertError, match=message):
        send()
    assert plain_mailbox.mails == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"HOST": ""}, "PIPELINE_ALERT_SMTP_HOST: the mail server's name is missing"),
        ({"TO": ""}, "PIPELINE_ALERT_SMTP_TO: the recipients"),
        ({"PORT": "smtp"}, "'smtp' is no port"),
        ({"SECURITY": "ssl"}, "'ssl' is none of starttls, tls, none"),
        ({"SECURITY": "none"}, "a password would be sent in the clear"),
        ({"PASSWORD_FILE": "/nowhere"}, "/nowhere cannot be read"),
    ],
)
def test_a_setting_that_is_missing_or_wrong_is_named(
    mail_settings: Mailbox, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], message: str
) -> None:
    del mail_settings
    for name, value in changed.items():
        monkeypatch.setenv(f"PIPELINE_ALERT_SMTP_{name}", value)
    with pytest.raises(ConfigurationError, match=message):
        MailNotifier()


def test_without_a_port_the_usual_one_is_taken(mail_settings: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    del mail_settings
    monkeypatch.delenv("PIPELINE_ALERT_SMTP_PORT")
    assert MailNotifier()._port == 587
