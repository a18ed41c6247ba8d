"""The daily login, and what is done when its session is over."""

from __future__ import annotations

import datetime as dt
import json
import stat
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from pipeline_defs.cli.main import commands
from pipeline_defs.errors import ConfigurationError, SchemaDriftError, SourceError
from pipeline_defs.sources.zerodha import login
from pipeline_defs.sources.zerodha.client import Client
from pipeline_defs.sources.zerodha.session import Session, SessionExpiredError, current_session, save_session
from pipeline_tests.sources.zerodha.conftest import NOW
from pipeline_tests.sources.zerodha.offline import TRADE_DATE
from pipeline_tests.sources.zerodha.server import KEY, REQUEST_TOKEN, SECRET, TOKEN, success

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.schema.batches import ImportBatch
    from pipeline_defs.sources.zerodha.adapter import ZerodhaSource
    from pipeline_tests.sources.zerodha.server import KiteServer

type Make = Callable[..., ZerodhaSource]
type Fetch = Callable[..., dict[tuple[str, dt.date], ImportBatch]]

INDEX = {"indices": ["NIFTY 50"]}
LOGIN = (
    "\nNext: log in at https://kite.zerodha.com/connect/login ('pipeline kite-login' prints the whole address)"
    " and run 'pipeline kite-login --request-token …'"
)


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZERODHA_ACCESS_TOKEN")


def ist(day: int, hour: int, minute: int = 0) -> dt.datetime:
    zone = dt.timezone(dt.timedelta(hours=5, minutes=30))
    return dt.datetime(2025, 9, day, hour, minute, tzinfo=zone).astimezone(dt.UTC)


def expiry(now: dt.datetime) -> str:
    with pytest.raises(SessionExpiredError) as caught:
        current_session(now)
    return str(caught.value)


def test_a_login_is_kept_in_a_file_that_only_its_owner_can_read(home: Path) -> None:
    session = login.log_in(REQUEST_TOKEN, NOW)
    path = home / "zerodha-session.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == {
        "access_token": TOKEN,
        "logged_in_at": "2025-09-01T12:00:00+00:00",
        "user": "XX0000",
        "refused_at": None,
    }
    assert current_session(NOW) == session
    assert TOKEN not in repr(session)


def test_a_session_of_the_file_is_asked_with(source: Make, fetch: Fetch) -> None:
    login.log_in(REQUEST_TOKEN, NOW)
    assert fetch(source(**INDEX))["spot_prices", TRADE_DATE].observations.height == 3


def test_a_session_of_the_environment_goes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    save_session(Session("token-of-the-file", NOW))
    file = tmp_path / "mounted"
    file.write_text("token-mounted\n")
    monkeypatch.setenv("ZERODHA_ACCESS_TOKEN_FILE", str(file))
    assert current_session(NOW).access_token == file.read_text().strip()


@pytest.mark.parametrize(
    ("begun", "ends"),
    [(ist(1, 8, 41), ist(2, 6)), (ist(2, 5, 59), ist(2, 6)), (ist(2, 6), ist(3, 6)), (ist(1, 23, 59), ist(2, 6))],
)
def test_a_session_ends_at_the_next_six_in_the_morning(begun: dt.datetime, ends: dt.datetime) -> None:
    assert Session("x", begun).ends_at == ends


def test_a_session_whose_time_is_up_is_known_to_be_over_without_asking(
    source: Make, fetch: Fetch, kite: KiteServer
) -> None:
    save_session(Session(TOKEN, ist(1, 8, 41)))
    with pytest.raises(SessionExpiredError) as caught:
        fetch(source(now=ist(2, 6), **INDEX))
    assert str(caught.value) == f"zerodha instruments: Kite session expired (since 06:00 IST){LOGIN}"
    assert kite.paths == []


def test_a_session_that_is_over_for_days_says_since_when() -> None:
    save_session(Session(TOKEN, ist(1, 8, 41)))
    assert expiry(ist(2, 6, 1)) == f"Kite session expired (since 06:00 IST){LOGIN}"
    assert expiry(ist(5, 12)) == f"Kite session expired (since 06:00 IST on 2025-09-02){LOGIN}"


