"""Lines that programs read: each is one JSON object, and holds no secret."""

from __future__ import annotations

import json
import logging
import sys

import dagster as dg
import pytest
from dagster._core.execution import context_creation_job

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.operations.logs import JsonLines, json_line
from pipeline_defs.orchestration import log_lines
from pipeline_defs.sources.asking.credentials import remember_secret

KEY = "k3y-of-a-vendor/with+signs"


def test_a_line_is_one_object_whatever_it_says() -> None:
    line = json_line("ERROR", "pipeline", 'two\nlines and "quotes"', {"empty": "", "run_id": "r1"})

    assert "\n" not in line
    told = json.loads(line)
    assert told["message"] == 'two\nlines and "quotes"'
    assert told["run_id"] == "r1"
    assert "empty" not in told


def _refuse(message: str) -> None:
    raise ValueError(message)


def test_secrets_are_left_out_of_messages_fields_and_tracebacks(monkeypatch: pytest.MonkeyPatch) -> None:
    remember_secret(KEY)
    monkeypatch.setenv("PGPASSWORD", "of-the-database")
    try:
        _refuse(f"postgresql://user:in-the-url@host/db refused of-the-database and {KEY}")
    except ValueError:
        record = logging.LogRecord("client", logging.ERROR, __file__, 1, "asked with %s", (KEY,), sys.exc_info())

    line = JsonLines().format(record)

    for secret in (KEY, "of-the-database", "in-the-url"):
        assert secret not in line
    told = json.loads(line)
    assert told["message"] == "asked with ***"
    assert "ValueError" in told["traceback"]
    assert "user:***@host" in told["traceback"]


def test_a_run_writes_lines_with_its_run_job_and_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        context_creation_job, "default_system_loggers", vars(context_creation_job)["default_system_loggers"]
    )
    monkeypatch.setenv("PIPELINE_LOG_FORMAT", "json")
    log_lines.choose_format()

    @dg.op
    def speak(context) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 -- Dagster reads the annotation
        context.log.warning("three files are late")

    @dg.job
    def telling() -> None:
        speak()

    result = telling.execute_in_process()

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    (said,) = [line for line in lines if line["message"] == "three files are late"]
    assert (said["level"], said["job_name"], said["step_key"]) == ("WARNING", "telling", "speak")
    assert said["run_id"] == result.run_id
    assert "RUN_SUCCESS" in {line.get("event", "").replace("PIPELINE", "RUN") for line in lines}


def test_text_is_the_default_and_another_word_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIPELINE_LOG_FORMAT", raising=False)
    before = vars(context_creation_job)["default_system_loggers"]
    log_lines.choose_format()
    assert vars(context_creation_job)["default_system_loggers"] is before
    monkeypatch.setenv("PIPELINE_LOG_FORMAT", "xml")
    with pytest.raises(ConfigurationError, match="expected text or json"):
        log_lines.choose_format()
