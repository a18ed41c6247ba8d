"""Which notifiers are switched on, those of other packages among them, and what becomes of one that is not well."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, ClassVar

import pytest

from pipeline_defs.alerting import registry
from pipeline_defs.alerting.alert import Alert, Message, compose
from pipeline_defs.alerting.delivering import deliver
from pipeline_defs.alerting.log_file import LogFileNotifier, log_path
from pipeline_defs.alerting.notifier import Notifier
from pipeline_defs.alerting.registry import chosen_names, make_notifier
from pipeline_defs.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

MESSAGE = compose([Alert("test", "alerts")])
HERE = "pipeline_tests.alerting.test_registry"


class Pager(Notifier):
    """A notifier of another package."""

    name: ClassVar[str] = "pager"
    told: ClassVar[list[str]] = []

    def send(self, message: Message, *, timeout_seconds: float) -> None:
        del timeout_seconds
        self.told.append(message.title)


class Needy(Notifier):
    name: ClassVar[str] = "needy"

    def __init__(self) -> None:
        raise ConfigurationError("a token is missing", where="NEEDY_TOKEN")

    def send(self, message: Message, *, timeout_seconds: float) -> None:
        raise NotImplementedError


class Broken(Pager):
    name: ClassVar[str] = "broken"

    def send(self, message: Message, *, timeout_seconds: float) -> None:
        del message, timeout_seconds
        raise KeyError("secret-of-a-broken-notifier")


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, f"{HERE}:{value}", registry.GROUP)


@pytest.fixture(autouse=True)
def _packages(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        point("pager", "Pager"),
        point("needy", "Needy"),
        point("broken", "Broken"),
        point("gone", "Missing"),
        point("twice", "Pager"),
        point("twice", "Needy"),
        point("wrong", "MESSAGE.plain"),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == registry.GROUP else [])


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (None, ["log"]),
        ("", ["log"]),
        ("off", []),
        ("log,mail", ["log", "mail"]),
        (" webhook , log, webhook ", ["webhook", "log"]),
    ],
)
def test_the_variable_names_them(monkeypatch: pytest.MonkeyPatch, text: str | None, names: list[str]) -> None:
    monkeypatch.delenv("PIPELINE_ALERTS", raising=False)
    if text is not None:
        monkeypatch.setenv("PIPELINE_ALERTS", text)
    assert chosen_names() == names


def test_the_log_file_is_one_line_of_json_a_message_for_its_owner_alone(home: Path) -> None:
    assert deliver("log", MESSAGE).error is None
    assert deliver("log", MESSAGE).error is None

    lines = [json.loads(line) for line in log_path().read_text().splitlines()]
    assert [(line["event"], line["title"]) for line in lines] == [("alert", "test: alerts")] * 2
    assert log_path() == home / "alerts" / "alerts.jsonl"
    assert log_path().stat().st_mode & 0o077 == 0
    assert isinstance(make_notifier("log"), LogFileNotifier)


def test_a_log_file_that_cannot_be_written_is_an_outcome_and_no_exception(home: Path) -> None:
    home.mkdir(parents=True)
    (home / "alerts").write_text("a file where the folder should be")
    outcome = deliver("log", MESSAGE)

    assert outcome.error is not None
    assert "cannot be written" in outcome.error


def test_a_notifier_of_another_package_is_told_as_ours_are(home: Path) -> None:
    del home
    assert deliver("pager", MESSAGE).error is None
    assert Pager.told == ["test: alerts"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "smoke",
            "no notifier 'smoke', expected one of broken, gone, log, mail, needy, pager, twice, webhook, wrong, or",
        ),
        ("needy", "NEEDY_TOKEN: a token is missing"),
        ("gone", "notifier gone of the package an unknown package: cannot be made: AttributeError"),
        ("twice", "both bring a notifier 'twice'"),
        ("wrong", "notifier wrong is dict, expected a Notifier"),
        ("broken", "KeyError: a defect of the notifier"),
    ],
)
def test_one_that_is_not_well_is_an_outcome_that_says_why(home: Path, name: str, message: str) -> None:
    del home
    outcome = deliver(name, MESSAGE)

    assert outcome.error is not None
    assert message in outcome.error
    assert "secret" not in outcome.error
