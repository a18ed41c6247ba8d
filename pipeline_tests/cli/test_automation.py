"""``pipeline alerts`` and ``pipeline pools``: what is said is what is so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from pipeline_defs.alerting.log_file import log_path
from pipeline_defs.cli.main import commands
from pipeline_defs.errors import ConfigurationError
from pipeline_defs.orchestration.runs import open_instance
from pipeline_defs.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    for name in ("PIPELINE_ALERTS", "PIPELINE_ALERT_WEBHOOK_URL", "PIPELINE_ALERT_EVERY_SECONDS"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(commands, arguments)


def test_by_default_alerts_go_to_the_log_file() -> None:
    shown = run("alerts")

    assert shown.exit_code == 0
    assert shown.output == f"log: ready\nat most one message in 900 s; the log file is {log_path()}\n"
    assert not log_path().exists()


def test_a_test_message_arrives() -> None:
    assert run("alerts", "--test").output.startswith("log: took the message\n")
    (line,) = log_path().read_text().splitlines()
    assert json.loads(line)["title"] == "test: pipeline alerts --test"


def test_a_notifier_that_lacks_a_setting_is_named_and_the_others_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_ALERTS", "webhook,log")
    shown = run("alerts", "--test")

    assert shown.exit_code == 1
    assert "webhook: PIPELINE_ALERT_WEBHOOK_URL: the webhook's address is missing" in shown.output
    assert "log: took the message" in shown.output


def test_alerts_that_are_off_are_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_ALERTS", "off")
    assert run("alerts").output == "alerts are off (PIPELINE_ALERTS)\n"


def test_a_pools_limit_is_shown_set_and_taken_back() -> None:
    assert "polygon                  1 at once, by default\n" in run("pools").output
    assert "polygon                  4 at once\n" in run("pools", "--set", "polygon", "4").output
    with open_instance(load_settings()) as instance:
        assert instance.event_log_storage.get_concurrency_info("polygon").slot_count == 4
    assert "polygon                  1 at once, by default\n" in run("pools", "--reset", "polygon").output
    assert "interactive_brokers      2 at once\n" in run("pools", "--set", "interactive-brokers", "2").output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "nse_csv", "2"), "no pool 'nse_csv'"),
        (("--set", "polygon", "0"), "limit 0, expected 1 to 50"),
        (("--set", "polygon", "few"), "limit 'few' is no number"),
        (("--reset", "nobody"), "no pool 'nobody'"),
    ],
)
def test_a_limit_that_cannot_be_is_refused(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        CliRunner().invoke(commands, ["pools", *arguments], catch_exceptions=False)
