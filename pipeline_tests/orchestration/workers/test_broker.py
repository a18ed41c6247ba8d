"""Where the broker is: by variable or file, and never shown with its password."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.orchestration.workers.broker import STEP_SETTINGS, broker_url, result_url, run_settings
from pipeline_defs.sources.asking.credentials import redact

if TYPE_CHECKING:
    from pathlib import Path

URL = "redis://:secret-of-the-broker@broker:6379/0"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BROKER_URL", "RESULT_BACKEND_URL"):
        monkeypatch.delenv(f"PIPELINE_{name}", raising=False)
        monkeypatch.delenv(f"PIPELINE_{name}_FILE", raising=False)


def test_the_address_comes_from_a_file_and_is_redacted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "url").write_text(f"{URL}\n", encoding="utf-8")
    monkeypatch.setenv("PIPELINE_BROKER_URL_FILE", str(tmp_path / "url"))

    assert broker_url() == result_url() == URL
    assert "secret-of-the-broker" not in redact(f"could not reach {URL}, with secret-of-the-broker")


def test_a_wrong_address_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_BROKER_URL", "http://:secret-of-the-broker@broker")
    with pytest.raises(ConfigurationError, match="PIPELINE_BROKER_URL: is no address") as refused:
        broker_url()
    assert "secret-of-the-broker" not in str(refused.value)


def test_rabbitmq_returns_results_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_BROKER_URL", "amqp://user:word-of-passing@broker//")
    assert result_url() == "rpc://"
    assert "broker_transport_options" not in run_settings()


def test_a_run_is_never_given_to_a_second_worker_by_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_BROKER_URL", URL)
    assert run_settings()["task_acks_late"] is False


def test_a_step_has_ended_before_the_broker_gives_it_to_another() -> None:
    assert STEP_SETTINGS["task_time_limit"] < STEP_SETTINGS["broker_transport_options"]["visibility_timeout"]


@pytest.mark.parametrize(("executor", "loaded"), [("in_process", "[]"), ("celery", "['dagster_celery']")])
def test_the_definitions_import_celery_only_when_it_is_chosen(executor: str, loaded: str) -> None:
    program = (
        "import sys; from pipeline_defs.definitions import defs\n"
        "print(sorted({'celery', 'dagster_celery', 'redis', 'kubernetes', 'boto3'} & set(sys.modules)),"
        " defs.executor.name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PIPELINE_EXECUTOR": executor},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.strip() == f"{loaded} {executor}", done.stderr