def test_a_session_that_another_login_ended_is_remembered_and_not_tried_by_the_next_run(
    source: Make, fetch: Fetch, kite: KiteServer
) -> None:
    save_session(Session(TOKEN, NOW - dt.timedelta(hours=1)))
    kite.accepted = "another-login"
    message = "Kite session of 16:30 IST is no longer valid (another login ends it)"
    with pytest.raises(SessionExpiredError) as caught:
        fetch(source(**INDEX))
    assert f"zerodha instruments: {message}: Kite refused the session (403" in str(caught.value)
    asked = len(kite.paths)
    with pytest.raises(SessionExpiredError) as caught:
        fetch(source(**INDEX))
    assert str(caught.value) == f"zerodha instruments: {message}{LOGIN}"
    assert len(kite.paths) == asked == 1


def test_a_login_while_the_old_session_is_refused_is_not_lost(source: Make, fetch: Fetch, kite: KiteServer) -> None:
    save_session(Session("token-of-yesterday", NOW))
    of = source(**INDEX)
    of._connected()
    save_session(Session(TOKEN, NOW))
    with pytest.raises(SessionExpiredError):
        fetch(of)
    assert current_session(NOW).refused_at is None
    assert fetch(of)["spot_prices", TRADE_DATE].observations.height == 3
    assert len(kite.history) == 1


def test_without_any_session_the_login_is_explained(source: Make, fetch: Fetch, home: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        fetch(source(**INDEX))
    assert str(caught.value) == f"{home / 'zerodha-session.json'}: there is no Kite session{LOGIN}"


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"access_token": ""}', '{"access_token": "secret-x", "logged_in_at": "2025-09-01T12:00:00"}'],
)
def test_a_damaged_session_file_asks_for_a_login_and_shows_nothing_of_it(home: Path, content: str) -> None:
    (home / "zerodha-session.json").write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        current_session(NOW)
    assert str(caught.value) == f"{home / 'zerodha-session.json'}: is no session file of ours{LOGIN}"


def test_a_session_file_that_cannot_be_read_is_named(home: Path) -> None:
    (home / "zerodha-session.json").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        current_session(NOW)


def test_a_request_token_that_kite_refuses_asks_for_another() -> None:
    with pytest.raises(SourceError) as caught:
        login.log_in("used-before", NOW)
    assert str(caught.value) == (
        "zerodha login: Kite refused the request token (403 Token is invalid or has expired.)\n"
        "Next: a request token serves once and for a few minutes: run 'pipeline kite-login' and log in again"
    )


def test_a_wrong_secret_names_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZERODHA_API_SECRET", "another")
    with pytest.raises(SourceError) as caught:
        login.log_in(REQUEST_TOKEN, NOW)
    assert str(caught.value) == (
        "zerodha login: Kite refused (400 Invalid `checksum`.)\n"
        "Next: check ZERODHA_API_KEY and ZERODHA_API_SECRET, and log in again"
    )


def test_a_login_without_an_access_token_is_another_shape(monkeypatch: pytest.MonkeyPatch, kite: KiteServer) -> None:
    monkeypatch.setattr(kite, "log_in", lambda _: success({"login_time": ""}))
    with pytest.raises(SourceError, match="the reply to the login lacks 'access_token'"):
        login.log_in(REQUEST_TOKEN, NOW)
    with pytest.raises(SchemaDriftError):
        Client(KEY, None, kite.url, 1).exchange(REQUEST_TOKEN, SECRET)


def test_the_command_prints_the_page_and_then_keeps_the_session(home: Path) -> None:
    run = CliRunner()
    shown = run.invoke(commands, ["kite-login"])
    assert shown.output.splitlines() == [
        f"open https://kite.zerodha.com/connect/login?api_key={KEY}&v=3",
        "then run: pipeline kite-login --request-token '<the address that the page leads to>'",
    ]
    address = f"https://127.0.0.1/?action=login&status=success&request_token={REQUEST_TOKEN}"
    shown = run.invoke(commands, ["kite-login", "--request-token", address])
    assert shown.output.startswith("logged in as XX0000 until ")
    assert shown.output.endswith(" 06:00 IST\n")
    assert (home / "zerodha-session.json").exists()


def test_the_command_tells_when_another_token_goes_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZERODHA_ACCESS_TOKEN", "token-of-yesterday")
    shown = CliRunner().invoke(commands, ["kite-login", "--request-token", REQUEST_TOKEN])
    assert "note: ZERODHA_ACCESS_TOKEN is set and goes before this session; unset it" in shown.output


def test_an_address_without_a_token_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="the address holds no request_token"):
        login.log_in("https://127.0.0.1/?status=cancelled")
