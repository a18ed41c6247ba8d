"""A webhook through a real HTTP server: what is posted, what is tried again, and an address that nobody sees."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest
from werkzeug import Response

from pipeline_defs.alerting.alert import Alert, compose
from pipeline_defs.alerting.delivering import AlertPatience, deliver
from pipeline_defs.alerting.log_file import log_path
from pipeline_defs.alerting.notifier import AlertError
from pipeline_defs.alerting.webhook import WebhookNotifier
from pipeline_defs.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_httpserver import HTTPServer

ADDRESS = "/services/T000/B000/token-in-the-path"
QUICK = AlertPatience(tries=3, try_seconds=2, first_wait_seconds=1)
MESSAGE = compose([Alert("check failed", "nse_csv/options_ticks rows_accounted_for", "2025-08-14")])


@pytest.fixture
def address(home: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> str:
    del home
    url = httpserver.url_for(ADDRESS)
    monkeypatch.setenv("PIPELINE_ALERT_WEBHOOK_URL", url)
    return url


def test_json_is_posted_whose_text_slack_understands(address: str, httpserver: HTTPServer) -> None:
    del address
    httpserver.expect_oneshot_request(ADDRESS, method="POST").respond_with_data("ok")
    assert deliver("webhook", MESSAGE, QUICK).error is None

    ((request, _),) = httpserver.log
    posted = json.loads(request.data)
    assert posted == {"title": MESSAGE.title, "text": MESSAGE.text, "alerts": [MESSAGE.alerts[0].plain()]}
    assert request.headers["Content-Type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble_is_asked_again_after_longer_and_longer_waits(
    address: str, httpserver: HTTPServer, status: int
) -> None:
    del address
    for reply in (status, status, 200):
        httpserver.expect_ordered_request(ADDRESS).respond_with_data("", status=reply)
    waits: list[float] = []
    outcome = deliver("webhook", MESSAGE, QUICK, waits.append)

    assert (outcome.error, outcome.tries, waits) == (None, 3, [1, 2])


def test_patience_ends(address: str, httpserver: HTTPServer) -> None:
    httpserver.expect_request(ADDRESS).respond_with_data("", status=502)
    outcome = deliver("webhook", MESSAGE, QUICK, lambda _: None)

    assert outcome.tries == len(httpserver.log) == 3
    assert outcome.error is not None
    assert outcome.error.startswith("PIPELINE_ALERT_WEBHOOK_URL: the webhook answered 502")
    assert address not in outcome.error
    (line,) = log_path().read_text().splitlines()
    assert (
        json.loads(line).items() >= {"event": "notifier_failed", "notifier": "webhook", "error": outcome.error}.items()
    )


def test_a_refusal_is_not_tried_again(address: str, httpserver: HTTPServer) -> None:
    del address
    httpserver.expect_request(ADDRESS).respond_with_data("invalid_token", status=403)
    outcome = deliver("webhook", MESSAGE, QUICK)

    assert (outcome.tries, len(httpserver.log)) == (1, 1)
    assert "answered 403" in str(outcome.error)


def test_a_message_does_not_follow_a_redirect_to_somewhere_else(address: str, httpserver: HTTPServer) -> None:
    del address
    elsewhere = httpserver.url_for("/elsewhere")
    httpserver.expect_request(ADDRESS).respond_with_response(Response(status=302, headers={"Location": elsewhere}))
    assert "answered 302" in str(deliver("webhook", MESSAGE, QUICK).error)
    assert [request.path for request, _ in httpserver.log] == [ADDRESS]


def test_no_text_shows_the_address_or_its_token(
    address: str, httpserver: HTTPServer, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    leaky = compose([Alert("run failed", "job", error=f"POST {address} failed", next_step=f"see {ADDRESS[1:]}")])
    assert leaky  # composed before the address was read, as a sensor does it
    httpserver.expect_request(ADDRESS).respond_with_data("", status=500)
    outcome = deliver("webhook", leaky, QUICK, lambda _: None)
    later = compose([Alert("run failed", "job", error=f"POST {address} failed", next_step=f"see {ADDRESS[1:]}")])

    printed = capfd.readouterr()
    files = [path.read_text() for path in home.rglob("*") if path.is_file()]
    for text in (str(outcome), later.text, printed.out, printed.err, *files):
        assert "token-in-the-path" not in text


def test_nobody_at_the_address_may_be_passing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del home
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PIPELINE_ALERT_WEBHOOK_URL", f"http://127.0.0.1:{free.getsockname()[1]}/hook")
    with pytest.raises(AlertError, match="cannot be reached") as failure:
        WebhookNotifier().send(MESSAGE, timeout_seconds=2)
    assert failure.value.again


def test_a_server_that_says_nothing_is_not_waited_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del home
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        monkeypatch.setenv("PIPELINE_ALERT_WEBHOOK_URL", f"http://127.0.0.1:{mute.getsockname()[1]}/hook")
        with pytest.raises(AlertError, match="cannot be reached"):
            WebhookNotifier().send(MESSAGE, timeout_seconds=0.2)


@pytest.mark.parametrize("text", ["file:///etc/passwd", "ftp://host/x", "hooks.example.org/x", "http://[x"])
def test_an_address_that_is_none_is_refused_without_being_shown(
    home: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    del home
    monkeypatch.setenv("PIPELINE_ALERT_WEBHOOK_URL", text)
    with pytest.raises(ConfigurationError, match="does not begin with http") as failure:
        WebhookNotifier()
    assert text not in str(failure.value)


def test_a_certificate_that_nobody_vouches_for_is_refused(
    home: Path, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import ssl  # noqa: PLC0415

    from pytest_httpserver import HTTPServer as Server  # noqa: PLC0415

    del home
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    with Server(host="127.0.0.1", ssl_context=context) as server:
        monkeypatch.setenv("PIPELINE_ALERT_WEBHOOK_URL", server.url_for("/hook"))
        with pytest.raises(AlertError, match="certificate is not trusted") as failure:
            WebhookNotifier().send(MESSAGE, timeout_seconds=2)
    assert not failure.value.again
